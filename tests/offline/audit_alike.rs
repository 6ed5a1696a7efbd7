//! Part of `make test`: pods that differ in nothing that rules read share a judgement in the audit's index, unless their
//! names, their namespaces or the time decide.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use podgate::audit::index::{AuditIndex, Remembered};
use podgate::audit::pod::ObservedPod;
use podgate::policy::compile::Policy;
use podgate::policy::policy_set::{NamespaceMetadata, PolicySet};
use podgate::policy::scope::{Scope, Selection};
use serde_json::{Value, json};

use super::audit_index::{list_begins, list_ends};

const NAMESPACES: [&str; 2] = ["lab", "shop"];

/// A pod of one StatefulSet, which differs from the others in its name, namespace and age alone.
fn pod(namespace: &str, name: &str, created: &str, phase: &str) -> ObservedPod<false> {
    let owner =
        json!({"kind": "StatefulSet", "name": "db", "apiVersion": "apps/v1", "controller": true});
    let pod = json!({
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "db", "image": "postgres"}]},
        "status": {"phase": phase},
    });
    serde_json::from_str(&pod.to_string()).unwrap()
}

fn index(policies: &[(Scope, Value)], pods: &[ObservedPod<false>], now: Timestamp) -> AuditIndex {
    let policies = policies.iter().enumerate().map(|(number, (scope, spec))| {
        let spec = serde_json::from_value(spec.clone()).unwrap();
        Arc::new(Policy::compile(scope.clone(), format!("p{number}"), &spec).unwrap())
    });
    let known = NAMESPACES.map(|name| (name.to_owned(), NamespaceMetadata::default()));
    let mut index = AuditIndex::new(Remembered::default());
    let _ = index.policies(Arc::new(PolicySet::new(policies, Arc::new(known.into()))), now);
    list_begins(&mut index);
    for pod in pods {
        index.pod(pod, now);
    }
    list_ends(&mut index, now);
    index
}

/// The number of pods with each open violation, by rule.
fn violating(index: &mut AuditIndex, now: Timestamp) -> Vec<(String, u32)> {
    let observed = index.take_policies(now).into_iter().filter_map(|it| it.observed);
    let worst = observed.flat_map(|it| it.worst);
    worst.map(|it| (it.fault.rule.to_owned(), it.pods)).collect()
}

#[test]
fn an_exemption_of_a_pod_by_its_name_is_not_one_of_its_workloads_other_pods() {
    let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    let exemption =
        json!({"rules": ["forbidLatestTag"], "names": ["db-1"], "reason": "r", "owner": "o"});
    let spec = json!({"forbidLatestTag": true, "exemptions": [exemption]});
    let pods =
        ["db-0", "db-1", "db-2"].map(|name| pod("shop", name, "2026-01-01T00:00:00Z", "Running"));
    let mut index = index(&[(Scope::Cluster(Selection::default()), spec)], &pods, now);
    assert_eq!(violating(&mut index, now), [("forbidLatestTag".to_owned(), 2)]);
}

#[test]
fn pods_that_wait_alike_exceed_the_limit_on_pending_each_at_its_own_time() {
    let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
    let spec = json!({"forbidPendingDuration": 90});
    let created = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:10Z", "2026-01-01T00:00:40Z"];
    let pods: Vec<_> = created
        .iter()
        .enumerate()
        .map(|(number, created)| pod("shop", &format!("db-{number}"), created, "Pending"))
        .collect();
    let mut index = index(&[(Scope::Cluster(Selection::default()), spec)], &pods, now);
    assert_eq!(violating(&mut index, now), []);
    let mut late = |seconds| {
        let later = now + Duration::from_secs(seconds);
        let _ = index.age(later);
        violating(&mut index, later)
    };
    assert_eq!(late(31), [("forbidPendingDuration".to_owned(), 1)]);
    assert_eq!(late(41), [("forbidPendingDuration".to_owned(), 2)]);
    assert_eq!(late(71), [("forbidPendingDuration".to_owned(), 3)]);
}

#[test]
fn pods_alike_in_two_namespaces_are_judged_each_by_the_policies_of_its_own() {
    let now: Timestamp = "2026-01-01T00:00:30Z".parse().unwrap();
    let of = |namespace: &str, spec| (Scope::Namespace(namespace.to_owned()), spec);
    let policies = [
        of("lab", json!({"forbidLatestTag": true})),
        of("shop", json!({"podSecurity": "baseline"})),
    ];
    let pods =
        NAMESPACES.map(|namespace| pod(namespace, "db-0", "2026-01-01T00:00:00Z", "Running"));
    let mut index = index(&policies, &pods, now);
    assert_eq!(violating(&mut index, now), [("forbidLatestTag".to_owned(), 1)]);
}
