//! `podgate policy init`: what it writes passes, covers all, and overwrites nothing.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::binary;

fn podgate(dir: &Path, args: &[&str]) -> Output {
    binary::command().args(args).current_dir(dir).output().unwrap()
}

#[test]
fn every_bundle_s_policy_comes_with_tests_that_exercise_all_of_it() {
    for bundle in ["permissive", "baseline", "restricted"] {
        let dir = tempfile::tempdir().unwrap();
        let output = podgate(dir.path(), &["policy", "init", "--bundle", bundle]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(stdout, format!("./policies/{bundle}.yaml\n./policy-tests/{bundle}.yaml\n"));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("podgate policy test ./policy-tests")
        );
        let output = podgate(dir.path(), &["policy", "test", "--min-coverage", "100"]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{stdout}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(stdout.contains("(100 %)"), "{stdout}");
        // The policy is one that scans take.
        let output = podgate(dir.path(), &["scan", "--policy", "policies", "policy-tests"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_file_that_is_there_stays_and_nothing_is_written_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path().join("policy-tests/baseline.yaml");
    fs::create_dir_all(there.parent().unwrap()).unwrap();
    fs::write(&there, "mine\n").unwrap();
    let output = podgate(dir.path(), &["policy", "init"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("is there already, and nothing was written")
    );
    assert_eq!(fs::read_to_string(&there).unwrap(), "mine\n");
    assert!(!dir.path().join("policies").exists());
    #[cfg(unix)]
    {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("policies")).unwrap();
        let link = dir.path().join("policies/baseline.yaml");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), link).unwrap();
        assert_eq!(podgate(dir.path(), &["policy", "init"]).status.code(), Some(2));
        assert!(!dir.path().join("elsewhere").exists(), "a link is not followed");
    }
}

#[test]
fn the_pipelines_run_the_tests_that_were_written() {
    for (ci, file) in
        [("github", ".github/workflows/podgate.yml"), ("gitlab", ".gitlab/podgate.yml")]
    {
        let dir = tempfile::tempdir().unwrap();
        let output = podgate(dir.path(), &["policy", "init", "--ci", ci]);
        assert_eq!(output.status.code(), Some(0));
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        let pipeline: Value = serde_saphyr::from_str(&text).unwrap();
        assert!(
            text.contains(&format!("v{}", env!("CARGO_PKG_VERSION"))) && !text.contains("VERSION"),
            "{text}"
        );
        let mut commands = Vec::new();
        strings(&pipeline, &mut commands);
        commands.retain(|it| it.starts_with("podgate "));
        assert!(
            commands.iter().any(|it| it.starts_with("podgate policy test policy-tests")),
            "{text}"
        );
        for command in commands {
            let args = command.split(" > ").next().unwrap().split(' ').skip(1);
            let output = podgate(dir.path(), &args.collect::<Vec<_>>());
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{command}: {stderr}");
        }
    }
}

/// The strings in a value.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|it| strings(it, found)),
        Value::Object(fields) => fields.values().for_each(|it| strings(it, found)),
        _ => {}
    }
}
