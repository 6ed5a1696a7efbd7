//! Every node is drained, once in the grace of a policy and once after it.

use std::collections::{BTreeMap, BTreeSet};

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::checked::{drain_check, named_by, refused_controllers};
use super::controllers::run_now;
use super::node::{self, NODES, Running, evict};
use super::{ENDED, LASTS, enforce, named};
use crate::support::audit;
use crate::support::binary;
use crate::support::cluster::{Cluster, Namespace};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::manifests::probed_pod;
use crate::support::ran::Ran;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    every_evicted_pod_comes_back_until_the_grace_ends_and_then_exactly_the_named_ones_do_not
];

/// How many workloads of each kind there are: 30. Half of them violate the policy.
const WORKLOADS: [(Kind, usize); 7] = [
    (Kind::Deployment, 6),
    (Kind::StatefulSet, 4),
    (Kind::DaemonSet, 4),
    (Kind::ReplicaSet, 4),
    (Kind::ReplicationController, 4),
    (Kind::Job, 4),
    (Kind::CronJob, 4),
];
const VIOLATING: &str = "bad";

/// The pods of one workload. A Job has one: the Job controller waits ten seconds after the first lost pod, and twice as
/// long after each further one.
const fn pods_of(kind: Kind) -> usize {
    match kind {
        Kind::Deployment => 3,
        Kind::DaemonSet => NODES.len(),
        Kind::Job | Kind::CronJob => 1,
        _ => 2,
    }
}

/// A pod that violates the policy in one of several ways.
fn violating(number: usize) -> Value {
    let mut pod = probed_pod("nginx:1.29");
    match number % 4 {
        0 => pod["containers"][0]["image"] = json!("nginx"),
        1 => pod["hostPID"] = json!(true),
        2 => pod["containers"][0]["securityContext"] = json!({"privileged": true}),
        _ => pod["containers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "legacy", "image": "nginx:1.29"})),
    }
    pod
}

/// The rules beside `forbidLatestTag`. No pod has resources: the policy completes them.
fn rules() -> Value {
    json!({
        "podSecurity": "baseline",
        "requireResourceRequests": ["cpu"], "defaultResources": {"cpuRequest": "1m"}, "mutate": true,
        "validations": [{
            "name": "no-legacy", "expression": "object.spec.containers.all(c, c.name != 'legacy')",
            "message": "legacy is replaced",
        }],
    })
}

/// Creates the workloads. The pods of a CronJob are those of a run.
fn workloads(shop: &Namespace<'_>) {
    let mut bad = 0;
    for (kind, count) in WORKLOADS {
        for number in 0..count {
            let (word, pod) = if number % 2 == 0 {
                ("good", probed_pod("nginx:1.29"))
            } else {
                bad += 1;
                (VIOLATING, violating(bad))
            };
            let name = format!("{}-{word}-{number}", kind.names().kind.to_lowercase());
            let mut object = named(kind, &name, pod);
            match kind {
                Kind::DaemonSet | Kind::Job => {}
                Kind::CronJob => object["spec"]["schedule"] = json!("0 0 1 1 *"),
                _ => object["spec"]["replicas"] = json!(pods_of(kind)),
            }
            shop.create(&object).unwrap();
            if kind == Kind::CronJob {
                run_now(shop, &name);
            }
        }
    }
}

/// How many pods each workload has.
fn by_workload(pods: &[Running]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for pod in pods {
        *counts.entry(pod.workload.clone()).or_default() += 1;
    }
    counts
}

fn uids(pods: &[Running]) -> BTreeSet<&str> {
    pods.iter().map(|it| it.uid.as_str()).collect()
}

/// Evicts every pod, node by node.
fn drain(shop: &Namespace<'_>, pods: &[Running]) {
    for node in NODES {
        let on_node: Vec<_> = pods.iter().filter(|it| it.node == node).collect();
        assert!(!on_node.is_empty(), "{node} has pods");
        evict(shop, &on_node);
    }
}

/// The pods that `podgate policy preview` says are refused, and those that only the grace admits.
fn previewed(shop: &Namespace<'_>) -> [u64; 2] {
    let kubeconfig = shop.cluster.plane.kubeconfig("admin");
    let args = ["policy", "preview", "-n", &shop.name, "-o", "json", "--fail-on", "never"];
    let args = [&args[..], &["--kubeconfig", kubeconfig.to_str().unwrap()]].concat();
    let summary = Ran::of(&binary::run(&args)).exits(0).json()["summary"].take();
    ["refusedPods", "gracedPods"].map(|it| summary[it].as_u64().unwrap())
}

fn refused_by_status(shop: &Namespace<'_>) -> Value {
    shop.kubectl(&["get", "devopspolicy", "own", "-o", "json"]).json()["status"]["refused"].take()
}

fn every_evicted_pod_comes_back_until_the_grace_ends_and_then_exactly_the_named_ones_do_not(
    cluster: &Cluster,
) {
    let shop = cluster.namespace("drained");
    workloads(&shop);
    let wanted: usize = WORKLOADS.iter().map(|(kind, count)| pods_of(*kind) * count).sum();
    let first = node::until(&shop, "the pods of all workloads", |pods| pods.len() == wanted);
    let all = by_workload(&first);
    assert_eq!(all.len(), 30);
    let is_violating = |name: &str| name.contains(&format!("-{VIOLATING}-"));
    let mut violating = all.clone();
    violating.retain(|name, _| is_violating(name));
    assert_eq!(violating.len(), 15);

    enforce(&shop, &rules(), LASTS);
    let check = drain_check(cluster, "--all").exits(0).json();
    assert_eq!(named_by(&check, &shop, "refused"), BTreeMap::new());
    assert_eq!(named_by(&check, &shop, "graced"), violating);
    assert_eq!(named_by(&check, &shop, "replicas"), violating);
    assert_eq!(check["nodes"], json!(NODES));
    assert_eq!(check["summary"]["pods"], wanted);
    let bad_pods = violating.values().sum::<usize>() as u64;
    assert_eq!(previewed(&shop), [0, bad_pods]);
    drain(&shop, &first);
    let is_new = |pods: &[Running]| uids(pods).is_disjoint(&uids(&first));
    let (second, after) = eventually("every pod to be back", || {
        let pods = node::running(&shop);
        if is_new(&pods) && by_workload(&pods) == all { Ok(pods) } else { Err(format!("{pods:?}")) }
    });
    println!("{} evicted pods were back after {}", first.len(), seconds(after));
    assert_eq!(refused_controllers(&shop), BTreeSet::new());
    assert_eq!(refused_by_status(&shop), Value::Null);

    enforce(&shop, &rules(), ENDED);
    let check = drain_check(cluster, "--all").exits(1).json();
    assert_eq!(named_by(&check, &shop, "refused"), violating);
    assert_eq!(named_by(&check, &shop, "graced"), BTreeMap::new());
    assert_eq!(check["summary"]["lost"], violating.len());
    for node in NODES {
        let there: Vec<_> = second.iter().filter(|it| it.node == node).cloned().collect();
        let mut expected = by_workload(&there);
        expected.retain(|name, _| is_violating(name));
        let check = drain_check(cluster, node).exits(1).json();
        assert_eq!(named_by(&check, &shop, "refused"), expected, "{node}");
    }
    assert_eq!(previewed(&shop), [bad_pods, 0]);
    drain(&shop, &second);
    let is_bad = |it: &&Running| is_violating(&it.workload);
    let expected: BTreeSet<_> =
        second.iter().filter(is_bad).map(|it| it.controller.clone()).collect();
    let mut others = all.clone();
    others.retain(|name, _| !is_violating(name));
    let ((), after) = eventually("all others to be back, and the named ones to be refused", || {
        let pods = node::running(&shop);
        let refused = refused_controllers(&shop);
        let done = by_workload(&pods) == others && refused == expected;
        if done { Ok(()) } else { Err(format!("refused: {refused:?}; {pods:?}")) }
    });
    println!("all others were back after {}", seconds(after));
    let ((), after) = eventually("the status to count them", || match refused_by_status(&shop) {
        json if json["workloads"] == violating.len() => Ok(()),
        json => Err(json.to_string()),
    });
    println!("the status counts them after {}", seconds(after));

    let asked = cluster.plane.requests();
    let of_jane: Vec<_> = asked.iter().filter(|it| audit::user(it) == "jane").collect();
    assert!(!of_jane.is_empty());
    let written: Vec<_> = of_jane.into_iter().filter(|it| audit::is_write(it)).collect();
    assert!(written.is_empty(), "drain-check wrote: {written:?}");
}
