//! Part of `make test`: the binary under the names by which kubectl calls it.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::binary;
use crate::support::ran::Ran;

/// The binary under another name.
fn named(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(name);
    symlink(binary::path(), &program).unwrap();
    (folder, program)
}

/// What kubectl is answered for these words, of which the last is the one to complete.
fn completed(words: &[&str]) -> Vec<String> {
    let (_folder, program) = named("kubectl_complete-podgate");
    let ran = Ran::of(&Command::new(program).args(words).output().unwrap()).exits(0);
    assert_eq!(ran.stderr, "");
    ran.stdout.lines().map(str::to_owned).collect()
}

/// The same without descriptions.
fn words(typed: &[&str]) -> Vec<String> {
    completed(typed).iter().map(|it| it.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn a_plugins_usage_is_what_people_type() {
    let (_folder, program) = named("kubectl-podgate");
    let run = |args: &[&str]| Ran::of(&Command::new(&program).args(args).output().unwrap());
    run(&["scan", "--help"]).exits(0).prints(&["Usage: kubectl podgate scan [OPTIONS] [PATH]..."]);
    run(&["policy", "shw"]).exits(2).reports(&["Usage: kubectl podgate policy"]);
    run(&["explain", "forbidLatestTag"]).exits(0);
    let own = Ran::of(&binary::run(&["scan", "--help"]));
    own.exits(0).prints(&["Usage: podgate scan [OPTIONS] [PATH]..."]);
}

#[test]
fn commands_are_completed_with_what_they_do() {
    let lines = completed(&["sc"]);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("scan\tJudge manifests"), "{lines:?}");
    assert_eq!(lines[1], ":4");
    let all = words(&[""]);
    assert!(
        ["serve", "policy", "version"].iter().all(|it| all.iter().any(|word| word == it)),
        "{all:?}"
    );
    assert!(words(&["policy", ""]).contains(&"preview".to_owned()));
    assert_eq!(completed(&["nothing-like-it"]), [":4"]);
    assert_eq!(completed(&[]).last().unwrap(), ":4");
}

#[test]
fn flags_and_their_values_are_completed() {
    assert_eq!(words(&["scan", "--fail"]), ["--fail-on", ":4"]);
    assert_eq!(words(&["scan", "--fail-on", "de"]), ["denied", ":4"]);
    assert_eq!(words(&["scan", "--fail-on=de"]), ["denied", ":4"]);
    assert_eq!(words(&["scan", "-o", "sa"]), ["sarif", ":4"]);
    assert_eq!(words(&["scan", "--policy", "policies", "--bundle", "re"]), ["restricted", ":4"]);
    assert_eq!(words(&["completion", "ba"]), ["bash", ":4"]);
    // A value that looks like a command is none.
    assert_eq!(words(&["scan", "-n", "policy", "--fail-on", "cr"]), ["critical", ":4"]);
}

#[test]
fn files_are_completed_where_a_file_is_asked_for() {
    assert_eq!(words(&["scan", ""]), [":0"]);
    assert_eq!(words(&["scan", "--", "-"]), [":0"]);
    assert_eq!(words(&["scan", "--baseline", ""]), [":0"]);
    assert_eq!(words(&["scan", "-n", ""]), [":4"]);
    assert_eq!(words(&["scan", "--unknown", ""]), [":0"]);
}
