//! Checks the imports against the map in `src/lib.rs`, and that the pure parts are pure. A failure names the line.

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The pure parts use no clock, no I/O and no async: the caller passes these in.
const PURE: [&str; 6] = ["convert", "manifests", "findings", "policy", "api", "cel"];
const IMPURE: [&[&str]; 7] = [
    &["std", "fs"],
    &["std", "net"],
    &["std", "env"],
    &["std", "time"],
    &["std", "thread"],
    &["tokio"],
    &["jiff", "Timestamp", "now"],
];

/// The modules by layers, as in `src/lib.rs`: each may import modules of later layers.
struct Map(Vec<BTreeSet<String>>);

impl Map {
    fn read(lib: &str) -> Self {
        let lines = lib.lines().skip_while(|line| *line != "//! ```text").skip(1);
        let text: String = lines
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!"))
            .collect();
        let layer = |layer: &str| {
            let names = layer.trim().trim_matches(['{', '}']).split(',');
            names.map(|name| name.trim().to_owned()).collect()
        };
        Self(text.split('→').map(layer).collect())
    }

    fn layer(&self, module: &str) -> Option<usize> {
        self.0.iter().position(|layer| layer.contains(module))
    }

    fn allows(&self, module: &str, imported: &str) -> bool {
        module == imported
            || self.layer(imported).is_some_and(|below| {
                // `main.rs` and `lib.rs` are above all layers.
                self.layer(module).is_none_or(|own| own < below)
            })
    }
}

/// Reads the paths of a file, without its tests.
struct Reader<'m> {
    map: &'m Map,
    /// The first module of the file's path.
    module: String,
    /// The number of enclosing modules.
    depth: usize,
    found: Vec<(Span, String)>,
}

impl Reader<'_> {
    fn path(&mut self, span: Span, segments: &[String]) {
        let ups = segments.iter().take_while(|it| *it == "super").count();
        let imported = match segments.first().map(String::as_str) {
            Some("crate") => segments.get(1),
            Some("super") if ups >= self.depth => segments.get(ups),
            _ => None,
        };
        if let Some(imported) = imported
            && !self.map.allows(&self.module, imported)
        {
            self.found.push((span, format!("{} may not import {imported}", self.module)));
        }
        let impure = IMPURE.iter().find(|it| segments.starts_with(&it.map_to_owned()));
        if let Some(impure) = impure {
            self.impure(span, &impure.join("::"));
        }
    }

    fn impure(&mut self, span: Span, what: &str) {
        if PURE.contains(&self.module.as_str()) {
            self.found.push((span, format!("{} is pure: no {what}", self.module)));
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(item, before));
            }
            leaf => {
                let name = match leaf {
                    syn::UseTree::Name(name) => Some(&name.ident),
                    syn::UseTree::Rename(name) => Some(&name.ident),
                    _ => None,
                };
                let segments: Vec<_> =
                    before.iter().cloned().chain(name.map(ToString::to_string)).collect();
                self.path(leaf.span(), &segments);
            }
        }
    }

    /// The paths in a macro's arguments.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut segments: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match &token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        segments.clear();
                    }
                    segments.push(ident.to_string());
                    colons = 0;
                    self.path(ident.span(), &segments);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => segments.clear(),
            }
        }
    }
}

/// `&["std", "fs"]` for the path `std::fs`.
trait MapToOwned {
    fn map_to_owned(&self) -> Vec<String>;
}

impl MapToOwned for &[&str] {
    fn map_to_owned(&self) -> Vec<String> {
        self.iter().map(|it| (*it).to_owned()).collect()
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|it| {
        it.path().is_ident("cfg")
            && it.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(it) => &it.attrs,
            syn::Item::Use(it) => &it.attrs,
            syn::Item::Fn(it) => &it.attrs,
            syn::Item::Impl(it) => &it.attrs,
            syn::Item::Struct(it) => &it.attrs,
            syn::Item::Const(it) => &it.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        self.path(path.span(), &segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let Some(token) = signature.asyncness {
            self.impure(token.span(), "async");
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.impure(block.span(), "async");
        visit::visit_expr_async(self, block);
    }
}

/// The faults of one file, each with its line.
fn faults(map: &Map, file: &Path, modules: &[String], text: &str) -> Vec<String> {
    let parsed =
        syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let module = modules.first().cloned().unwrap_or_default();
    let mut reader = Reader { map, module, depth: modules.len(), found: Vec::new() };
    reader.visit_file(&parsed);
    let mut faults = Vec::new();
    for (span, fault) in reader.found {
        let line = span.start().line;
        let code = text.lines().nth(line - 1).unwrap_or_default().trim();
        let fault = format!("{}:{line}: {code}\n  {fault}", file.display());
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    faults
}

/// Every source file with its module path, without test modules.
fn sources() -> Vec<(PathBuf, Vec<String>)> {
    fn below(dir: &Path, modules: &[String], found: &mut Vec<(PathBuf, Vec<String>)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let is_source = path.extension().is_some_and(|it| it == "rs");
            if !path.is_dir() && !is_source {
                continue;
            }
            let root = modules.is_empty() && ["lib", "main"].contains(&name.as_str());
            let own: Vec<_> = modules.iter().cloned().chain((!root).then_some(name)).collect();
            if path.is_dir() {
                below(&path, &own, found);
            } else {
                found.push((path, own));
            }
        }
    }
    let mut found = Vec::new();
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    let tests: BTreeSet<Vec<String>> =
        found.iter().flat_map(|(_, own)| test_modules(own)).collect();
    found.retain(|(_, own)| !tests.iter().any(|test| own.starts_with(test)));
    assert!(found.len() > 200, "the sources were not found");
    found
}

/// The modules that a file declares under `#[cfg(test)]`.
fn test_modules(modules: &[String]) -> Vec<Vec<String>> {
    let mut path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.extend(modules);
    let path = if modules.is_empty() { path.join("lib.rs") } else { path.with_extension("rs") };
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let declared =
        syn::parse_file(&text).unwrap().items.into_iter().filter_map(|item| match item {
            syn::Item::Mod(item) if is_test(&item.attrs) => Some(item.ident.to_string()),
            _ => None,
        });
    declared.map(|name| modules.iter().cloned().chain([name]).collect()).collect()
}

fn map() -> Map {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    Map::read(&fs::read_to_string(lib).unwrap())
}

#[test]
fn imports_point_one_way_and_the_pure_parts_are_pure() {
    let map = map();
    let mut all = Vec::new();
    for (file, modules) in sources() {
        all.extend(faults(&map, &file, &modules, &fs::read_to_string(&file).unwrap()));
    }
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn every_module_of_the_library_has_its_place_on_the_map() {
    let known: BTreeSet<String> = map().0.into_iter().flatten().collect();
    let there: BTreeSet<String> =
        sources().into_iter().filter_map(|(_, modules)| modules.first().cloned()).collect();
    assert_eq!(known, there);
}

#[test]
fn a_malformed_line_is_named() {
    let map = map();
    let faults = |modules: &[&str], text: &str| {
        let modules: Vec<_> = modules.iter().map(|it| (*it).to_owned()).collect();
        faults(&map, Path::new("src/x.rs"), &modules, text)
    };
    let text = "//! crate::admission is fine in a comment\nuse crate::{api::Severity, admission::server};\nuse std::time::Instant;\nfn f() { println!(\"{}\", crate::audit::x()); super::super::report::y(); }\nasync fn g() {}\n#[cfg(test)]\nmod tests { use crate::cli::Failure; }\nuse crate::scan::fix;\n";
    assert_eq!(
        faults(&["policy", "engine"], text),
        [
            "src/x.rs:2: use crate::{api::Severity, admission::server};\n  policy may not import admission",
            "src/x.rs:3: use std::time::Instant;\n  policy is pure: no std::time",
            "src/x.rs:4: fn f() { println!(\"{}\", crate::audit::x()); super::super::report::y(); }\n  policy may not import audit",
            "src/x.rs:4: fn f() { println!(\"{}\", crate::audit::x()); super::super::report::y(); }\n  policy may not import report",
            "src/x.rs:5: async fn g() {}\n  policy is pure: no async",
            "src/x.rs:8: use crate::scan::fix;\n  policy may not import scan",
        ]
    );
    assert_eq!(faults(&["admission", "server"], "use crate::certs::Identity;").len(), 1);
    assert_eq!(faults(&["metrics"], "use crate::clusters::Cluster;").len(), 1);
    assert!(faults(&["runtime"], "use crate::certs::Identity;").is_empty());
}

#[test]
fn no_module_is_a_drawer_for_everything() {
    for (file, modules) in sources() {
        for name in modules {
            let drawers = ["utils", "util", "common", "helpers", "misc"];
            assert!(!drawers.contains(&name.as_str()), "{}", file.display());
        }
    }
}
