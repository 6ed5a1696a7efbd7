//! The audit's results outside the status: reports, Events and `podgate watch`.

use std::fs::{self, File};
use std::process::Stdio;

use serde_json::{Value, json};

use super::audited::{Audited, Namespace};
use crate::support::binary::{Podgate, command};
use crate::support::control_plane::seconds;
use crate::support::suite::{Trials, trials};
use crate::support::{audit, eventually};

pub const TRIALS: Trials<Audited> = trials![
    a_report_counts_exactly_follows_the_pods_and_goes_with_its_policy,
    status_report_event_and_metric_show_the_severity_of_the_policy,
    podgate_watch_prints_each_change_on_a_line_and_writes_nothing,
    events_show_the_workloads_owner_new_and_resolved_violations,
];

fn reports_of(shop: &Namespace<'_>) -> Vec<Value> {
    shop.get(&["reports.openreports.io"])["items"].as_array().unwrap().clone()
}

/// Waits for the one report of a namespace.
fn wait_for_report(shop: &Namespace<'_>, what: &str, expected: impl Fn(&Value) -> bool) -> Value {
    let (report, after) = eventually(what, || match &*reports_of(shop) {
        [one] if expected(one) => Ok(one.clone()),
        others => Err(format!("{others:?}")),
    });
    println!("{what}: after {}", seconds(after));
    report
}

fn a_report_counts_exactly_follows_the_pods_and_goes_with_its_policy(audited: &Audited) {
    let shop = audited.namespace("report");
    shop.policy("own", &json!({"forbidLatestTag": true, "requireLivenessProbe": true}));
    shop.deployment("cart", "nginx", 2);
    shop.deployment("api", "nginx:1.29", 1);
    let report = wait_for_report(&shop, "a report", |report| report["summary"]["fail"] == 3);
    assert_eq!(report["source"], "podgate");
    // Two workloads and two rules: one pair passes.
    assert_eq!(report["summary"], json!({"pass": 1, "fail": 3, "warn": 0, "error": 0, "skip": 0}));
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    let first = &results[0];
    assert_eq!((&first["rule"], &first["severity"]), (&json!("forbidLatestTag"), &json!("high")));
    assert_eq!(first["result"], "fail");
    assert_eq!(first["resources"][0]["kind"], "Deployment");
    assert_eq!(first["resources"][0]["name"], "cart");
    let uid = shop.get(&["devopspolicy", "own"])["metadata"]["uid"].clone();
    assert_eq!(report["metadata"]["ownerReferences"][0]["uid"], uid);
    let (name, version) = (&report["metadata"]["name"], &report["metadata"]["resourceVersion"]);

    shop.deployment("api", "nginx:1.29", 3);
    eventually("three pods", || {
        (shop.pods("api").len() == 3).then_some(()).ok_or_else(|| "fewer".to_owned())
    });
    shop.deployment("cart", "nginx:1.29", 2);
    let mended = wait_for_report(&shop, "a fixed image", |report| report["summary"]["fail"] == 2);
    assert_eq!(&mended["metadata"]["name"], name);
    assert_ne!(&mended["metadata"]["resourceVersion"], version);
    shop.kubectl(&["delete", "devopspolicy", "own"]).ok();
    let ((), after) = eventually("the report to go with its policy", || {
        let left = reports_of(&shop);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    println!("a deleted policy: after {}", seconds(after));
}

fn status_report_event_and_metric_show_the_severity_of_the_policy(audited: &Audited) {
    let shop = audited.namespace("severity");
    let overrides = json!({"forbidLatestTag": "low", "requireReadinessProbe": "critical"});
    let spec = json!({"forbidLatestTag": true, "requireReadinessProbe": true, "severityOverrides": overrides});
    shop.policy("own", &spec);
    shop.deployment("cart", "nginx", 1);
    let status = shop.wait_for_status("both violations", "own", |status| status["violations"] == 2);
    let expected = [("requireReadinessProbe", "critical"), ("forbidLatestTag", "low")];
    let pairs = |list: &Value| {
        let text = |it: &Value, field: &str| it[field].as_str().unwrap().to_owned();
        let list = list.as_array().unwrap().iter();
        list.map(|it| (text(it, "rule"), text(it, "severity"))).collect::<Vec<_>>()
    };
    let owned = expected.map(|(rule, severity)| (rule.to_owned(), severity.to_owned()));
    assert_eq!(pairs(&status["topViolations"]), owned, "worst first");
    assert_eq!(status["lostPoints"], json!({"requireReadinessProbe": 50, "forbidLatestTag": 10}));
    let report = wait_for_report(&shop, "both violations in the report", |report| {
        report["summary"]["fail"] == 2
    });
    assert_eq!(pairs(&report["results"]), owned);
    for (severity, open) in [("critical", 1.0_f64), ("high", 0.0), ("low", 1.0)] {
        let series = format!(
            "devopspolicy_open_violations{{namespace=\"{}\",policy=\"own\",severity=\"{severity}\"}}",
            shop.name
        );
        eventually("the metric", || match shop.metric(&series) {
            Some(found) if found.to_bits() == open.to_bits() => Ok(()),
            other => Err(format!("{severity}: {other:?}")),
        });
    }
    eventually("an event that names the worse violation first", || {
        let events = shop.get(&["events.events.k8s.io"])["items"].as_array().unwrap().clone();
        let notes: Vec<_> = events.iter().filter_map(|it| it["note"].as_str()).collect();
        let worse_first = |note: &&str| {
            let [worse, other] =
                expected.map(|(rule, severity)| note.find(&format!("{rule} ({severity})")));
            worse.is_some() && (other.is_none() || worse < other)
        };
        notes.iter().any(worse_first).then_some(()).ok_or_else(|| format!("{notes:?}"))
    });
}

fn events_show_the_workloads_owner_new_and_resolved_violations(audited: &Audited) {
    let shop = audited.namespace("events");
    shop.policy("own", &json!({"forbidLatestTag": true}));
    shop.wait_for_status("a policy", "own", |status| status["violations"] == 0);
    shop.deployment("cart", "nginx", 1);
    let wait_for_event = |reason: &str, kind: &str| {
        let (event, after) = eventually(reason, || {
            let events = shop.get(&["events.events.k8s.io"])["items"].as_array().unwrap().clone();
            let found =
                events.iter().find(|it| it["reason"] == reason && it["regarding"]["kind"] == kind);
            found.cloned().ok_or_else(|| format!("{events:?}"))
        });
        println!("{reason} on the {kind}: after {}", seconds(after));
        event
    };
    let on_workload = wait_for_event("PolicyViolation", "Deployment");
    assert_eq!(on_workload["type"], "Warning");
    let note = on_workload["note"].as_str().unwrap();
    for word in ["forbidLatestTag", "nginx", "web"] {
        assert!(note.contains(word), "{note}");
    }
    wait_for_event("PolicyViolation", "DevOpsPolicy");
    let described = shop.kubectl(&["describe", "deployment", "cart"]).ok();
    assert!(described.contains("PolicyViolation"), "{described}");
    shop.kubectl(&["delete", "deployment", "cart"]).ok();
    wait_for_event("PolicyViolationResolved", "DevOpsPolicy");
}

fn podgate_watch_prints_each_change_on_a_line_and_writes_nothing(audited: &Audited) {
    let shop = audited.namespace("watch");
    shop.policy("own", &json!({"forbidLatestTag": true}));
    let dir = tempfile::tempdir().unwrap();
    let lines = dir.path().join("lines");
    let mut podgate = command();
    podgate
        .arg("watch")
        .arg("--kubeconfig")
        .arg(audited.plane.kubeconfig_for("watcher"))
        .args(["--metrics-listen", "127.0.0.1:0"])
        .stdout(Stdio::from(File::create(&lines).unwrap()));
    let mut podgate = Podgate::start_by(podgate, "serving");
    let wait_for_line = |line: &str| {
        let ((), after) = eventually(line, || {
            let text = fs::read_to_string(&lines).unwrap();
            if text.lines().any(|it| it.starts_with(line)) { Ok(()) } else { Err(text) }
        });
        println!("{line}: after {}", seconds(after));
    };
    wait_for_line(&format!("{}/own  No score: there is no workload to judge", shop.name));
    shop.deployment("cart", "nginx", 1);
    let violation =
        format!("Deployment/{}/cart forbidLatestTag (high) {}/own: ", shop.name, shop.name);
    wait_for_line(&format!("+ {violation}"));
    wait_for_line(&format!(
        "{}/own  Stable: score 70, 1 open violation (1 high) in 1 workload",
        shop.name
    ));
    shop.deployment("cart", "nginx:1.29", 1);
    wait_for_line(&format!("- {violation}"));
    let open = format!(
        "devopspolicy_open_violations{{namespace=\"{}\",policy=\"own\",severity=\"high\"}}",
        shop.name
    );
    // It is set with the policy's next update, a moment after the line.
    eventually("the metric", || match podgate.metric(&open) {
        Some(0.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(podgate.get("/readyz").0, 200);
    podgate.signal("INT");
    assert!(podgate.ended().0.success());
    let writes = audited.plane.writes();
    let own: Vec<_> = writes.iter().filter(|it| audit::user(it) == "watcher").collect();
    assert!(own.is_empty(), "{own:?}");
}
