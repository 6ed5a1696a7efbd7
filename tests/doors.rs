//! One object, one verdict: the webhook and the scan say the same of every pod in `tests/rules`, through every kind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use podgate::policy::registry::RULES;
use podgate::policy::rule::Phase;
use podgate::policy::workload::Kind;
use serde_json::{Value, json};
use support::binary::{self, Podgate};
use support::manifests::held_by;
use support::review;

fn read(path: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The pods of a rule's folder.
fn pods(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| !path.ends_with("policy.yaml"));
    files.sort();
    files.iter().map(|path| read(path)).collect()
}

/// The pod in an object of each kind, each by a name of its own.
fn objects(pods: &[Value]) -> Vec<Value> {
    let mut objects = Vec::new();
    for pod in pods {
        for kind in Kind::ALL {
            let mut object = held_by(kind, pod);
            object["metadata"]["name"] = json!(format!("web-{}", objects.len()));
            object["metadata"]["namespace"] = json!("shop");
            objects.push(object);
        }
    }
    objects
}

#[test]
fn the_webhook_and_the_scan_say_the_same_of_every_object() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let mut denied = 0;
    for rule in RULES.into_iter().filter(|rule| matches!(rule.phase, Phase::Spec(_))) {
        let folder = rules.join(rule.id);
        let dir = tempfile::tempdir().unwrap();
        let mut policy = read(&folder.join("policy.yaml"));
        policy["spec"]["enforcementMode"] = json!("enforce");
        let policy_file = dir.path().join("policy.json");
        fs::write(&policy_file, policy.to_string()).unwrap();
        let objects = objects(&pods(&folder));
        let manifests = dir.path().join("manifests.json");
        fs::write(
            &manifests,
            json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string(),
        )
        .unwrap();

        let policy_file = policy_file.to_str().unwrap();
        let scan = binary::run(&[
            "scan",
            "-o",
            "json",
            "--fail-on",
            "never",
            "--policy",
            policy_file,
            "-f",
            manifests.to_str().unwrap(),
        ]);
        assert!(scan.status.success(), "{}", String::from_utf8_lossy(&scan.stderr));
        let report: Value = serde_json::from_slice(&scan.stdout).unwrap();
        let podgate =
            Podgate::serve(&["--standalone", "--policy", policy_file], &dir.path().join("certs"));
        for object in &objects {
            let name = &object["metadata"]["name"];
            let found =
                report["results"].as_array().unwrap().iter().filter(|it| it["name"] == *name);
            let scanned: BTreeSet<_> = found
                .map(|it| {
                    format!(
                        "{} ({})",
                        it["rule"].as_str().unwrap(),
                        it["severity"].as_str().unwrap()
                    ) + "|"
                        + it["message"].as_str().unwrap()
                })
                .collect();
            let answer = podgate.review(&review::create("shop", object));
            let message = answer["status"]["message"].as_str().unwrap_or_default();
            assert_eq!(
                answer["allowed"],
                scanned.is_empty(),
                "{object}: {scanned:?} and {message}"
            );
            assert_eq!(
                answer["auditAnnotations"]["violations"],
                scanned.len().to_string(),
                "{object}"
            );
            denied += scanned.len();
            for violation in scanned {
                let (rule, sentence) = violation.split_once('|').unwrap();
                assert!(
                    message.contains(rule) && message.contains(sentence),
                    "{violation} is not in: {message}"
                );
            }
        }
    }
    assert!(denied > 100, "only {denied} violations were compared");
}
