//! What a scan reads of a folder, and what it passes over.

use serde_json::json;

use super::{EVERYWHERE, Folder, deployment};

/// Files as repositories have them beside their manifests.
const OTHERS: [(&str, &str); 7] = [
    ("values.yaml", "image: nginx\nreplicas: 2\n"),
    ("package.json", "{\"name\": \"shop\"}"),
    ("list.yaml", "- a\n- b\n"),
    ("compose.yml", "services: {web: {image: nginx}}\n---\nx: [\n"),
    (".github/workflows/ci.yaml", "apiVersion: v1\nkind: [\n"),
    ("ansible/task.yaml", "apiVersion: v1\nkind: Pod\n{% if x %}\nspec: {}\n{% endif %}\n"),
    ("docs/notes.yaml", "about: the apiVersion of it\nsee: [\n"),
];

#[test]
fn in_a_folder_what_is_no_kubernetes_object_is_passed_over_and_counted() {
    let folder = Folder::with(&OTHERS);
    folder.write("deploy/cart.yaml", deployment("cart", "shop").as_bytes());
    folder.write("logo.json", b"\x89PNG\0\0");
    // A folder is read by default, by its name, and by -f, alike.
    for args in [&[][..], &["."], &["-f", "."]] {
        let answer = folder.scan(args);
        assert_eq!((answer.code, answer.stderr.lines().count()), (1, 1), "{}", answer.stderr);
        assert_eq!(answer.report["unjudged"]["passedOver"], json!({"other": 6, "template": 1}));
        assert_eq!(answer.files()[0], "deploy/cart.yaml");
        assert_eq!(answer.count("documents"), 1);
    }
    let table = folder.run(&[], "").stdout;
    let table = String::from_utf8(table).unwrap();
    let line = "\npassed over: 6 files of other programs, 1 template\n";
    assert!(table.contains(line), "{table}");
}

#[test]
fn a_broken_manifest_in_a_folder_is_a_fault() {
    let folder = Folder::with(&OTHERS);
    folder.write("a/broken.yaml", b"apiVersion: v1\nkind: Pod\nmetadata: [\n");
    folder.write("a/twice.yaml", b"apiVersion: v1\nkind: Pod\nkind: Pod\n");
    folder.write("a/odd.yaml", b"apiVersion: v1\nkind: Pod\nmetadata: {name: 1}\n");
    folder.write("a/latin.yaml", b"apiVersion: v1\nkind: Pod\nmetadata: {name: \xE9}\n");
    let answer = folder.scan(&["--bundle", "baseline"]);
    assert_eq!(answer.code, 2);
    insta::assert_snapshot!(answer.stderr, @r#"
    a/broken.yaml:3:11: it is not YAML: unclosed bracket '['
    a/latin.yaml:3:1: it is not UTF-8
    a/odd.yaml:3:18: metadata.name: invalid type: integer `1`, expected a string
    a/twice.yaml:3:1: the key "kind" is there twice
    podgate: the input has 4 faults; everything else was read
    "#);
}

#[test]
fn a_file_that_is_named_must_be_a_manifest() {
    let folder = Folder::with(&OTHERS);
    for (name, _) in OTHERS {
        let answer = folder.scan(&[name]);
        assert_eq!(answer.code, 2, "{name}: {}", answer.report);
        assert!(answer.stderr.starts_with(&format!("{name}:")), "{}", answer.stderr);
    }
}

#[test]
fn stdin_is_a_path_and_must_hold_objects() {
    let folder = Folder::with(&[("all.yaml", EVERYWHERE)]);
    let answer = folder.scan_stdin(&["-", "--policy", "all.yaml"], &deployment("cart", ""));
    assert_eq!(answer.lines(), ["-:10:11 Deployment -/cart all forbidLatestTag web"]);
    assert_eq!(folder.scan_stdin(&["-"], "a: b\n").code, 2);
}
