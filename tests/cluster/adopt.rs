//! Part of `make test`: the rollout of `docs/guides/adopt.md`, step by step, with the commands of the page, over a
//! namespace of which half of the workloads violate the policy. Nothing may break in any step.

mod guide;
mod node;

use std::collections::{BTreeMap, BTreeSet};

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Namespace};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::manifests::workload;
use crate::support::suite::{Suite, Trials, World, trials};

use guide::Step;

pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Cluster::start), TRIALS)
}

const TRIALS: Trials<Cluster> = trials![the_steps_of_the_guide_lead_to_enforcement_and_lose_no_pod];

/// The workloads that violate the policy by the image of their container `web`, each with its pods.
const VIOLATORS: [(Kind, &str, usize); 5] = [
    (Kind::Deployment, "cart", 3),
    (Kind::StatefulSet, "db", 1),
    (Kind::DaemonSet, "agent", 1),
    (Kind::Job, "import", 1),
    (Kind::CronJob, "report", 0),
];
/// Those that comply.
const OTHERS: [(Kind, &str, usize); 3] =
    [(Kind::Deployment, "web", 2), (Kind::StatefulSet, "queue", 1), (Kind::CronJob, "nightly", 0)];
const VIOLATING: &str = "nginx";
const MENDED: &str = "nginx:1.29";

fn the_steps_of_the_guide_lead_to_enforcement_and_lose_no_pod(cluster: &Cluster) {
    let shop = cluster.namespace("adopt");
    let _node = node::with_a_kubelet(&shop);
    for (violators, image) in [(&VIOLATORS[..], VIOLATING), (&OTHERS[..], MENDED)] {
        for (kind, name, replicas) in violators {
            shop.create(&object(*kind, name, image, *replicas)).unwrap();
        }
    }
    all_pods_run(&shop, &BTreeSet::new());

    audit(&shop);
    watch_what_would_be_denied(&shop);
    preview(&shop);
    enforce_with_a_grace(&shop);
    watch_the_pods_at_risk_fall(&shop);
    end_the_grace(&shop);
    roll_back(&shop);
}

/// A workload that complies with the bundle `baseline` but for its image.
fn object(kind: Kind, name: &str, image: &str, replicas: usize) -> Value {
    let mut object = workload(kind, spec(image));
    object["metadata"]["name"] = json!(name);
    let labels = json!({"app": name});
    match kind {
        Kind::CronJob => {
            object["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"] = labels;
        }
        Kind::Job => object["spec"]["template"]["metadata"]["labels"] = labels,
        _ => {
            object["spec"]["selector"]["matchLabels"] = labels.clone();
            object["spec"]["template"]["metadata"]["labels"] = labels;
        }
    }
    if matches!(kind, Kind::Deployment | Kind::StatefulSet) {
        object["spec"]["replicas"] = json!(replicas);
    }
    object
}

fn spec(image: &str) -> Value {
    json!({"containers": [{
        "name": "web", "image": image, "readinessProbe": {"tcpSocket": {"port": 80}},
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
    }]})
}

/// A pod that no workload makes.
fn bare(name: &str, image: &str) -> Value {
    let mut pod = workload(Kind::Pod, spec(image));
    pod["metadata"] = json!({"name": name});
    pod
}

/// The uids of the pods that run now, by workload.
fn pods(shop: &Namespace<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    let pods = shop.kubectl(&["get", "pods", "-o", "json"]).json();
    for pod in pods["items"].as_array().unwrap() {
        let metadata = &pod["metadata"];
        let runs = metadata["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running";
        if runs && let Some(app) = metadata["labels"]["app"].as_str() {
            let uid = metadata["uid"].as_str().unwrap().to_owned();
            found.entry(app.to_owned()).or_default().insert(uid);
        }
    }
    found
}

/// Waits until each workload has its pods and they run, none of which is one of the old. Returns them.
fn all_pods_run(shop: &Namespace<'_>, old: &BTreeSet<String>) -> BTreeSet<String> {
    let workloads = VIOLATORS.into_iter().chain(OTHERS).filter(|(_, _, pods)| *pods > 0);
    let wanted: BTreeMap<_, _> = workloads.map(|(_, name, pods)| (name.to_owned(), pods)).collect();
    let (found, after) = eventually("the pods of each workload", || {
        let found = pods(shop);
        let counts: BTreeMap<_, _> =
            found.iter().map(|(app, its)| (app.clone(), its.len())).collect();
        let found: BTreeSet<_> = found.into_values().flatten().collect();
        if counts == wanted && found.is_disjoint(old) {
            Ok(found)
        } else {
            Err(format!("{counts:?}"))
        }
    });
    println!("   {} pods run: after {}", found.len(), seconds(after));
    found
}

/// Deletes all pods, as the drain of every node would, and waits until each workload has new ones. A Job waits ten
/// seconds with the first, and twice as long with each further one.
fn every_pod_comes_back(shop: &Namespace<'_>) {
    let old = pods(shop).into_values().flatten().collect();
    let delete = ["delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false"];
    shop.kubectl(&delete).ok();
    all_pods_run(shop, &old);
}

/// Waits for the status of the policy.
fn waits(shop: &Namespace<'_>, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let (status, after) = eventually(what, || {
        let policy = ["get", "devopspolicy", "baseline", "-o", "json"];
        let status = shop.kubectl(&policy).json()["status"].take();
        if is(&status) { Ok(status) } else { Err(status.to_string()) }
    });
    println!("   {what}: after {}", seconds(after));
    status
}

/// The workloads in a part of the status, each with its pods.
fn listed(part: &Value) -> BTreeMap<String, u64> {
    let worst = part["worst"].as_array().into_iter().flatten();
    let one =
        worst.map(|it| (it["workload"].as_str().unwrap().into(), it["pods"].as_u64().unwrap()));
    one.collect()
}

/// These workloads with their pods at risk: of a CronJob between runs, the next one's.
fn at_risk(violators: &[(Kind, &str, usize)]) -> BTreeMap<String, u64> {
    let pods = |(kind, name, pods): &(Kind, &str, usize)| {
        (label(*kind, name), u64::try_from((*pods).max(1)).unwrap())
    };
    violators.iter().map(pods).collect()
}

fn label(kind: Kind, name: &str) -> String {
    format!("{}/{name}", kind.names().kind)
}

/// Waits until a new workload that violates is denied, or admitted again.
fn new_violations_are(shop: &Namespace<'_>, denied: bool) {
    let deployment = object(Kind::Deployment, "late", VIOLATING, 1);
    eventually("the verdict on a new workload", || {
        let args = ["create", "--dry-run=server", "-f", "-"];
        let (admitted, output) = shop.kubectl(&args).given(&deployment).output();
        if admitted == denied { Err(output) } else { Ok(()) }
    });
}

fn audit(shop: &Namespace<'_>) {
    Step::of(shop, "2. Audit").runs("policy apply baseline -n shop", 0);
    let status = waits(shop, "the violations", |it| it["violations"] == VIOLATORS.len());
    assert_eq!(status["effectiveMode"], "audit", "{status}");
    assert!(status["atRisk"].is_null() && status["enforcedSince"].is_null(), "{status}");
}

fn watch_what_would_be_denied(shop: &Namespace<'_>) {
    let step = Step::of(shop, "3. Watch what would be denied");
    let series =
        format!("devopspolicy_would_deny_total{{namespace=\"{}\",policy=\"baseline\"}}", shop.name);
    let seen = || shop.cluster.podgate.metric(&series).unwrap();
    let before = seen();
    // The pod of a pipeline, which no preview will find.
    shop.create(&bare("pipeline", VIOLATING)).unwrap();
    shop.create(&bare("good-pipeline", MENDED)).unwrap();
    shop.kubectl(&["delete", "pod", "pipeline", "good-pipeline", "--force", "--grace-period=0"])
        .ok();
    // Both were counted when they were answered.
    let counted = seen() - before;
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted} reviews would have been denied");
    // `podgate policy preview --observed` reads the same series, of podgates that are pods; here none is.
    step.has("policy preview --observed");
    step.runs("policy apply baseline -n shop --mode warn", 0);
    waits(shop, "the mode warn", |it| it["effectiveMode"] == "warn");
}

fn preview(shop: &Namespace<'_>) {
    let preview = Step::of(shop, "4. Preview");
    let found =
        preview.runs_with("policy preview --bundle baseline -n shop", &["-o", "json"], 1).json();
    let mut denied = BTreeSet::new();
    for workload in found["workloads"].as_array().unwrap() {
        if workload["verdict"] == "denied" {
            let text = |field: &str| workload[field].as_str().unwrap().to_owned();
            denied.insert(format!("{}/{}", text("kind"), text("name")));
        }
    }
    let expected: BTreeSet<_> = at_risk(&VIOLATORS).into_keys().collect();
    assert_eq!(denied, expected, "{found}");
}

fn enforce_with_a_grace(shop: &Namespace<'_>) {
    let step = Step::of(shop, "5. Enforce with a grace");
    step.runs("policy apply baseline -n shop --mode enforce --grace 30d", 0);
    new_violations_are(shop, true);
    let status = waits(shop, "the grace", |it| it["grace"]["state"] == "Active");
    assert_eq!(status["effectiveMode"], "enforce", "{status}");
    let checked = step.runs_with("drain-check --all", &["-o", "json"], 0).json();
    let of_agent = drained(&checked, shop);
    let with_pods = VIOLATORS.into_iter().filter(|(_, _, pods)| *pods > 0);
    let expected: BTreeMap<_, _> =
        with_pods.map(|(kind, name, pods)| (label(kind, name), (0, pods as u64))).collect();
    assert_eq!(of_agent, expected, "{checked}");
    every_pod_comes_back(shop);
    shop.kubectl(&["rollout", "restart", "deployment/cart"]).ok();
    shop.kubectl(&["rollout", "status", "deployment/cart", "--timeout=60s"]).ok();
    all_pods_run(shop, &BTreeSet::new());
    shop.rejects(&bare("new", VIOLATING));
}

/// The workloads of the namespace that a drain check lists: how many of their pods would be refused, and how many only
/// a grace admits.
fn drained(checked: &Value, shop: &Namespace<'_>) -> BTreeMap<String, (u64, u64)> {
    let workloads = checked["workloads"].as_array().unwrap().iter();
    let of_shop = workloads.filter(|it| it["namespace"] == shop.name.as_str());
    let one = of_shop.map(|it| {
        let text = |field: &str| it[field].as_str().unwrap();
        let pods = |field: &str| it[field].as_u64().unwrap();
        (format!("{}/{}", text("kind"), text("name")), (pods("refused"), pods("graced")))
    });
    one.collect()
}

fn watch_the_pods_at_risk_fall(shop: &Namespace<'_>) {
    let step = Step::of(shop, "6. Watch the pods at risk fall");
    step.has_kubectl("set image deployment/cart web=nginx:1.29");
    for mended in 0..VIOLATORS.len() {
        let left = &VIOLATORS[mended..];
        let expected = at_risk(left);
        let status = waits(shop, "the pods at risk", |it| listed(&it["atRisk"]) == expected);
        assert_eq!(status["atRisk"]["workloads"], left.len(), "{status}");
        assert_eq!(status["atRisk"]["pods"], expected.values().sum::<u64>(), "{status}");
        let pods =
            format!("devopspolicy_pods_at_risk{{namespace=\"{}\",policy=\"baseline\"}}", shop.name);
        eventually("the gauge", || match shop.cluster.podgate.metric(&pods) {
            Some(found)
                if status["atRisk"]["pods"].as_f64().map(f64::to_bits) == Some(found.to_bits()) =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        });
        let (kind, name, replicas) = left[0];
        if kind == Kind::Job {
            // Its template cannot be changed.
            shop.kubectl(&["delete", "job", name]).ok();
            shop.create(&object(kind, name, MENDED, replicas)).unwrap();
        } else {
            let workload = format!("{}/{name}", kind.names().resource);
            shop.kubectl(&["set", "image", &workload, &format!("web={MENDED}")]).ok();
        }
    }
    waits(shop, "a status without pods at risk", |it| it["atRisk"].is_null());
    for (kind, name, _) in VIOLATORS.iter().filter(|(kind, _, _)| {
        matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet)
    }) {
        let workload = format!("{}/{name}", kind.names().resource);
        shop.kubectl(&["rollout", "status", &workload, "--timeout=60s"]).ok();
    }
    let checked = step.runs_with("drain-check --all", &["-o", "json"], 0).json();
    assert_eq!(drained(&checked, shop), BTreeMap::new(), "{checked}");
    step.runs("policy preview -n shop", 0);
}

fn end_the_grace(shop: &Namespace<'_>) {
    let step = Step::of(shop, "7. End the grace");
    step.runs("policy apply baseline -n shop --mode enforce", 0);
    waits(shop, "the end of the grace", |it| it["grace"]["state"] == "Ended");
    step.runs("drain-check --all", 0);
    every_pod_comes_back(shop);
    shop.rejects(&bare("new", VIOLATING));
    let status = waits(shop, "a status without violations", |it| it["violations"] == 0);
    for absent in ["atRisk", "slipped", "refused"] {
        assert!(status[absent].is_null(), "{status}");
    }
    assert_eq!(status["healthScore"], 100, "{status}");
}

fn roll_back(shop: &Namespace<'_>) {
    let step = Step::of(shop, "Roll back");
    step.runs("policy apply baseline -n shop --mode enforce --grace 7d", 0);
    waits(shop, "a grace again", |it| it["grace"]["state"] == "Active");
    new_violations_are(shop, true);
    for mode in ["warn", "audit"] {
        step.runs(&format!("policy apply baseline -n shop --mode {mode}"), 0);
        waits(shop, "the mode", |it| it["effectiveMode"] == mode);
        new_violations_are(shop, false);
    }
}
