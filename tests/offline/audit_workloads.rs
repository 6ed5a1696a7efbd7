//! Part of `make test`: the audit knows workloads. A template stands in for pods that are not there, and what admission
//! refuses is shown.

use std::sync::Arc;

use jiff::Timestamp;
use podgate::audit::index::{AuditIndex, Remembered};
use podgate::audit::pod::ObservedPod;
use podgate::policy::compile::Policy;
use podgate::policy::made_pod::{MAKERS, made_pod};
use podgate::policy::observed::{Changed, ObservedPolicy};
use podgate::policy::policy_set::{NamespaceMetadata, PolicySet};
use podgate::policy::scope::Scope;
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::audit_index::{list_begins, list_ends};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn set(spec: Value) -> Arc<PolicySet> {
    let spec = serde_json::from_value(spec).unwrap();
    let policy = Policy::compile(Scope::Namespace("shop".to_owned()), "p".to_owned(), &spec);
    let known = [("shop".to_owned(), NamespaceMetadata::default())];
    Arc::new(PolicySet::new([Arc::new(policy.unwrap())], Arc::new(known.into())))
}

/// An index in which the list of every kind is complete.
fn index(spec: Value) -> AuditIndex {
    let mut index = AuditIndex::new(Remembered::default());
    let _ = index.policies(set(spec), NOW);
    list_begins(&mut index);
    list_ends(&mut index, NOW);
    index.take_policies(NOW);
    index
}

fn pod(name: &str, owner: (&str, &str), image: &str, restarts: u32) -> Value {
    let (kind, owner) = owner;
    json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"pod-template-hash": "5d4"},
            "ownerReferences": [{"kind": kind, "name": owner, "controller": true}]},
        "spec": {"containers": [{"name": "web", "image": image}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "web", "restartCount": restarts}]},
    })
}

fn apply_pod(index: &mut AuditIndex, pod: &Value) {
    let pod: ObservedPod<false> = serde_json::from_str(&pod.to_string()).unwrap();
    index.pod(&pod, NOW);
}

fn workload(image: &str, mut spec: Value, status: Value) -> Value {
    let template = json!({"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [{"name": "web", "image": image}]}});
    spec["template"] = template.clone();
    spec["jobTemplate"] = json!({"spec": {"template": template}});
    let mut object = json!({"metadata": {"name": "cart", "namespace": "shop"}});
    object["spec"] = spec;
    object["status"] = status;
    object
}

fn apply(index: &mut AuditIndex, kind: Kind, workload: &Value) {
    let made = made_pod(kind, &workload.to_string()).unwrap();
    index.workload(kind, ("shop", "cart"), made.as_ref(), NOW);
}

fn state(index: &mut AuditIndex) -> ObservedPolicy {
    index.take_policies(NOW).pop().unwrap().observed.unwrap()
}

/// The changes as text: `+` a violation began, `-` one ended, `!` a workload is refused.
fn changes(index: &mut AuditIndex) -> Vec<String> {
    let changes = index.take_changes().into_iter().map(|it| match it.what {
        Changed::Opened(it) => {
            format!("+{} {}/{}", it.fault.id, it.workload.kind, it.workload.name)
        }
        Changed::Closed(it) => {
            format!("-{} {}/{}", it.fault.id, it.workload.kind, it.workload.name)
        }
        Changed::Refused(it) => {
            format!("!{}/{} {} of {}", it.workload.kind, it.workload.name, it.running, it.wanted)
        }
        Changed::Slipped(it) => panic!("{it:?} was made before the policy"),
    });
    changes.collect()
}

#[test]
fn a_violation_is_not_told_as_resolved_because_its_pods_are_gone() {
    let mut index = index(json!({"forbidLatestTag": true, "maxRestartCount": 3}));
    let running = json!({"replicas": 1, "updatedReplicas": 1});
    apply(&mut index, Kind::Deployment, &workload("nginx", json!({}), running));
    assert_eq!(changes(&mut index), ["+forbidLatestTag Deployment/cart"]);
    apply_pod(&mut index, &pod("cart-1", ("ReplicaSet", "cart-5d4"), "nginx", 9));
    assert_eq!(changes(&mut index), ["+maxRestartCount Deployment/cart"]);
    let both = state(&mut index);
    assert_eq!((both.violations(), both.workloads), (2, 1), "the pod takes the template's place");

    index.delete("shop", "cart-1", NOW);
    assert!(changes(&mut index).is_empty(), "nobody mended anything");
    let template = state(&mut index);
    assert_eq!((template.violations(), template.workloads), (1, 1), "a template has no restarts");

    apply(&mut index, Kind::Deployment, &workload("nginx:1.29", json!({}), json!({})));
    assert_eq!(changes(&mut index), ["-forbidLatestTag Deployment/cart"]);
    let mended = state(&mut index);
    assert_eq!((mended.violations(), mended.workloads), (0, 1));
}

#[test]
fn the_end_of_a_workload_resolves_its_violations_and_that_of_an_unknown_owner_is_not_known() {
    let mut index = index(json!({"forbidLatestTag": true}));
    apply(&mut index, Kind::StatefulSet, &workload("nginx", json!({"replicas": 0}), json!({})));
    apply_pod(&mut index, &pod("x-1", ("Rollout", "x"), "nginx", 0));
    assert_eq!(changes(&mut index).len(), 2);
    index.delete_workload(Kind::StatefulSet, ("shop", "cart"), NOW);
    assert_eq!(changes(&mut index), ["-forbidLatestTag StatefulSet/cart"]);
    index.delete("shop", "x-1", NOW);
    assert!(changes(&mut index).is_empty(), "its owner may make other pods");
    assert_eq!(state(&mut index).violations(), 0);

    // Deleting a Deployment deletes the object first, and its pods after that.
    apply(&mut index, Kind::Deployment, &workload("nginx", json!({}), json!({})));
    apply_pod(&mut index, &pod("cart-1", ("ReplicaSet", "cart-5d4"), "nginx", 0));
    assert_eq!(changes(&mut index), ["+forbidLatestTag Deployment/cart"]);
    index.delete_workload(Kind::Deployment, ("shop", "cart"), NOW);
    index.delete("shop", "cart-1", NOW);
    assert_eq!(changes(&mut index), ["-forbidLatestTag Deployment/cart"]);
    assert_eq!(state(&mut index).workloads, 0);
}

#[test]
fn every_kind_that_lacks_pods_is_refused_until_the_policy_lets_them_in() {
    let lacking = |kind| match kind {
        Kind::DaemonSet => json!({"desiredNumberScheduled": 2}),
        _ => json!({}),
    };
    for kind in MAKERS {
        let name = kind.names().kind;
        let mut index = index(json!({"forbidLatestTag": true, "enforcementMode": "enforce"}));
        apply(&mut index, kind, &workload("nginx", json!({"replicas": 2}), lacking(kind)));
        let wanted = if matches!(kind, Kind::Job | Kind::CronJob) { 1 } else { 2 };
        let expected =
            [format!("+forbidLatestTag {name}/cart"), format!("!{name}/cart 0 of {wanted}")];
        assert_eq!(changes(&mut index), expected);
        let refused = state(&mut index).refused;
        assert_eq!((refused.workloads, refused.worst.len()), (1, 1));
        assert_eq!(refused.worst[0].faults[0].id, "forbidLatestTag");
        assert_eq!(index.take_scores().unwrap().changed[0].refused, 1);

        let _ =
            index.policies(set(json!({"forbidLatestTag": true, "enforcementMode": "warn"})), NOW);
        assert!(changes(&mut index).is_empty());
        assert_eq!(state(&mut index).refused.workloads, 0, "{name}");
        assert_eq!(index.take_scores().unwrap().changed[0].refused, 0);

        let _ = index
            .policies(set(json!({"forbidLatestTag": true, "enforcementMode": "enforce"})), NOW);
        assert_eq!(changes(&mut index).len(), 1, "{name} is refused again, and told again");
        index.delete_workload(kind, ("shop", "cart"), NOW);
        assert_eq!(state(&mut index).refused.workloads, 0, "{name} has ended");
    }
}

#[test]
fn a_workload_that_has_its_pods_or_wants_none_is_not_refused() {
    for (kind, spec, status) in [
        (Kind::Deployment, json!({"replicas": 2}), json!({"replicas": 2, "updatedReplicas": 2})),
        (Kind::Deployment, json!({"replicas": 0}), json!({})),
        (Kind::Job, json!({"suspend": true}), json!({})),
        (Kind::CronJob, json!({"suspend": true}), json!({})),
    ] {
        let mut index = index(json!({"forbidLatestTag": true, "enforcementMode": "enforce"}));
        apply(&mut index, kind, &workload("nginx", spec, status));
        let state = state(&mut index);
        assert_eq!((state.refused.workloads, state.violations()), (0, 1), "{kind:?}");
    }
}

#[test]
fn only_what_denies_refuses() {
    let exempt =
        json!([{"rules": ["forbidLatestTag"], "names": ["cart"], "reason": "r", "owner": "o"}]);
    for spec in [
        json!({"forbidLatestTag": true}),
        json!({"forbidLatestTag": true, "enforcementMode": "enforce", "exemptions": exempt}),
        json!({"forbidLatestTag": true, "enforcementMode": "enforce", "denySeverity": "critical"}),
        json!({"mutate": true, "enforcementMode": "enforce", "requireResourceLimits": ["memory"], "defaultResources": {"memoryLimit": "64Mi"}}),
    ] {
        let mut index = index(spec.clone());
        apply(&mut index, Kind::Deployment, &workload("nginx", json!({"replicas": 2}), json!({})));
        assert_eq!(state(&mut index).refused.workloads, 0, "{spec}");
    }
}

#[test]
fn in_its_grace_a_policy_refuses_nothing_and_at_its_end_the_refused_are_told() {
    let end = Timestamp::from_second(60).unwrap();
    let mut index =
        index(json!({"forbidLatestTag": true, "enforcementMode": "enforce", "graceUntil": end}));
    apply(&mut index, Kind::Deployment, &workload("nginx", json!({"replicas": 2}), json!({})));
    assert_eq!(changes(&mut index), ["+forbidLatestTag Deployment/cart"]);
    let graced = state(&mut index);
    assert_eq!((graced.violations(), graced.refused.workloads), (1, 0), "it counts as ever");
    let _ = index.age(Timestamp::from_second(59).unwrap());
    assert!(changes(&mut index).is_empty() && index.take_policies(NOW).is_empty());
    let _ = index.age(end);
    assert_eq!(changes(&mut index), ["!Deployment/cart 0 of 2"]);
    assert_eq!(state(&mut index).refused.workloads, 1);
}

#[test]
fn the_pods_of_a_cron_jobs_runs_count_for_it_whichever_is_seen_first() {
    for cron_job_first in [true, false] {
        let mut index = index(json!({"forbidLatestTag": true, "enforcementMode": "enforce"}));
        let cron_job = workload("nginx", json!({}), json!({}));
        let run = pod("cart-28012345-x", ("Job", "cart-28012345"), "nginx", 0);
        if cron_job_first {
            apply(&mut index, Kind::CronJob, &cron_job);
            assert_eq!(state(&mut index).refused.workloads, 1, "the next run");
            apply_pod(&mut index, &run);
        } else {
            apply_pod(&mut index, &run);
            apply(&mut index, Kind::CronJob, &cron_job);
        }
        let running = state(&mut index);
        assert_eq!((running.workloads, running.violations(), running.refused.workloads), (1, 1, 0));
        assert_eq!(running.worst[0].workload.kind, "CronJob");
        changes(&mut index);
        index.delete("shop", "cart-28012345-x", NOW);
        assert!(changes(&mut index).iter().all(|it| it.starts_with('!')), "no violation ends");
    }
}

#[test]
fn what_several_policies_find_is_one_open_violation_of_the_worst_severity() {
    let policies = [("a", "high"), ("b", "low")].map(|(name, severity)| {
        let spec =
            json!({"forbidLatestTag": true, "severityOverrides": {"forbidLatestTag": severity}});
        let spec = serde_json::from_value(spec).unwrap();
        Arc::new(
            Policy::compile(Scope::Namespace("shop".to_owned()), name.to_owned(), &spec).unwrap(),
        )
    });
    let known = [("shop".to_owned(), NamespaceMetadata::default())];
    let mut index = index(json!({}));
    let _ = index.policies(Arc::new(PolicySet::new(policies, Arc::new(known.into()))), NOW);
    apply(&mut index, Kind::Deployment, &workload("nginx", json!({}), json!({})));
    let counts = index.take_scores().unwrap().changed.remove(0);
    let open: Vec<_> = counts
        .open
        .iter()
        .map(|((rule, severity), count)| format!("{rule} {severity} {count}"))
        .collect();
    assert_eq!(open, ["forbidLatestTag high 1"]);
}

#[test]
fn workloads_that_may_not_be_listed_do_not_keep_pods_from_being_audited() {
    let mut index = AuditIndex::new(Remembered::default());
    let _ = index.policies(set(json!({"forbidLatestTag": true})), NOW);
    index.list_begins(Kind::Pod);
    apply_pod(&mut index, &pod("cart-1", ("ReplicaSet", "cart-5d4"), "nginx", 0));
    index.list_ends(Kind::Pod, NOW);
    assert!(!index.complete(), "workloads may follow");
    for kind in MAKERS {
        index.list_is_forbidden(kind);
    }
    assert!(index.complete());
    assert_eq!(state(&mut index).violations(), 1);
    index.delete("shop", "cart-1", NOW);
    assert!(changes(&mut index).is_empty(), "the Deployment may still exist");
}

#[test]
fn a_list_removes_the_workloads_of_its_kind_that_it_does_not_contain() {
    let mut index = index(json!({"forbidLatestTag": true}));
    let workload = workload("nginx", json!({}), json!({}));
    apply(&mut index, Kind::Deployment, &workload);
    apply(&mut index, Kind::StatefulSet, &workload);
    index.list_begins(Kind::Deployment);
    assert_eq!(state(&mut index).workloads, 2, "an unfinished list removes nothing");
    index.list_ends(Kind::Deployment, NOW);
    let left = state(&mut index);
    assert_eq!((left.workloads, &*left.worst[0].workload.kind), (1, "StatefulSet"));
}

#[test]
fn workloads_that_cannot_be_read_change_nothing() {
    let mut index = index(json!({"forbidLatestTag": true}));
    let mut odd = workload("nginx", json!({}), json!({}));
    odd["spec"]["template"]["spec"] = json!({"containers": "web"});
    apply(&mut index, Kind::Deployment, &odd);
    assert!(index.take_policies(NOW).is_empty());
}
