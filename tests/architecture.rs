//! Holds the imports to one direction (see `src/lib.rs`), and the pure parts to
//! being pure. What fails names the line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The parts that do the work; they do not know each other.
const PARTS: [&str; 10] = [
    "admission",
    "audit",
    "controller",
    "remediation",
    "report",
    "certs",
    "beat",
    "leader",
    "scan",
    "gitops",
];
/// What every part but the pure ones may use.
const LEAVES: [&str; 4] = ["metrics", "telemetry", "nonce", "clusters"];
/// No clock, no I/O, no async: whoever calls hands these in.
const PURE: [&str; 4] = ["manifests", "policy", "api", "cel"];
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::time",
    "std::thread",
    "tokio",
    "SystemTime",
    "async ",
    ".await",
];

fn may_import(module: &str, imported: &str) -> bool {
    let below_parts = PURE.contains(&imported) || LEAVES.contains(&imported);
    match module {
        _ if module == imported => true,
        "main" | "lib" => true,
        "cli" => imported == "runtime" || PARTS.contains(&imported) || below_parts,
        "runtime" => PARTS.contains(&imported) || below_parts,
        "policy" => imported == "api" || imported == "cel",
        "api" | "cel" => false,
        "manifests" => imported == "policy" || imported == "api",
        part if PARTS.contains(&part) => below_parts,
        _ => false,
    }
}

/// The faults of one file, each with its line.
fn faults(module: &str, file: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
    for (number, line) in code.enumerate() {
        let place = format!("{}:{}: {}", file.display(), number + 1, line.trim());
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (at, _) in line.match_indices("crate::") {
            let imported: String =
                line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !may_import(module, &imported) {
                faults.push(format!("{place}\n  {module} may not import {imported}"));
            }
        }
        for impure in IMPURE {
            if PURE.contains(&module) && line.contains(impure) {
                faults.push(format!("{place}\n  {module} is pure: no {impure}"));
            }
        }
    }
    faults
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.ends_with("tests.rs") {
            // As what follows `#[cfg(test)]` in other files.
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_one_way_and_the_pure_parts_are_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let mut all = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        all.extend(faults(module, &file, &fs::read_to_string(&file).unwrap()));
    }
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn a_line_that_breaks_the_rules_is_named() {
    let file = Path::new("src/policy/engine.rs");
    let text = "//! crate::admission is fine in a comment\nuse crate::api::Severity;\nuse crate::admission::server;\nuse std::time::Instant;\n";
    assert_eq!(
        faults("policy", file, text),
        [
            "src/policy/engine.rs:3: use crate::admission::server;\n  policy may not import admission",
            "src/policy/engine.rs:4: use std::time::Instant;\n  policy is pure: no std::time",
        ]
    );
    assert_eq!(faults("admission", file, "use crate::certs::Identity;").len(), 1);
    assert_eq!(faults("metrics", file, "use crate::policy::rule::Rule;").len(), 1);
    assert!(faults("runtime", file, "use crate::certs::Identity;").is_empty());
}

#[test]
fn no_module_is_a_drawer_for_everything() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in files {
        for part in file.components().map(|part| part.as_os_str().to_string_lossy().into_owned()) {
            let name = part.trim_end_matches(".rs");
            assert!(
                !["utils", "util", "common", "helpers", "misc"].contains(&name),
                "{}",
                file.display()
            );
        }
    }
}
