//! The examples of the pages decide what the pages say.

use std::fs;
use std::path::Path;

use super::{assert_passes, run};

/// The first example in YAML of a page.
fn example(page: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = fs::read_to_string(page).unwrap();
    let (_, rest) = text.split_once("\n```yaml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_example_of_a_test_runs_beside_a_policy_of_its_shop() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("policies")).unwrap();
    fs::create_dir_all(dir.path().join("policy-tests")).unwrap();
    let policy = "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {name: shop, namespace: shop}\nspec: {forbidLatestTag: true}\n";
    fs::write(dir.path().join("policies/shop.yaml"), policy).unwrap();
    fs::write(dir.path().join("policy-tests/shop.yaml"), example("policy-test.md")).unwrap();
    let results = run(&dir.path().join("policy-tests"));
    assert_passes(&results);
    assert_eq!(results.cases.len(), 1);
}

#[test]
fn the_example_of_a_policy_does_what_its_comments_say() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("policy.yaml"), example("policies.md")).unwrap();
    let pod = |image: &str, volumes: &str, more: &str| {
        format!(
            "securityContext: {{runAsNonRoot: true}}, volumes: [{volumes}], containers: [{{name: web, image: \"{image}\", readinessProbe: {{tcpSocket: {{port: 80}}}},
              resources: {{requests: {{cpu: 1m, memory: 1Mi}}, limits: {{memory: 1Mi}}}}, securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}}}{more}]"
        )
    };
    let debug = ", {name: debug, image: \"ghcr.io/team/debug:1\", readinessProbe: {tcpSocket: {port: 81}}, resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {memory: 1Mi}}, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}";
    let host = "{name: logs, hostPath: {path: /var/log}}";
    let case = |name: &str, spec: &str, expect: &str| {
        format!(
            "- name: {name}\n  namespace: shop\n  object: {{apiVersion: v1, kind: Pod, metadata: {{name: web}}, spec: {{{spec}}}}}\n  expect: {{{expect}}}\n"
        )
    };
    let seccomp = "podSecurity/seccompProfile_restricted";
    let cases = [
        case(
            "a severity below denySeverity warns",
            &pod("ghcr.io/team/web:1", "", ""),
            &format!("decision: warn, rules: [{seccomp}]"),
        ),
        case(
            "another registry",
            &pod("quay.io/web:1", "", ""),
            &format!(
                "decision: deny, rules: [allowedRegistries, {seccomp}], message: [\"#platform\"]"
            ),
        ),
        case(
            "a debug container",
            &pod("ghcr.io/team/web:1", "", debug),
            &format!("decision: deny, rules: [{seccomp}, validations/no-debug]"),
        ),
        case(
            "the node's logs",
            &pod("ghcr.io/team/web:1", host, ""),
            &format!(
                "decision: deny, exempt: [], rules: [{seccomp}, podSecurity/restrictedVolumes]"
            ),
        ),
    ];
    let test = format!(
        "apiVersion: podgate/v1\nkind: PolicyTest\nmetadata: {{name: page}}\npolicies: [policy.yaml]\ntime: \"2027-01-01T00:00:00Z\"\ncases:\n{}",
        cases.concat()
    );
    fs::write(dir.path().join("test.yaml"), test).unwrap();
    let results = run(&dir.path().join("test.yaml"));
    assert_passes(&results);
    assert_eq!(results.cases.len(), 4);
}
