//! What is refused: tests that are not what they seem, and files made to hurt.

use std::fmt::Write;
use std::fs;

use super::{case, of_text, test};
use crate::support::binary;

const SPEC: &str = "{forbidLatestTag: true}";

/// The only fault, as `LINE:COLUMN: MESSAGE`.
fn fault(text: &str) -> String {
    let results = of_text(text);
    assert!(results.cases.is_empty(), "it ran");
    let faults: Vec<_> =
        results.faults.iter().map(|it| format!("{}: {}", it.place, it.message)).collect();
    let [fault] = &faults[..] else { panic!("{faults:#?}") };
    fault.split_once("test.yaml:").map_or(fault.clone(), |(_, rest)| rest.to_owned())
}

#[test]
fn a_test_that_asserts_nothing_or_is_misspelt_is_refused_with_its_place() {
    let expect = "  expect: {decision: allow}\n";
    let one = |rest: &str| test(SPEC, &case("c", "nginx", rest));
    for (text, expected) in [
        (
            one("  expekt: {decision: allow}\n"),
            "9:3: cases[0]: unknown field `expekt`; did you mean `expect`?",
        ),
        (
            one("  expect: {descision: deny}\n"),
            "9:12: cases[0].expect: unknown field `descision`; did you mean `decision`?",
        ),
        (
            one("  expect: {decision: denied}\n"),
            "9:22: cases[0].expect.decision: unknown variant `denied`",
        ),
        (one(""), "7:3: the case expects nothing; set decision"),
        (one("  expect: {}\n"), "9:3: the case expects nothing"),
        (one("  expect: {message: [\"\"]}\n"), "9:3: the case expects nothing"),
        (
            one("  time: soon\n  expect: {decision: allow}\n"),
            "9:3: \"soon\" is no time; write it as in RFC 3339",
        ),
        (
            one("  objectFile: pod.yaml\n  expect: {decision: allow}\n"),
            "7:3: a case has either object or objectFile",
        ),
        (test(SPEC, " []\n"), "6:1: there are no cases"),
        (
            test(SPEC, &(case("c", "a:1", expect) + &case("c", "a:1", expect))),
            "10:3: there are two cases with the name \"c\"",
        ),
        (
            one(expect).replace("PolicyTest", "PolicyTests"),
            "2:1: kind is \"PolicyTests\"; a test has kind: PolicyTest",
        ),
        ("kind: Other # PolicyTest\n".to_owned(), "there is no PolicyTest in it"),
        ("a: b\n".to_owned(), "there is no PolicyTest in it"),
        (one(expect).replace("podgate/v1", "podgate/v2"), "1:1: apiVersion is \"podgate/v2\""),
        (
            one(expect).replace("kind: Pod,", "kind: ConfigMap,"),
            "7: case \"c\": podgate does not judge v1 ConfigMap",
        ),
        (
            one(expect).replace("apiVersion: v1,", "apiVersion: extensions/v1beta1,"),
            "7: case \"c\": no Kubernetes serves",
        ),
        (
            one(expect).replace("{name: web}, spec", "{name: web, namespace: shop}, spec"),
            "7:3: an object is of the namespace \"shop\"",
        ),
        (
            one(expect).replace("forbidLatestTag", "forbidLatestTags"),
            "5:20: spec: unknown field `forbidLatestTags`; did you mean `forbidLatestTag`?",
        ),
        (
            one(expect).replace(
                "{forbidLatestTag: true}",
                "{validations: [{name: v, expression: \"1 +\", message: m}]}",
            ),
            "spec.validations[0].expression",
        ),
        (
            one(expect).replace("- {name: p,", "- {name: p, spec: {}}\n- {name: p,"),
            "6:3: there are two policies with the name \"p\"",
        ),
        (
            one(expect).replace("- {name: p, spec: {forbidLatestTag: true}}", "- nowhere.yaml"),
            "5:3: cannot read",
        ),
        (
            one(expect).replace("forbidLatestTag: true", "graceUntil: \"2027-01-01T00:00:00Z\""),
            "7:3: policy \"p\" has an end",
        ),
    ] {
        let found = fault(&text);
        assert!(found.contains(expected), "{expected}\n{found}\n{text}");
    }
}

#[test]
fn a_test_of_a_name_that_is_there_already_does_not_run() {
    let one = test(SPEC, &case("c", "a:1", "  expect: {decision: allow}\n"));
    let results = of_text(&format!("{one}---\n{one}"));
    assert_eq!((results.cases.len(), results.faults.len()), (1, 1));
    assert!(results.faults[0].place.ends_with(":13:12"), "{}", results.faults[0].place);
    assert!(results.faults[0].message.contains("two tests with the name \"t\""));
}

#[test]
fn files_made_to_hurt_are_refused_or_passed_over_in_no_time() {
    let large = test(SPEC, "") + &"# PolicyTest\n".repeat(4 << 20);
    assert!(large.len() > 50_000_000);
    assert!(fault(&large).contains("larger than 16 MiB"));
    let deep = test(SPEC, &format!("- {}", "[".repeat(100_000)));
    assert!(fault(&deep).contains("nests deeper than 128 levels"));
    let mut bomb = "kind: PolicyTest\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let _ = writeln!(
            bomb,
            "a{level}: &a{level} [{}]",
            vec![format!("*a{}", level - 1); 10].join(",")
        );
    }
    assert!(fault(&bomb).contains("repeat more than"));
    // A pod that is too large to be judged is a violation of every rule, here too.
    let containers = "{name: c, image: \"a:1\"},".repeat(5_000);
    let text = test(SPEC, &case("c", "a:1", "  expect: {rules: [forbidLatestTag]}\n"))
        .replace("containers: [", &format!("containers: [{containers}"));
    let results = of_text(&text);
    assert!(results.faults.is_empty() && results.failed() == 0, "{:?}", results.cases[0].failures);
}

#[test]
fn the_standard_input_of_the_command_is_no_policy_and_no_object() {
    let dir = tempfile::tempdir().unwrap();
    let text = test(SPEC, &case("c", "a:1", "  expect: {rules: []}\n"));
    let policy = text.replace("- {name: p, spec: {forbidLatestTag: true}}", "- \"-\"");
    let object = test(SPEC, "- {name: c, objectFile: \"-\", expect: {rules: []}}\n");
    for text in [policy, object] {
        fs::write(dir.path().join("t.yaml"), text).unwrap();
        let output = binary::command()
            .args(["policy", "test", "t.yaml"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("cannot read"), "{stderr}");
    }
}

#[test]
fn a_fault_in_one_file_does_not_stop_the_others_and_the_exit_code_tells() {
    let dir = tempfile::tempdir().unwrap();
    let good = test(SPEC, &case("c", "a:1", "  expect: {rules: []}\n"));
    fs::write(dir.path().join("a.yaml"), "kind: PolicyTest\nkind: [\n").unwrap();
    fs::write(dir.path().join("b.yaml"), good).unwrap();
    let output = binary::run(&["policy", "test", dir.path().to_str().unwrap()]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), &*stdout), (Some(2), "1 case passed, 0 failed\n"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a.yaml:"));
    let missing = binary::run(&["policy", "test", "no/such/folder"]);
    assert_eq!(missing.status.code(), Some(3), "I/O");
}
