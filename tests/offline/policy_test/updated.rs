//! `--update`: what came is written instead of what was expected, and nothing else changes.

use std::fs;

use podgate::inputs::find_manifests;
use podgate::policy_test::runner;

use super::{case, test};
use crate::support::binary;

/// The text after an update, and the faults.
fn updated(text: &str) -> (Option<String>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.yaml");
    fs::write(&path, text).unwrap();
    let results = runner::run(&find_manifests(&[path], &[]).inputs, true);
    let text = results.updates.into_iter().next().map(|it| it.text);
    (text, results.faults.into_iter().map(|it| it.message).collect())
}

const TEXT: &str = "\
# A test.
apiVersion: podgate/v1
kind: PolicyTest
metadata: {name: t}
policies:
- {name: p, spec: {forbidLatestTag: true, requireReadinessProbe: true, enforcementMode: enforce}}  # both
cases:
# The first.
- name: lists below their key
  object: &pod {apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: nginx}]}}
  expect:
    rules:   # they change
    - validations/none
    decision: allow  # this too
- name: nothing yet
  object: *pod

- name: right already
  object: *pod
  expect: {rules: [requireReadinessProbe, forbidLatestTag], message: [nginx]}
- name: in a line
  object: *pod
  expect: {rules: [], decision: audit, exempt: [forbidLatestTag]}
# The end.
---
kind: Other
";

#[test]
fn only_failed_expectations_change_and_comments_stay() {
    let (text, faults) = updated(TEXT);
    assert_eq!(faults, [""; 0]);
    insta::assert_snapshot!(text.unwrap(), @r#"
    # A test.
    apiVersion: podgate/v1
    kind: PolicyTest
    metadata: {name: t}
    policies:
    - {name: p, spec: {forbidLatestTag: true, requireReadinessProbe: true, enforcementMode: enforce}}  # both
    cases:
    # The first.
    - name: lists below their key
      object: &pod {apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: nginx}]}}
      expect:
        rules:   # they change
        - forbidLatestTag
        - requireReadinessProbe
        decision: deny  # this too
    - name: nothing yet
      object: *pod
      expect:
        decision: deny
        rules:
        - forbidLatestTag
        - requireReadinessProbe

    - name: right already
      object: *pod
      expect: {rules: [requireReadinessProbe, forbidLatestTag], message: [nginx]}
    - name: in a line
      object: *pod
      expect: {rules: ["forbidLatestTag","requireReadinessProbe"], decision: deny, exempt: []}
    # The end.
    ---
    kind: Other
    "#);
}

#[test]
fn an_updated_test_passes_and_is_not_updated_again() {
    let (once, _) = updated(TEXT);
    assert_eq!(updated(&once.unwrap()), (None, Vec::new()));
}

#[test]
fn what_cannot_be_edited_without_loss_stays() {
    let shared = test(
        "{forbidLatestTag: true}",
        &(case("a", "nginx", "  expect: &same {rules: []}\n")
            + &case("b", "nginx", "  expect: *same\n")),
    );
    let (text, faults) = updated(&shared);
    assert!(text.is_none() && faults[0].contains("edit them by hand"), "{text:?} {faults:?}");
    let commented = test(
        "{forbidLatestTag: true}",
        &case("a", "nginx", "  expect:\n    rules:\n    - x  # why\n"),
    );
    let (text, faults) = updated(&commented);
    assert!(text.is_none() && faults[0].contains("edit them by hand"), "{text:?} {faults:?}");
    // A message says what matters, which podgate cannot know.
    let message =
        test("{forbidLatestTag: true}", &case("a", "nginx", "  expect: {message: [x]}\n"));
    assert_eq!(updated(&message), (None, Vec::new()));
}

#[test]
fn the_command_writes_the_file_and_says_that_a_person_should_look() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.yaml");
    fs::write(&path, test("{forbidLatestTag: true}", &case("a", "nginx", ""))).unwrap();
    let run = |args: &[&str]| {
        let path = path.to_str().unwrap();
        let output = binary::run(&[&["policy", "test", path], args].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&[]).0, Some(2));
    let (code, stderr) = run(&["--update"]);
    assert!(code == Some(1) && stderr.contains("read what changed"), "{stderr}");
    assert_eq!(run(&[]), (Some(0), String::new()));
    assert_eq!(run(&["--update"]), (Some(0), String::new()));
}
