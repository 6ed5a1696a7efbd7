//! What is not read: `.podgateignore`, `--exclude`, folders of dependencies; and repositories of many files.

use serde_json::json;

use super::{Folder, deployment};

fn repository(files: &[&str]) -> Folder {
    let folder = Folder::with(&[]);
    for file in files {
        folder.write(file, deployment("web", "").as_bytes());
    }
    folder
}

/// The files with findings.
fn files(folder: &Folder, args: &[&str]) -> Vec<String> {
    let answer = folder.scan(args);
    let mut files: Vec<_> = answer.files().into_iter().map(str::to_owned).collect();
    files.dedup();
    files
}

#[test]
fn patterns_of_files_and_flags_leave_out_what_is_in_folders() {
    let folder = repository(&[
        "a.yaml",
        "tests/b.yaml",
        "deploy/c.yaml",
        "deploy/old/d.yaml",
        "deploy/old/keep.yaml",
    ]);
    folder.write(".podgateignore", b"# not ours\ntests/\n");
    folder.write("deploy/.podgateignore", b"/old/*\n!keep.yaml\n");
    let kept = ["a.yaml", "deploy/c.yaml", "deploy/old/keep.yaml"];
    assert_eq!(files(&folder, &[]), kept);
    assert_eq!(files(&folder, &["--exclude", "/deploy", "--exclude", "x.yaml"]), ["a.yaml"]);
    assert_eq!(files(&folder, &["--exclude", "keep.yaml"]), kept[..2]);
    let answer = folder.scan(&[]);
    assert_eq!(answer.report["unjudged"]["passedOver"], json!({"excluded": 2}));
    // The patterns of outer folders count, and what is named is read.
    folder.write("deploy/tests/e.yaml", deployment("web", "").as_bytes());
    assert_eq!(files(&folder, &["deploy"]), kept[1..]);
    assert_eq!(files(&folder, &["tests/b.yaml", "--exclude", "b.yaml"]), ["tests/b.yaml"]);
}

#[test]
fn patterns_are_those_of_the_working_directory_however_a_path_is_given() {
    let folder = repository(&["a.yaml", "deploy/b.yaml", "deploy/old/c.yaml", "old/d.yaml"]);
    folder.write(".podgateignore", b"/deploy/old\n");
    // What the process itself calls its working directory.
    let whole = folder.path().canonicalize().unwrap();
    for (path, excluded, expected) in [
        ("", "/old", &["a.yaml", "deploy/b.yaml"][..]),
        ("", "/deploy", &["a.yaml", "old/d.yaml"]),
        ("deploy", "/deploy/b.yaml", &[]),
        ("deploy", "/b.yaml", &["deploy/b.yaml"]),
    ] {
        let full = whole.join(path).display().to_string();
        let relative = format!("./{path}");
        for given in [full.trim_end_matches('/'), &relative] {
            let found = files(&folder, &[given, "--exclude", excluded]);
            let below = format!("{}/", whole.display());
            let found: Vec<_> = found.iter().map(|it| it.trim_start_matches(&below)).collect();
            assert_eq!(found, expected, "{given} without {excluded}");
        }
    }
}

#[test]
fn a_pattern_that_is_none_is_a_fault_with_its_place() {
    let folder = repository(&["a.yaml"]);
    let answer = folder.scan(&["--exclude", "[a"]);
    assert_eq!(answer.code, 2);
    assert!(
        answer.stderr.starts_with("--exclude: \"[a\" has a [ without its ]"),
        "{}",
        answer.stderr
    );
    folder.write(".podgateignore", b"x\n[a\n");
    let answer = folder.scan(&[]);
    assert_eq!((answer.code, answer.files().len()), (2, 3));
    assert!(answer.stderr.starts_with(".podgateignore:2: "), "{}", answer.stderr);
    assert_eq!(answer.report["faults"].as_array().unwrap().len(), 1, "it is told once");
}

#[test]
fn folders_of_dependencies_are_passed_over_and_told_and_read_where_they_are_named() {
    let folder =
        repository(&["a.yaml", "web/node_modules/x/b.yaml", "vendor/c.yaml", ".git/d.yaml"]);
    let answer = folder.scan(&["."]);
    assert_eq!(answer.report["unjudged"]["passedOver"], json!({"dependencies": 2}));
    assert_eq!(files(&folder, &["."]), ["a.yaml"]);
    assert_eq!(files(&folder, &["vendor"]), ["vendor/c.yaml"]);
}

#[test]
fn ten_thousand_files_are_read() {
    let folder = Folder::with(&[]);
    let (manifest, values) = (deployment("web", "shop"), "image: nginx\nx: [1, 2]\n".repeat(20));
    for number in 0..10_000 {
        let text = if number % 10 == 0 { &manifest } else { &values };
        folder.write(&format!("{}/{number}.yaml", number % 100), text.as_bytes());
    }
    let answer = folder.scan(&["--fail-on", "never"]);
    assert_eq!((answer.code, answer.count("workloads")), (0, 1000), "{}", answer.stderr);
    assert_eq!(answer.report["unjudged"]["passedOver"], json!({"other": 9000}));
}
