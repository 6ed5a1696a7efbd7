//! No file imports, by whatever way, a file that imports it: each can be read, tested and moved without the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use syn::visit::{self, Visit};

use super::{is_test, sources};

/// The path of a module from the crate's root.
type Module = Vec<String>;

/// Types that hold each other, for which there is no cut: CEL's values, its lists and its maps; a Kubernetes object and
/// the spec that holds the template of another.
const RECURSIVE: [&[&str]; 2] =
    [&["cel::list", "cel::map", "cel::value"], &["policy::object", "policy::object::spec"]];

/// Reads the modules that a file names, tests left out.
struct Imports<'s> {
    /// The module of the file.
    own: &'s [String],
    /// All modules of the crate.
    known: &'s BTreeSet<Module>,
    /// The modules that the file declares.
    declared: BTreeSet<String>,
    found: BTreeSet<Module>,
}

impl Imports<'_> {
    /// Adds the module of a path, if it is one of this crate and not the root.
    fn path(&mut self, segments: &[String]) {
        let ups = segments.iter().take_while(|it| *it == "super").count();
        let absolute = match segments.first().map(String::as_str) {
            Some("crate") => segments[1..].to_vec(),
            Some("self") => [self.own, &segments[1..]].concat(),
            Some("super") if ups <= self.own.len() => {
                [&self.own[..self.own.len() - ups], &segments[ups..]].concat()
            }
            Some(first) if self.declared.contains(first) => [self.own, segments].concat(),
            _ => return,
        };
        let module = (1..=absolute.len()).rev().map(|length| &absolute[..length]);
        if let Some(module) = module.into_iter().find(|it| self.known.contains(*it))
            && module != self.own
        {
            self.found.insert(module.to_vec());
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &mut Module) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(item, before));
            }
            syn::UseTree::Name(name) => {
                self.path(&[&before[..], &[name.ident.to_string()]].concat());
            }
            syn::UseTree::Rename(name) => {
                self.path(&[&before[..], &[name.ident.to_string()]].concat());
            }
            syn::UseTree::Glob(_) => self.path(before),
        }
    }
}

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.tree(&item.tree, &mut Vec::new());
        }
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        // A name alone may be that of a variable.
        if segments.len() > 1 {
            self.path(&segments);
        }
        visit::visit_path(self, path);
    }
}

fn imports(own: &[String], known: &BTreeSet<Module>, text: &str) -> BTreeSet<Module> {
    let parsed = syn::parse_file(text).unwrap();
    let declared = parsed.items.iter().filter_map(|item| match item {
        syn::Item::Mod(item) if !is_test(&item.attrs) => Some(item.ident.to_string()),
        _ => None,
    });
    let mut imports = Imports { own, known, declared: declared.collect(), found: BTreeSet::new() };
    imports.visit_file(&parsed);
    imports.found
}

/// The circles of a graph, each as the modules in it.
fn circles(graph: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<BTreeSet<String>> {
    let reached = |from: &Module| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            for next in graph.get(module).into_iter().flatten() {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        reached
    };
    let all: BTreeMap<_, _> = graph.keys().map(|module| (module, reached(module))).collect();
    let circle = |module: &Module| {
        let others = all[module].iter().filter(|it| all[**it].contains(module));
        others.map(|it| it.join("::")).collect::<BTreeSet<_>>()
    };
    graph.keys().map(circle).filter(|it| !it.is_empty()).collect()
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let sources = sources();
    let known: BTreeSet<_> =
        sources.iter().map(|(_, own)| own.clone()).filter(|own| !own.is_empty()).collect();
    let graph = sources.into_iter().filter(|(_, own)| !own.is_empty()).map(|(file, own)| {
        let found = imports(&own, &known, &fs::read_to_string(file).unwrap());
        (own, found)
    });
    let found = circles(&graph.collect());
    let named = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(found, RECURSIVE.map(named).into(), "move what both need into a third file");
}

#[test]
fn a_circle_through_parents_children_and_paths_is_seen() {
    let module = |path: &str| path.split("::").map(ToOwned::to_owned).collect::<Vec<_>>();
    let known = ["a", "a::b", "c", "d"].map(module).into();
    let graph = [
        ("a", "pub mod b; fn f() { b::g() }"),
        ("a::b", "use super::super::c::{self, Type}; #[cfg(test)] mod tests { use crate::d; }"),
        ("c", "pub(super) fn f() -> crate::a::Type {}"),
        ("d", "use crate::{a, c}; pub(in crate::c) struct D;"),
    ];
    let graph = graph.map(|(own, text)| (module(own), imports(&module(own), &known, text)));
    let circle = ["a", "a::b", "c"].map(ToOwned::to_owned).into();
    assert_eq!(circles(&graph.into()), [circle].into());
}
