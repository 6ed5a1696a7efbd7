//! Proposed repairs, refused repairs and exempt workloads: podgate writes to none of them.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::Arena;
use super::kubelet::READY;
use super::shop::{Shop, wants, workload};
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Arena> = trials![
    plan_writes_nothing_to_any_workload_and_its_patch_repairs,
    repairs_of_tool_managed_workloads_are_proposed_unless_the_policy_says_apply,
    a_workload_that_cannot_be_repaired_shows_the_reason,
    an_exempt_workload_is_not_repaired,
];

fn plan_writes_nothing_to_any_workload_and_its_patch_repairs(arena: &Arena) {
    let shop = arena.shop("plan");
    let kinds = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
    let version = |it: &Value| it["metadata"]["generation"].clone();
    let before = kinds.map(|kind| version(&shop.runs(kind, &workload(kind, "web", READY, 1))));
    shop.policy("own", &wants(&json!({"mode": "plan"})));
    for (kind, before) in kinds.into_iter().zip(before) {
        let repair = shop.wait_for_state("own", &format!("{}/web", kind.names().kind), "Proposed");
        assert!(repair["message"].as_str().unwrap().contains("only plans"), "{repair}");
        shop.event("RemediationProposed", kind.names().kind);
        assert_eq!(version(&shop.get(kind, "web")), before);
        let patch: Value = serde_json::from_str(repair["patch"].as_str().unwrap()).unwrap();
        arena.api.patch(&shop.path(kind, "web"), &patch).unwrap();
    }
    shop.wait_for_status("no violation after the proposed patches", "own", |status| {
        status["violations"] == 0 && status["remediation"]["proposed"] == 0
    });
    assert_eq!(shop.get_policy("own")["metadata"]["finalizers"], Value::Null);
    let written = arena.repairs(&shop.name);
    assert!(written.is_empty(), "{written:?}");
}

fn repairs_of_tool_managed_workloads_are_proposed_unless_the_policy_says_apply(arena: &Arena) {
    let shop = arena.shop("gitops");
    let helm = json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}});
    let argo = json!({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment"}});
    let tools = [("helm", "Helm", helm), ("argo", "Argo CD", argo)];
    for (name, _, metadata) in &tools {
        let mut object = workload(Kind::Deployment, name, READY, 1);
        object["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        shop.runs(Kind::Deployment, &object);
    }
    shop.policy("own", &wants(&json!({"maxConcurrent": 2})));
    for (name, tool, _) in &tools {
        let repair = shop.wait_for_state("own", &format!("Deployment/{name}"), "Proposed");
        assert!(repair["message"].as_str().unwrap().contains(&format!("{tool} manages it")));
        assert!(repair["patch"].as_str().unwrap().contains("readinessProbe"), "{repair}");
    }
    shop.event("RemediationProposed", "Deployment");
    let written = arena.repairs(&shop.name);
    assert!(written.is_empty(), "{written:?}");
    shop.edit_policy("own", &json!({"remediation": {"gitops": "apply"}}));
    for (name, ..) in &tools {
        shop.wait_for_state("own", &format!("Deployment/{name}"), "Repaired");
    }
    shop.wait_for_status("no violation", "own", |status| status["violations"] == 0);
}

/// Creates a workload whose repair is refused with these words.
type Refused = (&'static str, Kind, fn(&mut Value), &'static str);

const REFUSED: &[Refused] = &[
    ("paused", Kind::Deployment, |_| {}, "it is paused"),
    ("owned", Kind::Deployment, owned, "Widget gadget owns it"),
    ("windows", Kind::Deployment, |it| template(it)["os"] = json!({"name": "windows"}), "Windows"),
    ("portless", Kind::Deployment, portless, "does not declare the default probe's port"),
    ("ondelete", Kind::StatefulSet, on_delete, "OnDelete"),
    ("lazy", Kind::DaemonSet, on_delete, "OnDelete"),
    ("canary", Kind::StatefulSet, partition, "partition"),
    ("replicas", Kind::ReplicaSet, |_| {}, "make it a Deployment"),
];

fn template(object: &mut Value) -> &mut Value {
    &mut object["spec"]["template"]["spec"]
}

fn owned(object: &mut Value) {
    object["metadata"]["ownerReferences"] = json!([{"apiVersion": "example.com/v1", "kind": "Widget",
        "name": "gadget", "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "controller": true}]);
}

fn portless(object: &mut Value) {
    let resources = json!({"limits": {"memory": "64Mi"}});
    template(object)["containers"] =
        json!([{"name": "web", "image": "nginx:1.29", "resources": resources}]);
}

fn on_delete(object: &mut Value) {
    object["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
}

fn partition(object: &mut Value) {
    object["spec"]["updateStrategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
}

fn a_workload_that_cannot_be_repaired_shows_the_reason(arena: &Arena) {
    let shop = arena.shop("refused");
    for (name, kind, change, _) in REFUSED {
        let mut object = workload(*kind, name, READY, 1);
        change(&mut object);
        shop.runs(*kind, &object);
    }
    // A workload that starts like this has no pods.
    let path = shop.path(Kind::Deployment, "paused");
    arena.api.merge(&path, &json!({"spec": {"paused": true}})).unwrap();
    let pod =
        json!({"restartPolicy": "Never", "containers": [{"name": "web", "image": "nginx:1.29"}]});
    let job = json!({"metadata": {"name": "job"}, "spec": {"template": {"spec": pod}}});
    shop.create(Kind::Job, &job);
    shop.create(Kind::Pod, &json!({"metadata": {"name": "bare"}, "spec": pod}));
    shop.policy("own", &wants(&json!({"maxConcurrent": 20})));
    let kinds = REFUSED.iter().map(|(name, kind, _, why)| (*name, kind.names().kind, *why));
    let others = [("job", "Job", "runs to its end"), ("bare", "Pod", "never recreated")];
    for (name, kind, why) in kinds.chain(others) {
        let repair = shop.wait_for_state("own", &format!("{kind}/{name}"), "Refused");
        let message = repair["message"].as_str().unwrap();
        println!("{kind} {name}: {message}");
        assert!(message.contains(why), "{name}: {message}");
    }
    nothing_was_written(&shop);
}

fn an_exempt_workload_is_not_repaired(arena: &Arena) {
    let shop = arena.shop("exempt");
    let before = shop.deployment(READY);
    shop.ready_deployment("other");
    let mut spec = wants(&json!({}));
    spec["exemptions"] = json!([{"rules": ["requireReadinessProbe", "requireResourceLimits"],
        "names": ["web"], "reason": "r", "owner": "o"}]);
    shop.policy("own", &spec);
    shop.wait_for_state("own", "Deployment/other", "Repaired");
    let status = shop.wait_for_status("no violation", "own", |status| status["violations"] == 0);
    assert_eq!(status["exemptions"]["used"], 1);
    assert_eq!(shop.get(Kind::Deployment, "web")["spec"], before["spec"]);
    assert_eq!(status["remediation"]["workloads"].as_array().unwrap().len(), 1, "{status}");
}

fn nothing_was_written(shop: &Shop<'_>) {
    let written = shop.arena.repairs(&shop.name);
    assert!(written.is_empty(), "{written:?}");
}
