//! Part of `make test`: a policy's severities apply in every command and webhook that works without a cluster. The
//! audit's suite covers the rest: status, reports, Events.

use std::fs;

use podgate::policy::workload::Kind;
use serde_json::Value;

use crate::support::binary::{self, Standalone};
use crate::support::manifests::{pod, workload};
use crate::support::review;

/// The reverse of the catalogue: its mildest rule is the most severe here, and the only one that denies.
const POLICY: &str = "apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata: {name: turned}
spec:
  enforcementMode: enforce
  denySeverity: high
  forbidLatestTag: true
  requireLivenessProbe: true
  requireReadinessProbe: true
  validations: [{name: own, expression: 'false', message: never, severity: high}]
  severityOverrides: {forbidLatestTag: low, requireReadinessProbe: critical, validations/own: medium}
";

/// The four violations in the policy's order: worst first, then by rule.
const RATED: [(&str, &str); 4] = [
    ("requireReadinessProbe", "critical"),
    ("requireLivenessProbe", "medium"),
    ("validations/own", "medium"),
    ("forbidLatestTag", "low"),
];

fn scan(args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let [policy, manifest] = ["policy.yaml", "web.json"].map(|name| dir.path().join(name));
    fs::write(&policy, POLICY).unwrap();
    fs::write(&manifest, workload(Kind::Deployment, pod("nginx")).to_string()).unwrap();
    let mut podgate = binary::command();
    podgate.arg("scan").arg("-f").arg(manifest).arg("--policy").arg(policy).args(args);
    let output = podgate.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The rules of the catalogue in the order in which a text first names them.
fn order(text: &str) -> Vec<&'static str> {
    let mut found: Vec<_> =
        RATED.iter().filter_map(|(rule, _)| Some((text.find(rule)?, *rule))).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, rule)| rule).collect()
}

#[test]
fn a_scan_rates_and_orders_by_the_severity_of_the_policy_in_every_format() {
    let rules = RATED.map(|(rule, _)| rule);
    for format in ["table", "wide", "json", "yaml", "markdown", "github"] {
        assert_eq!(order(&scan(&["-o", format])), rules, "{format}");
    }
    // One test case per rule, by name, as in a test report; each failure has the policy's severity.
    let junit = scan(&["-o", "junit"]);
    for (_, severity) in RATED {
        assert!(junit.contains(&format!("type=\"{severity}\"")), "{junit}");
    }
    let report: Value = serde_json::from_str(&scan(&["-o", "json"])).unwrap();
    let text = |it: &Value, field: &str| it[field].as_str().unwrap().to_owned();
    let rated: Vec<_> = report["results"].as_array().unwrap().iter().collect();
    let rated: Vec<_> = rated.iter().map(|it| (text(it, "rule"), text(it, "severity"))).collect();
    assert_eq!(rated, RATED.map(|(rule, severity)| (rule.to_owned(), severity.to_owned())));
}

#[test]
fn sarif_levels_follow_the_policy_and_so_do_its_rules() {
    let sarif: Value = serde_json::from_str(&scan(&["-o", "sarif"])).unwrap();
    let run = &sarif["runs"][0];
    let level = |severity: &str| match severity {
        "critical" | "high" => "error",
        "medium" => "warning",
        _ => "note",
    };
    for (rule, severity) in RATED {
        let result = run["results"].as_array().unwrap().iter().find(|it| it["ruleId"] == rule);
        assert_eq!(result.unwrap()["level"], level(severity), "{rule}");
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let described = rules.iter().find(|it| it["id"] == rule).unwrap();
        assert_eq!(described["defaultConfiguration"]["level"], level(severity), "{rule}");
    }
}

#[test]
fn a_pipeline_fails_by_the_severity_of_the_policy() {
    let failed = |args: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("policy.yaml");
        fs::write(
            &policy,
            POLICY.replace("requireReadinessProbe: critical", "requireReadinessProbe: low"),
        )
        .unwrap();
        let manifest = dir.path().join("web.json");
        fs::write(&manifest, workload(Kind::Deployment, pod("nginx")).to_string()).unwrap();
        let mut podgate = binary::command();
        podgate.arg("scan").arg("-f").arg(manifest).arg("--policy").arg(policy).args(args);
        podgate.output().unwrap().status.code()
    };
    assert_eq!(failed(&["--fail-on", "high"]), Some(0), "the policy rates nothing as high");
    assert_eq!(failed(&["--fail-on", "medium"]), Some(1));
}

#[test]
fn admission_denies_warns_and_counts_by_the_severity_of_the_policy() {
    let standalone = Standalone::with(POLICY);
    let bad = review::create("shop", &workload(Kind::Deployment, pod("nginx")));
    let response = standalone.podgate.review(&bad);
    assert_eq!(response["allowed"], false);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("requireReadinessProbe (critical) · policy turned"), "{message}");
    assert_eq!(order(message), ["requireReadinessProbe"], "the others are below denySeverity");
    let warnings: Vec<_> = response["warnings"].as_array().unwrap().iter().collect();
    let warnings: Vec<_> = warnings.iter().filter_map(|it| it.as_str()).collect();
    let expected =
        RATED[1..].iter().map(|(rule, severity)| format!("podgate: {rule} ({severity})"));
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(&expected), "{warnings:?}");
    }
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    let denials = |rule: &str, severity: &str| {
        let series =
            format!("podgate_admission_denials_total{{rule=\"{rule}\",severity=\"{severity}\"}}");
        standalone.podgate.metric(&series)
    };
    assert_eq!(denials("requireReadinessProbe", "critical"), Some(1.0));
    assert_eq!(denials("requireReadinessProbe", "low"), None);
    assert_eq!(denials("forbidLatestTag", "low"), None);
}

#[test]
fn the_score_falls_by_the_severity_that_the_policy_gives_a_broken_rule() {
    let score = |overrides: &str| {
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("policy.yaml");
        let spec = format!(
            "{{forbidLatestTag: true, requireReadinessProbe: true, severityOverrides: {overrides}}}"
        );
        let head =
            "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {name: p}\nspec: ";
        fs::write(&policy, format!("{head}{spec}\n")).unwrap();
        let manifest = dir.path().join("web.json");
        fs::write(&manifest, workload(Kind::Deployment, pod("nginx:1.29")).to_string()).unwrap();
        let mut podgate = binary::command();
        podgate.arg("scan").arg("-f").arg(manifest).arg("--policy").arg(policy);
        let output = podgate.args(["-o", "json"]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["summary"]["score"].as_u64().unwrap()
    };
    assert_eq!(score("{}"), 90);
    assert_eq!(score("{requireReadinessProbe: critical}"), 50);
    assert_eq!(score("{forbidLatestTag: critical}"), 90, "nothing breaks it");
}
