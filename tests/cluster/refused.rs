//! Part of `make test`: an admin enforces a policy that running workloads violate, and deletes their pods. The real
//! controllers make no new ones, and everything that podgate shows must say so until the policy is changed. Durations
//! are printed, never asserted.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary;
use crate::support::cluster::{Cluster, Namespace};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::manifests::{pod, workload};
use crate::support::ran::Ran;
use crate::support::suite::{Suite, Trials, World, trials};

pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Cluster::start), TRIALS)
}

const TRIALS: Trials<Cluster> =
    trials![deleted_pods_that_a_policy_refuses_are_shown_until_they_are_back];

const KINDS: [Kind; 5] =
    [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Job, Kind::CronJob];
/// The number of workloads, which are one of each kind.
const ALL: usize = KINDS.len();
/// A CronJob between runs has no pod.
const WITH_PODS: usize = ALL - 1;

/// The name of the workload of a kind.
fn name(kind: Kind) -> String {
    kind.names().kind.to_lowercase()
}

fn policy(shop: &Namespace<'_>, mode: &str) {
    shop.policy("own", &json!({"forbidLatestTag": true, "enforcementMode": mode}));
}

/// A namespace with a violating workload of each kind, whose pods run, and a policy that denies nothing.
fn outage(cluster: &Cluster) -> Namespace<'_> {
    // The DaemonSet controller makes a pod for each node.
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
    cluster.plane.kubectl(&["apply", "-f", "-"]).given(&node).ok();
    let shop = cluster.namespace("outage");
    policy(&shop, "audit");
    for kind in KINDS {
        let mut object = workload(kind, pod("nginx"));
        let (name, labels) = (name(kind), json!({"app": name(kind)}));
        object["metadata"]["name"] = json!(name);
        if matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet) {
            object["spec"]["selector"]["matchLabels"] = labels.clone();
            object["spec"]["template"]["metadata"]["labels"] = labels;
        }
        if kind == Kind::Deployment {
            object["spec"]["replicas"] = json!(4);
        }
        shop.create(&object).unwrap();
    }
    eventually("a pod of each workload", || has_pods(&shop));
    waits(&shop, "the violations", |status| status["violations"] == ALL);
    shop
}

/// Whether each workload but the CronJob has a pod.
fn has_pods(shop: &Namespace<'_>) -> Result<(), String> {
    let pods = shop.kubectl(&["get", "pods", "-o", "json"]).json();
    let pods: Vec<_> = pods["items"].as_array().unwrap().iter().collect();
    let of = |kind: &Kind| {
        let prefix = format!("{}-", name(*kind));
        pods.iter().any(|it| it["metadata"]["name"].as_str().unwrap().starts_with(&prefix))
    };
    let count = KINDS.iter().filter(|kind| **kind != Kind::CronJob).filter(|kind| of(kind)).count();
    if count == WITH_PODS { Ok(()) } else { Err(format!("{count} workloads have pods")) }
}

fn status(shop: &Namespace<'_>) -> Value {
    shop.kubectl(&["get", "devopspolicy", "own", "-o", "json"]).json()["status"].take()
}

/// Waits for the policy's status, and prints how long it took.
fn waits(shop: &Namespace<'_>, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let (found, after) = eventually(what, || {
        let status = status(shop);
        if is(&status) { Ok(status) } else { Err(status.to_string()) }
    });
    println!("{what}: after {}", seconds(after));
    found
}

/// The message of the condition `Refusing`, if it is true.
fn refusing(status: &Value) -> Option<&str> {
    let mut conditions = status["conditions"].as_array()?.iter();
    let found = conditions.find(|it| it["type"] == "Refusing" && it["status"] == "True")?;
    assert_eq!(found["reason"], "PodsRefused");
    found["message"].as_str()
}

/// The kinds of the objects with an Event of this reason, and the Events' notes.
fn told(shop: &Namespace<'_>, reason: &str) -> Vec<(String, String)> {
    let events = shop.kubectl(&["get", "events.events.k8s.io", "-o", "json"]).json();
    let events = events["items"].as_array().unwrap().iter().filter(|it| it["reason"] == reason);
    let text = |text: &Value| text.as_str().unwrap().to_owned();
    events.map(|it| (text(&it["regarding"]["kind"]), text(&it["note"]))).collect()
}

fn podgate(shop: &Namespace<'_>, args: &[&str]) -> Ran {
    let kubeconfig = shop.cluster.plane.kubeconfig("admin");
    Ran::of(&binary::run(&[args, &["--kubeconfig", kubeconfig.to_str().unwrap()]].concat()))
}

fn waits_for_metric(shop: &Namespace<'_>, series: &str, value: usize) {
    let expected = f64::from(u32::try_from(value).unwrap());
    let ((), after) = eventually(series, || match shop.cluster.podgate.metric(series) {
        Some(found) if found.to_bits() == expected.to_bits() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    println!("{series} {value}: after {}", seconds(after));
}

fn deleted_pods_that_a_policy_refuses_are_shown_until_they_are_back(cluster: &Cluster) {
    let shop = outage(cluster);
    let healthy = status(&shop);
    policy(&shop, "enforce");
    shop.kubectl(&["delete", "pods", "--all", "--wait=false"]).ok();
    the_status_names_every_workload(&shop);
    events_tell_each_workload_and_the_policy(&shop);
    metrics_count_them(&shop, ALL);
    commands_show_them(&shop);
    let score = status(&shop)["healthScore"].as_u64().unwrap();
    assert!(score < 100 && score <= healthy["healthScore"].as_u64().unwrap(), "{score}");

    policy(&shop, "warn");
    waits(&shop, "a status without refused workloads", |status| {
        status["refused"].is_null() && refusing(status).is_none()
    });
    let ((), after) = eventually("a pod of each workload", || has_pods(&shop));
    println!("every controller has made its pods: after {}", seconds(after));
    metrics_count_them(&shop, 0);
    assert_eq!(status(&shop)["violations"], ALL, "the templates still violate the policy");
    // Nothing ended, neither when the pods were gone nor when they came back.
    assert_eq!(told(&shop, "PolicyViolationResolved"), []);
}

fn the_status_names_every_workload(shop: &Namespace<'_>) {
    let status = waits(shop, "all refused workloads in the status", |status| {
        let mut worst = status["refused"]["worst"].as_array().into_iter().flatten();
        status["refused"]["workloads"] == ALL && worst.all(|it| it["running"] == 0)
    });
    let worst = status["refused"]["worst"].as_array().unwrap();
    for kind in KINDS {
        let workload = format!("{}/{}", kind.names().kind, name(kind));
        let found = worst.iter().find(|it| it["workload"] == workload);
        let found = found.unwrap_or_else(|| panic!("{workload} is not in {worst:?}"));
        assert_eq!(found["wanted"], if kind == Kind::Deployment { 4 } else { 1 }, "{found}");
        assert_eq!(found["rules"], json!(["forbidLatestTag"]));
        assert!(found["message"].as_str().unwrap().contains("nginx"), "{found}");
    }
    assert_eq!(worst[0]["workload"], "Deployment/deployment", "it lacks the most pods");
    let message = refusing(&status).expect("the condition is true");
    for words in ["5 workloads lack pods", "Deployment/deployment has 0 of 4 pods", "and 2 more"] {
        assert!(message.contains(words), "{message}");
    }
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("refuses new pods of 5 workloads; "), "{message}");
}

fn events_tell_each_workload_and_the_policy(shop: &Namespace<'_>) {
    let (events, after) = eventually("an Event on each workload and on the policy", || {
        let told = told(shop, "PodsRefused");
        let on = |kind: &str| told.iter().any(|(regarding, _)| regarding == kind);
        let all = KINDS.iter().all(|kind| on(kind.names().kind)) && on("DevOpsPolicy");
        if all { Ok(told) } else { Err(format!("{told:?}")) }
    });
    println!("PodsRefused on every object: after {}", seconds(after));
    let refused = format!("new pods are refused by policy {}/own: ", shop.name);
    let workloads = events.iter().filter(|(regarding, _)| regarding != "DevOpsPolicy");
    for (regarding, note) in workloads {
        assert!(note.contains(&refused) && note.contains("nginx"), "{regarding}: {note}");
    }
    assert_eq!(told(shop, "PolicyViolationResolved"), [], "nothing ends because pods are gone");
}

fn metrics_count_them(shop: &Namespace<'_>, refused: usize) {
    let name = &shop.name;
    let of = |family: &str, labels: &str| format!("{family}{{namespace=\"{name}\"{labels}}}");
    waits_for_metric(shop, &of("podgate_workloads_refused", ""), refused);
    waits_for_metric(shop, &of("devopspolicy_workloads_refused", ",policy=\"own\""), refused);
    let open = of("podgate_open_violations", ",rule=\"forbidLatestTag\",severity=\"high\"");
    waits_for_metric(shop, &open, ALL);
}

fn commands_show_them(shop: &Namespace<'_>) {
    let checked = podgate(shop, &["check"]).stdout;
    let warning = format!("policy {}/own refuses new pods of 5 workloads: ", shop.name);
    let line = checked.lines().find(|line| line.contains(&warning));
    let line = line.unwrap_or_else(|| panic!("{warning:?} is not in: {checked}"));
    assert!(line.starts_with("warning ") && line.contains("Deployment/deployment"), "{line}");

    let analyze = ["analyze", "-n", &shop.name, "-o", "json", "--fail-on", "never"];
    let analysis = podgate(shop, &analyze).exits(0).json();
    assert_eq!(analysis["refused"].as_array().map(Vec::len), Some(ALL), "{analysis}");
}
