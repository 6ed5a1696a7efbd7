//! Each workload is repaired once, and nothing else is changed.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::Arena;
use super::kubelet::READY;
use super::shop::{MARK, record, wants, workload};
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Arena> = trials![
    a_deployment_is_repaired_by_exactly_one_rollout,
    a_stateful_set_is_repaired_by_exactly_one_rollout,
    a_daemon_set_is_repaired_by_exactly_one_rollout,
    two_policies_on_one_workload_make_one_patch_and_one_rollout,
    fields_that_a_container_sets_are_kept,
];

fn a_deployment_is_repaired_by_exactly_one_rollout(arena: &Arena) {
    repaired_once(arena, Kind::Deployment);
}

fn a_stateful_set_is_repaired_by_exactly_one_rollout(arena: &Arena) {
    repaired_once(arena, Kind::StatefulSet);
}

fn a_daemon_set_is_repaired_by_exactly_one_rollout(arena: &Arena) {
    repaired_once(arena, Kind::DaemonSet);
}

fn repaired_once(arena: &Arena, kind: Kind) {
    let shop = arena.shop("once");
    let before = shop.runs(kind, &workload(kind, "web", READY, 2));
    assert_eq!(shop.templates(kind, "web"), 1);
    shop.policy("own", &wants(&json!({})));
    let name = kind.names().kind;
    let repair = shop.wait_for_state("own", &format!("{name}/web"), "Repaired");
    let message = repair["message"].as_str().unwrap();
    for word in ["requireReadinessProbe", "requireResourceLimits", "every pod"] {
        assert!(message.contains(word), "{message}");
    }
    let status =
        shop.wait_for_status("the violation is gone", "own", |status| status["violations"] == 0);
    assert_eq!(status["healthScore"], 100);
    assert_eq!(status["remediation"]["repaired"], 1);
    assert_eq!(status["remediation"]["inFlight"], 0);
    let after = shop.get(kind, "web");
    let container = &after["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["memory"], "64Mi");
    assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], 80);
    assert!(container["livenessProbe"].is_null(), "no policy requires it: {container}");
    assert!(after["metadata"]["labels"][MARK].is_null(), "{}", after["metadata"]);
    assert_eq!(record(&after)["state"], "Repaired");
    assert_eq!(shop.templates(kind, "web"), 2, "one rollout");
    // A Deployment's generation also counts changes of annotations.
    if kind != Kind::Deployment {
        let generation = |it: &Value| it["metadata"]["generation"].as_i64().unwrap();
        assert_eq!(generation(&after), generation(&before) + 1, "one change of the spec");
    }
    assert_eq!(arena.template_patches(&shop.name).len(), 1);
    for (reason, on) in [("Repairing", name), ("Repaired", name), ("Repaired", "DevOpsPolicy")] {
        assert_eq!(shop.event(reason, on)["type"], "Normal");
    }
}

fn two_policies_on_one_workload_make_one_patch_and_one_rollout(arena: &Arena) {
    let shop = arena.shop("two");
    let remediation = json!({"mode": "apply", "cooldownSeconds": 0});
    shop.policy(
        "limits",
        &json!({"requireResourceLimits": ["memory"], "defaultResources": {"memoryLimit": "64Mi"},
            "remediation": remediation}),
    );
    shop.policy(
        "probes",
        &json!({"requireReadinessProbe": true, "defaultProbe": {"tcpPort": 80},
            "remediation": remediation}),
    );
    for policy in ["limits", "probes"] {
        shop.wait_for_status("the policy to be in force", policy, |status| {
            status["remediation"].is_object()
        });
    }
    shop.deployment(READY);
    for policy in ["limits", "probes"] {
        let repair = shop.wait_for_state(policy, "Deployment/web", "Repaired");
        let message = repair["message"].as_str().unwrap();
        assert!(message.contains("Limits") && message.contains("Probe"), "{message}");
        shop.wait_for_status("no violation", policy, |status| status["violations"] == 0);
    }
    assert_eq!(arena.template_patches(&shop.name).len(), 1, "one patch");
    assert_eq!(shop.templates(Kind::Deployment, "web"), 2, "one rollout");
    let after = shop.get(Kind::Deployment, "web");
    assert_eq!(record(&after)["policies"].as_array().unwrap().len(), 2);
}

fn fields_that_a_container_sets_are_kept(arena: &Arena) {
    let shop = arena.shop("kept");
    let mut object = workload(Kind::Deployment, "web", READY, 1);
    let probe = json!({"httpGet": {"path": "/own", "port": 8080}});
    let containers = json!([
        {"name": "shipper", "image": "shipper:1", "readinessProbe": probe,
            "resources": {"limits": {"memory": "8Mi"}}},
        {"name": "web", "image": "nginx:1.29", "ports": [{"containerPort": 80}],
            "resources": {"requests": {"memory": "100Mi", "cpu": "1"}}},
    ]);
    object["spec"]["template"]["spec"]["containers"] = containers;
    let before = shop.runs(Kind::Deployment, &object);
    shop.policy("own", &wants(&json!({})));
    shop.wait_for_state("own", "Deployment/web", "Repaired");
    let after = shop.get(Kind::Deployment, "web");
    let of = |it: &Value, index: usize| it["spec"]["template"]["spec"]["containers"][index].clone();
    assert_eq!(of(&after, 0), of(&before, 0), "the compliant container is unchanged");
    let web = of(&after, 1);
    println!("a limit where 100Mi are requested and 64Mi is the default: {}", web["resources"]);
    assert_eq!(web["resources"]["requests"], of(&before, 1)["resources"]["requests"]);
}
