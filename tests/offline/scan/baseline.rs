//! A baseline holds what is known, so that only what is new is shown and fails.

use std::fs;

use serde_json::Value;

use super::{EVERYWHERE, Folder, deployment};

const BASELINE: &str = ".podgate-baseline.json";

fn repository() -> Folder {
    let folder = Folder::with(&[("p/p.yaml", EVERYWHERE)]);
    folder.write("app/a.yaml", deployment("cart", "shop").as_bytes());
    folder
}

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["app", "--policy", "p"], more].concat()
}

#[test]
fn what_was_there_is_known_however_its_lines_and_files_move() {
    let folder = repository();
    let written = folder.scan(&args(&["--write-baseline", BASELINE]));
    assert_eq!(
        (written.code, written.report["known"].as_u64()),
        (0, Some(1)),
        "{}",
        written.stderr
    );
    let text = fs::read_to_string(folder.path().join(BASELINE)).unwrap();
    insta::assert_snapshot!(text, @r#"
    {
      "apiVersion": "podgate/v1",
      "kind": "Baseline",
      "violations": [
        {
          "kind": "Deployment",
          "namespace": "shop",
          "name": "cart",
          "rule": "forbidLatestTag",
          "container": "web",
          "path": "spec.template.spec.containers[].image",
          "count": 1
        }
      ]
    }
    "#);

    let moved = deployment("cart", "shop").replace(
        "      containers:\n",
        "      containers:\n        - {name: first, image: 'a:1'}\n",
    );
    fs::remove_file(folder.path().join("app/a.yaml")).unwrap();
    folder.write("app/moved.yaml", format!("# moved\n\n{moved}").as_bytes());
    let known = folder.scan(&args(&["--baseline", BASELINE]));
    assert_eq!((known.code, known.count("violations")), (0, 0), "{}", known.stderr);
    assert_eq!(known.report["summary"]["score"], 70, "the score is of what is there");
    let table = folder.run(&args(&["--baseline", BASELINE]), "").stdout;
    let table = String::from_utf8(table).unwrap();
    let line = "no new violation in 1 workload (1 document); score 70; 1 violation known\n";
    assert_eq!(table, line);
}

#[test]
fn what_is_new_fails_and_is_all_that_is_shown() {
    let folder = repository();
    folder.scan(&args(&["--write-baseline", BASELINE]));
    // One more of the same: as many are known as were there.
    folder.write("app/b.yaml", deployment("cart", "shop").as_bytes());
    folder.write("app/c.yaml", deployment("other", "shop").as_bytes());
    let answer = folder.scan(&args(&["--baseline", BASELINE]));
    assert_eq!((answer.code, answer.report["known"].as_u64()), (1, Some(1)));
    assert_eq!(answer.files(), ["app/b.yaml", "app/c.yaml"]);
    // Without a baseline, nothing is said of one.
    assert_eq!(folder.scan(&args(&[])).report["known"], Value::Null);
}

#[test]
fn a_file_that_is_no_baseline_is_refused_with_how_to_write_one() {
    let folder = repository();
    folder.write("odd.json", b"{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"violations\": []}");
    folder.write("broken.json", b"{");
    for file in ["odd.json", "broken.json", "absent.json"] {
        let output = folder.run(&args(&["--baseline", file]), "");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{stderr}");
        let cure = format!("write it anew: podgate scan --write-baseline {file}\n");
        assert!(stderr.contains(file) && stderr.ends_with(&cure), "{stderr}");
    }
    let both = folder.run(&args(&["--baseline", BASELINE, "--write-baseline", BASELINE]), "");
    assert_eq!(both.status.code(), Some(2));
}
