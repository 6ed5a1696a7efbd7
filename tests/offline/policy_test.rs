//! `podgate policy test`: the project's own tests of policies in `tests/policies`, and what makes a test fail, be refused
//! or be rewritten.

mod init;
mod pages;
mod refused;
mod updated;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use podgate::api::BundleName;
use podgate::inputs::find_manifests;
use podgate::policy_test::results::Results;
use podgate::policy_test::runner;
use serde_json::Value;

use crate::support::binary;

fn own(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies").join(folder)
}

fn run(path: &Path) -> Results {
    let found = find_manifests(&[path.to_owned()], &[]);
    let mut results = runner::run(&found.inputs, false);
    results.faults.extend(found.faults);
    results
}

/// Runs a test of this text.
fn of_text(text: &str) -> Results {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.yaml");
    fs::write(&path, text).unwrap();
    run(&path)
}

/// A test of one policy, with these cases.
fn test(spec: &str, cases: &str) -> String {
    format!(
        "apiVersion: podgate/v1\nkind: PolicyTest\nmetadata: {{name: t}}\npolicies:\n- {{name: p, spec: {spec}}}\ncases:\n{cases}"
    )
}

/// A case with a pod of this image.
fn case(name: &str, image: &str, rest: &str) -> String {
    format!(
        "- name: {name}\n  object: {{apiVersion: v1, kind: Pod, metadata: {{name: web}}, spec: {{containers: [{{name: web, image: \"{image}\"}}]}}}}\n{rest}"
    )
}

fn assert_passes(results: &Results) {
    let failed: Vec<_> = results.cases.iter().filter(|it| !it.failures.is_empty()).collect();
    let failed: Vec<_> = failed.iter().map(|it| (&it.name, &it.failures, &it.text)).collect();
    assert!(failed.is_empty() && results.faults.is_empty(), "{failed:#?} {:#?}", results.faults);
}

/// `WHAT: EXPECTED / FOUND` of the only case.
fn failures(results: &Results) -> Vec<String> {
    assert!(results.faults.is_empty(), "{:?}", results.faults);
    let [case] = &results.cases[..] else { panic!("{} cases", results.cases.len()) };
    let shown =
        case.failures.iter().map(|it| format!("{}: {} / {}", it.what, it.expected, it.found));
    shown.collect()
}

#[test]
fn the_cases_of_every_bundle_pass_and_exercise_all_of_it() {
    let files: BTreeSet<_> =
        fs::read_dir(own("bundles")).unwrap().map(|it| it.unwrap().path()).collect();
    let bundles = BundleName::ALL.map(|it| own("bundles").join(format!("{}.yaml", it.as_str())));
    assert_eq!(files, BTreeSet::from(bundles));
    for file in files {
        let results = run(&file);
        assert_passes(&results);
        let missing: Vec<_> = results.coverage.uncovered().map(|it| it.part.missing()).collect();
        assert!(missing.is_empty(), "{}: {missing:?}", file.display());
    }
    // Rules of running pods are no part: 3 of permissive, 3 and 12 checks of baseline, 5 and 15 of restricted, twice each.
    assert_eq!(run(&own("bundles")).coverage.counts(), (76, 76));
}

#[test]
fn the_samples_decide_what_their_tests_say() {
    let results = run(&own("samples"));
    assert_passes(&results);
    let missing: Vec<_> = results.coverage.uncovered().map(|it| it.part.missing()).collect();
    assert!(missing.is_empty() && results.cases.len() > 20, "{missing:?}");
}

#[test]
fn the_command_runs_every_test_below_a_folder_and_shows_the_coverage() {
    let output = binary::run(&["policy", "test", "tests/policies", "--coverage"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(stdout.contains("coverage: ") && stdout.ends_with(" passed, 0 failed\n"), "{stdout}");
}

#[test]
fn each_kind_of_expectation_fails_where_it_is_not_met() {
    let spec = "{forbidLatestTag: true, enforcementMode: enforce, mutate: true, imageTags: [{image: redis, from: latest, to: \"8\"}],
        exemptions: [{rules: [forbidLatestTag], names: [spared], reason: r, owner: o}]}";
    let of = |image: &str, expect: &str| {
        failures(&of_text(&test(spec, &case("c", image, &format!("  expect: {expect}\n")))))
    };
    assert_eq!(
        of(
            "nginx",
            "{decision: deny, rules: [forbidLatestTag], exempt: [], message: [nginx], patch: []}"
        ),
        [""; 0]
    );
    assert_eq!(of("nginx", "{decision: warn}"), ["decision: warn / deny"]);
    assert_eq!(of("nginx", "{rules: []}"), ["rules: none / forbidLatestTag"]);
    assert_eq!(of("nginx:1", "{rules: [forbidLatestTag]}"), ["rules: forbidLatestTag / none"]);
    assert_eq!(of("nginx", "{exempt: [forbidLatestTag]}"), ["exempt: forbidLatestTag / none"]);
    assert_eq!(
        of("nginx", "{message: [nginx, redis]}"),
        ["message: a text with \"redis\" / the text below"]
    );
    assert_eq!(
        of("nginx:1", "{message: [nginx]}"),
        ["message: a text with \"nginx\" / no message"]
    );
    let found = of("redis", "{patch: []}");
    assert!(
        found.len() == 1 && found[0].starts_with("patch: [] / [{") && found[0].contains("redis:8"),
        "{found:?}"
    );
    let unlike = "{patch: [{op: replace, path: /spec/containers/0/image, value: nginx}]}";
    assert!(of("nginx:1", unlike)[0].starts_with("patch: "));
    // What a person reads of a failure: the place of the case, and the denial.
    let results = of_text(&test(spec, &case("c", "nginx", "  expect: {decision: allow}\n")));
    assert_eq!((results.cases[0].line, results.cases[0].text.contains("nginx")), (8, true));
}

#[test]
fn who_creates_what_when_and_where_is_the_case_s() {
    let spec = "{forbidLatestTag: true, enforcementMode: enforce, graceUntil: \"2027-01-01T00:00:00Z\", namespaceSelector: {matchLabels: {team: cart}}}";
    let pod = "  object: {apiVersion: v1, kind: Pod, metadata: {name: web, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: u, controller: true}]}, spec: {containers: [{name: web, image: nginx}]}}\n";
    let by = "  user: {username: \"system:serviceaccount:kube-system:replicaset-controller\"}\n";
    let at = |year: u32| format!("  time: \"{year}-06-01T00:00:00Z\"\n");
    let in_cart = "  namespaceLabels: {team: cart}\n";
    let expect = |decision: &str| format!("  expect: {{decision: {decision}}}\n");
    let mut cases = String::new();
    for (name, parts, decision) in [
        ("by its controller, in the grace", [in_cart, by, &at(2026)], "grace"),
        ("by a person", [in_cart, "", &at(2026)], "deny"),
        ("after the grace", [in_cart, by, &at(2027)], "deny"),
        ("elsewhere", ["", "", &at(2026)], "allow"),
        ("in a protected namespace", [in_cart, "  namespace: kube-public\n", &at(2026)], "allow"),
    ] {
        let _ = write!(cases, "- name: {name}\n{pod}{}{}", parts.concat(), expect(decision));
    }
    assert_passes(&of_text(&test(spec, &cases)));
}

#[test]
fn a_case_in_a_namespace_that_no_policy_covers_says_so() {
    let spec = "{forbidLatestTag: true, excludeNamespaces: [default]}";
    let results =
        of_text(&test(spec, &case("c", "nginx", "  expect: {rules: [forbidLatestTag]}\n")));
    assert_eq!(failures(&results), ["rules: forbidLatestTag / none"]);
    assert_eq!(results.cases[0].text, "no policy of the test covers the namespace \"default\"");
    assert_eq!(results.coverage.counts(), (0, 2));
}

#[test]
fn an_update_inherits_what_was_there_and_a_mirror_pod_covers_nothing() {
    let spec = "{forbidLatestTag: true, enforcementMode: enforce}";
    let old = "  oldObject: {apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: nginx}]}}\n";
    let cases = case("the same", "nginx", &format!("{old}  expect: {{decision: warn}}\n"))
        + &case("a new one", "redis", &format!("{old}  expect: {{decision: deny}}\n"));
    assert_passes(&of_text(&test(spec, &cases)));
    let mirror = "- name: mirror\n  user: {username: \"system:node:n1\"}\n  object: {apiVersion: v1, kind: Pod, metadata: {name: web, annotations: {kubernetes.io/config.mirror: x}, ownerReferences: [{apiVersion: v1, kind: Node, name: n1, uid: u, controller: true}]}, spec: {nodeName: n1, containers: [{name: web, image: nginx}]}}\n  expect: {decision: allow}\n";
    let results = of_text(&test(spec, mirror));
    assert_passes(&results);
    assert_eq!(results.coverage.counts(), (0, 2));
}

#[test]
fn what_no_case_exercises_is_named() {
    let spec = "{forbidLatestTag: true, podSecurity: baseline, validations: [{name: v, expression: \"true\", message: m}],
        exemptions: [{rules: [forbidLatestTag], names: [spared], reason: r, owner: o}]}";
    let results =
        of_text(&test(spec, &case("c", "nginx", "  expect: {rules: [forbidLatestTag]}\n")));
    let missing: Vec<_> = results.coverage.uncovered().map(|it| it.part.missing()).collect();
    // forbidLatestTag, 12 checks and the validation, twice, and the exemption.
    assert_eq!(results.coverage.counts(), (14, 29));
    for part in [
        "no case passes forbidLatestTag",
        "no case violates podSecurity/hostPathVolumes",
        "no case violates validations/v",
        "no case needs spec.exemptions[0]",
    ] {
        assert!(missing.iter().any(|it| it == part), "{part}: {missing:?}");
    }
    assert_eq!(missing.len(), 15);
}

#[test]
fn every_format_shows_the_failure_and_the_exit_code_counts_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.yaml");
    let cases = case("good & bad <", "nginx", "  expect: {decision: allow}\n")
        + &case("fine", "nginx:1", "  expect: {decision: allow}\n");
    fs::write(&file, test("{forbidLatestTag: true, enforcementMode: enforce}", &cases)).unwrap();
    fs::write(dir.path().join("values.yaml"), "a: {{ .Values.b }}\n").unwrap();
    let shown = |format: &str| {
        let output = binary::run(&["policy", "test", dir.path().to_str().unwrap(), "-o", format]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("1 of 2 cases failed"), "{stderr}");
        String::from_utf8(output.stdout).unwrap()
    };
    let place = format!("{}:7", file.display());
    let table = shown("table");
    assert!(table.contains(&format!("FAIL  {place}: t: good & bad <")), "{table}");
    assert!(
        table.contains("decision: expected allow; found deny") && table.contains("| "),
        "{table}"
    );
    let json: Value = serde_json::from_str(&shown("json")).unwrap();
    assert_eq!(
        (json["apiVersion"].as_str(), json["summary"]["failed"].as_u64()),
        (Some("podgate/v1"), Some(1))
    );
    assert_eq!(json["cases"][0]["failures"][0]["found"], "deny");
    assert_eq!(json["coverage"]["percent"], 100);
    let junit = shown("junit");
    let xml = roxmltree::Document::parse(&junit).unwrap();
    let failed = xml.descendants().find(|it| it.has_tag_name("failure")).unwrap();
    assert_eq!(failed.parent().unwrap().attribute("name"), Some("good & bad <"));
    assert_eq!(xml.descendants().filter(|it| it.has_tag_name("testcase")).count(), 2);
    let github = shown("github");
    assert!(
        github.starts_with(&format!("::error file={},line=7,title=t%3A good", file.display())),
        "{github}"
    );
}

#[test]
fn a_coverage_below_the_least_fails() {
    let dir = tempfile::tempdir().unwrap();
    let text = test(
        "{forbidLatestTag: true}",
        &case("c", "nginx", "  expect: {rules: [forbidLatestTag]}\n"),
    );
    fs::write(dir.path().join("t.yaml"), text).unwrap();
    let code = |least: &str| {
        binary::run(&["policy", "test", dir.path().to_str().unwrap(), "--min-coverage", least])
            .status
            .code()
    };
    assert_eq!([code("50"), code("51")], [Some(0), Some(1)]);
}

#[test]
fn what_podgateignore_names_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let text = test("{forbidLatestTag: true}", &case("c", "nginx", "  expect: {rules: []}\n"));
    fs::create_dir(dir.path().join("old")).unwrap();
    fs::write(dir.path().join("old/t.yaml"), &text).unwrap();
    assert_eq!(run(dir.path()).failed(), 1);
    fs::write(dir.path().join(".podgateignore"), "old/\n").unwrap();
    assert_eq!(run(dir.path()).cases.len(), 0);
    let output = binary::run(&["policy", "test", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "nothing to run is no success");
}
