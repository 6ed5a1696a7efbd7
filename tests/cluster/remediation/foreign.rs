//! Other webhooks between podgate and the workloads.

use std::sync::Arc;

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::Arena;
use super::kubelet::READY;
use super::shop::{wants, workload, workload_status};
use super::webhook::Webhook;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Arena> = trials![
    a_sidecar_injected_before_the_container_does_not_move_the_patch,
    a_template_that_a_webhook_extends_is_repaired_once,
    a_webhook_that_is_down_holds_up_nobody_elses_repairs,
];

fn a_sidecar_injected_before_the_container_does_not_move_the_patch(arena: &Arena) {
    let shop = arena.shop("sidecar");
    let shipper = json!({"name": "shipper", "image": "shipper:1"});
    let patch = json!([{"op": "add", "path": "/spec/containers/0", "value": shipper}]);
    let _injector = Webhook::of_pods(&shop, Arc::new(move |_| patch.clone()));
    let mut object = workload(Kind::Deployment, "web", READY, 2);
    // A second container that lacks nothing, so that a patch at the wrong index would show.
    let other = json!({"name": "other", "image": "other:1", "ports": [{"containerPort": 81}],
        "readinessProbe": {"tcpSocket": {"port": 81}}, "resources": {"limits": {"memory": "1Mi"}}});
    let containers = object["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    containers.push(other);
    let before = shop.runs(Kind::Deployment, &object);
    let pods = arena.api.list(&shop.path(Kind::Pod, ""));
    assert!(pods.iter().all(|it| it["spec"]["containers"][0]["name"] == "shipper"), "{pods:?}");
    shop.policy("own", &wants(&json!({})));
    shop.wait_for_state("own", "Deployment/web", "Repaired");
    let after = shop.get(Kind::Deployment, "web");
    let of = |it: &Value, index: usize| it["spec"]["template"]["spec"]["containers"][index].clone();
    assert_eq!(of(&after, 0)["name"], "web");
    assert_eq!(of(&after, 0)["resources"]["limits"]["memory"], "64Mi");
    assert_eq!(of(&after, 0)["readinessProbe"]["tcpSocket"]["port"], 80);
    assert_eq!(of(&after, 1), of(&before, 1));
    assert_eq!(of(&after, 2), Value::Null);
    // The injected container still breaks the policy, and no change of the template can fix it.
    shop.wait_for_status("a violation of the injected container", "own", |status| {
        status["violations"].as_i64() > Some(0) && status["remediation"]["repaired"] == 1
    });
    shop.wait_for_two_reads(Kind::Deployment, "web");
    assert_eq!(arena.template_patches(&shop.name).len(), 1);
}

fn a_template_that_a_webhook_extends_is_repaired_once(arena: &Arena) {
    let shop = arena.shop("defaulted");
    let before = shop.deployment(READY);
    let patch = json!([{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"by": "webhook"}}]);
    let adds = move |request: &Value| {
        let annotations = &request["object"]["spec"]["template"]["metadata"]["annotations"];
        if annotations["by"].is_null() { patch.clone() } else { Value::Null }
    };
    let _defaults = Webhook::of_workloads(&shop, Arc::new(adds));
    assert!(before["spec"]["template"]["metadata"]["annotations"].is_null());
    shop.policy("own", &wants(&json!({})));
    shop.wait_for_state("own", "Deployment/web", "Repaired");
    assert_eq!(arena.template_patches(&shop.name).len(), 1);
    assert_eq!(shop.templates(Kind::Deployment, "web"), 2);
}

fn a_webhook_that_is_down_holds_up_nobody_elses_repairs(arena: &Arena) {
    // By its name, this namespace comes before all others.
    let shop = arena.shop("a-down");
    shop.deployment(READY);
    let webhook = Webhook::that_is_down(&shop);
    shop.policy("own", &wants(&json!({})));
    shop.wait_for_status("the failed webhook in the status", "own", |status| {
        let repair = workload_status(status, &format!("Deployment/{}/web", shop.name));
        repair["message"].as_str().is_some_and(|it| it.contains("webhook"))
    });
    let other = arena.shop("beside");
    other.deployment(READY);
    other.policy("own", &wants(&json!({})));
    other.wait_for_state("own", "Deployment/web", "Repaired");
    drop(webhook);
    shop.wait_for_state("own", "Deployment/web", "Repaired");
}
