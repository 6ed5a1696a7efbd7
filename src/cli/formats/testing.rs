//! Reports for the formats' tests, and a standard to hold them to.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::api::Severity;
use crate::findings::{Fault, FaultKind, Report, Summary, Violation};

/// A violation of an object with nothing awkward about it.
pub(crate) fn plain() -> Violation {
    let path = "spec.template.spec.containers[0].image";
    Violation {
        file: Some("deploy/cart.yaml".to_owned()),
        line: Some(14),
        column: Some(18),
        kind: "Deployment".to_owned(),
        namespace: Some("shop".to_owned()),
        name: "cart".to_owned(),
        policy: "shop/baseline".to_owned(),
        rule: "forbidLatestTag".to_owned(),
        severity: Severity::High,
        container: Some("web".to_owned()),
        path: path.to_owned(),
        value: Some("nginx".to_owned()),
        message: format!(
            "{path} is \"nginx\" (no tag means :latest); pin the version that should run: nginx:VERSION"
        ),
        decision: None,
        fix: None,
    }
}

/// Texts that no API server would take, but that a file may hold and a terminal, a browser or a parser would obey.
fn awkward() -> Violation {
    Violation {
        file: Some("./a,b/50% é:|<x>.yaml".to_owned()),
        line: None,
        column: None,
        kind: "Pod".to_owned(),
        namespace: None,
        name: "日本`|<b>@admin\u{1b}[31m".to_owned(),
        policy: "all".to_owned(),
        rule: "validations/no-1.0".to_owned(),
        severity: Severity::Low,
        container: None,
        path: String::new(),
        value: Some("no".to_owned()),
        message: "100% \"wrong\" | `a` <b>&\n::error::gotcha\u{1b}[2J\t#1 @all".to_owned(),
        decision: None,
        fix: None,
    }
}

fn summary(documents: u64, workloads: u64, skipped: u64, violations: u64, score: u8) -> Summary {
    Summary { documents, workloads, skipped, violations, score: Some(score) }
}

/// These violations, in one workload of a few.
pub(super) fn with(results: Vec<Violation>) -> Report {
    let summary = summary(3, 2, 0, results.len() as u64, 71);
    Report { results, summary, ..Report::default() }
}

/// Three objects of two files and a cluster, two policies, four severities.
pub(super) fn violated() -> Report {
    let probe = Violation {
        line: Some(12),
        column: Some(9),
        rule: "requireReadinessProbe".to_owned(),
        severity: Severity::Low,
        path: "spec.template.spec.containers[0].readinessProbe".to_owned(),
        value: None,
        message: "spec.template.spec.containers[0].readinessProbe is missing; add one".to_owned(),
        decision: None,
        fix: Some(json!([{"op": "add", "path": "/spec", "value": {}}])),
        ..plain()
    };
    let running = Violation {
        file: None,
        line: None,
        column: None,
        kind: "StatefulSet".to_owned(),
        name: "db".to_owned(),
        rule: "maxRestartCount".to_owned(),
        severity: Severity::Critical,
        container: Some("postgres".to_owned()),
        path: "status.containerStatuses[0].restartCount".to_owned(),
        value: Some("12".to_owned()),
        message: "status.containerStatuses[0].restartCount is 12; at most 3 are allowed".to_owned(),
        ..plain()
    };
    let other =
        Violation { container: Some("sidecar".to_owned()), severity: Severity::Medium, ..plain() };
    Report {
        results: vec![probe, awkward(), plain(), running, other],
        summary: summary(6, 3, 2, 5, 62),
        ..Report::default()
    }
}

/// Everything passes.
pub(super) fn clean() -> Report {
    Report { summary: summary(12, 5, 2, 0, 100), ..Report::default() }
}

/// Nothing to judge, and an input that is none.
pub(super) fn faulty() -> Report {
    let fault = Fault {
        place: "deploy/<bad>.yaml:3:1".to_owned(),
        message: "this is no YAML:\nfound \"\t\u{1b}\" & more".to_owned(),
        kind: FaultKind::Input,
    };
    Report { summary: summary(1, 0, 1, 0, 100), faults: vec![fault], ..Report::default() }
}

/// SARIF's own schema, as the crate `serde-sarif` ships it among its sources.
pub(super) fn sarif_schema() -> Value {
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // What other platforms need is not there, and not to be downloaded.
    let metadata = ["metadata", "--format-version=1", "--offline", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&cargo(&metadata)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "serde-sarif").unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let schema = std::fs::read_to_string(manifest.with_file_name("src").join("schema.json"));
    // JavaScript takes a bracket that closes nothing for a character; other regular expressions want it escaped.
    serde_json::from_str(&schema.unwrap().replace("]?$\"", "\\\\]?$\"")).unwrap()
}

fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let directory = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(cargo).args(args).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
