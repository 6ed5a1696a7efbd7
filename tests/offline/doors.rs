//! The webhook and the scan give the same verdict on every pod in `tests/rules`, through every kind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use podgate::policy::registry::RULES;
use podgate::policy::rule::Phase;
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{self, Podgate};
use crate::support::manifests::held_by;
use crate::support::review;

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

/// The pod in an object of each kind, with unique names.
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

/// Creates an object as the API server does: it calls both webhooks.
fn created(podgate: &Podgate, object: &Value) -> Value {
    let mut object = object.clone();
    let mut review = review::create("shop", &object);
    let answer = podgate.mutate(&review);
    if let Some(patch) = crate::support::review::patch_of(&answer) {
        json_patch::patch(&mut object, &patch).unwrap();
        review["request"]["object"] = object;
    }
    podgate.review(&review)
}

#[test]
fn the_webhook_and_the_scan_agree_on_every_object() {
    let counts = [false, true].map(compare_doors);
    assert!(counts[0] > 100, "only {} violations were compared", counts[0]);
    assert!(counts[1] < counts[0], "mutation fixed nothing");
}

/// Compares both verdicts on every fixture through every kind; returns the number of violations.
fn compare_doors(mutate: bool) -> usize {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let spec_rules = RULES.into_iter().filter(|rule| matches!(rule.phase, Phase::Spec(_)));
    let compared = spec_rules.map(|rule| {
        let folder = rules.join(rule.id);
        let mut policy = read(&folder.join("policy.yaml"));
        policy["spec"]["enforcementMode"] = json!("enforce");
        policy["spec"]["mutate"] = json!(mutate);
        compare(&policy, &objects(&pods(&folder)))
    });
    compared.sum()
}

/// Compares both verdicts on objects; returns the number of violations.
fn compare(policy: &Value, objects: &[Value]) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let policy_file = dir.path().join("policy.json");
    fs::write(&policy_file, policy.to_string()).unwrap();
    let manifests = dir.path().join("manifests.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    fs::write(&manifests, list.to_string()).unwrap();

    let policy_file = policy_file.to_str().unwrap();
    let manifests = manifests.to_str().unwrap();
    let scan = ["scan", "-o", "json", "--fail-on", "never", "--policy", policy_file, "-f"];
    let scan = binary::run(&[scan.as_slice(), &[manifests]].concat());
    assert!(scan.status.success(), "{}", String::from_utf8_lossy(&scan.stderr));
    let report: Value = serde_json::from_slice(&scan.stdout).unwrap();
    let podgate =
        Podgate::serve(&["--standalone", "--policy", policy_file], &dir.path().join("certs"));
    let agreed = objects.iter().map(|object| {
        let scanned = scanned(&report, object);
        agree(&scanned, object, &created(&podgate, object));
        scanned.len()
    });
    agreed.sum()
}

#[test]
fn the_webhook_and_the_scan_stop_at_the_same_place_of_a_list() {
    let spec = json!({
        "enforcementMode": "enforce", "podSecurity": "restricted",
        "requiredLabels": [{"key": "app"}], "requireLivenessProbe": true,
    });
    let policy = json!({"apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy", "metadata": {"name": "p"}, "spec": spec});
    let pod = |count: usize| {
        let ports = (1..=count).map(|port| json!({"containerPort": port})).collect::<Vec<_>>();
        let labels = (0..count).map(|number| (format!("k{number}"), json!("v")));
        let labels = labels.collect::<serde_json::Map<_, _>>();
        let container = json!({
            "name": "web", "image": "nginx:1.29", "ports": ports,
            "securityContext": {"capabilities": {"drop": vec!["X"; count], "add": vec!["CHOWN"; count]}},
        });
        json!({"metadata": {"name": "web", "labels": labels}, "spec": {"containers": [container]}})
    };
    let many = json!({"metadata": {"name": "web"}, "spec": {"containers": vec![json!({"name": "web"}); 1_001]}});
    for (object, least) in [(pod(10), 4), (pod(10_001), 8), (many, 3)] {
        // The pods of a Job and a CronJob need no probe.
        assert!(compare(&policy, &objects(&[object])) >= 9 * least - 2);
    }
}

/// The scan's findings in an object: rule with severity, and message.
fn scanned(report: &Value, object: &Value) -> BTreeSet<(String, String)> {
    let name = &object["metadata"]["name"];
    let results = report["results"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found = results.iter().filter(|it| it["name"] == *name);
    let describe = |it: &Value| {
        (format!("{} ({})", text(&it["rule"]), text(&it["severity"])), text(&it["message"]))
    };
    found.map(describe).collect()
}

fn agree(scanned: &BTreeSet<(String, String)>, object: &Value, answer: &Value) {
    let message = answer["status"]["message"].as_str().unwrap_or_default();
    assert_eq!(answer["allowed"], scanned.is_empty(), "{object}: {scanned:?} and {message}");
    assert_eq!(answer["auditAnnotations"]["violations"], scanned.len().to_string(), "{object}");
    for (rule, sentence) in scanned {
        assert!(message.contains(rule), "{rule} is not in: {message}");
        assert!(message.contains(sentence), "{sentence} is not in: {message}");
    }
}
