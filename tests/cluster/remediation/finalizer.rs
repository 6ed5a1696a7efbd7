//! A policy that may repair has a finalizer only as long as needed.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::Arena;
use super::kubelet::READY;
use super::shop::{Shop, record, wants};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Arena> = trials![
    a_policy_has_the_finalizer_only_in_mode_apply,
    a_policy_that_is_deleted_waits_for_a_rollout_that_ends,
    a_hung_rollout_is_rolled_back_within_a_minute_of_its_policys_deletion,
    a_policy_that_is_switched_off_finishes_its_repairs_in_flight_first,
];

const FINALIZER: &str = "devops.stochastic.io/cleanup";

fn has_finalizer(policy: &Value) -> bool {
    let finalizers = policy["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|it| it.contains(&json!(FINALIZER)))
}

fn wait_for_finalizer(shop: &Shop<'_>, expected: bool) {
    let what = if expected { "the finalizer on the policy" } else { "no finalizer on the policy" };
    let ((), after) = eventually(what, || {
        let policy = shop.get_policy("own");
        if has_finalizer(&policy) == expected { Ok(()) } else { Err(policy.to_string()) }
    });
    println!("{}: {what}: after {}", shop.name, seconds(after));
}

fn delete_and_wait(shop: &Shop<'_>) {
    shop.delete_policy("own");
    wait_until_gone(shop);
}

fn wait_until_gone(shop: &Shop<'_>) {
    let ((), after) = eventually("the policy to be gone", || {
        let policy = shop.get_policy("own");
        if policy.is_null() { Ok(()) } else { Err(policy.to_string()) }
    });
    println!("{}: a deleted policy is gone after {}", shop.name, seconds(after));
}

fn a_policy_has_the_finalizer_only_in_mode_apply(arena: &Arena) {
    let shop = arena.shop("held");
    shop.policy("own", &wants(&json!({"mode": "plan"})));
    shop.wait_for_status("the policy to be evaluated", "own", |status| {
        status["remediation"].is_object()
    });
    assert!(!has_finalizer(&shop.get_policy("own")));
    let foreign =
        json!([{"op": "add", "path": "/metadata/finalizers", "value": ["example.com/other"]}]);
    let path = format!("/apis/devops.stochastic.io/v1/namespaces/{}/devopspolicies/own", shop.name);
    arena.api.patch(&path, &foreign).unwrap();
    shop.edit_policy("own", &json!({"remediation": {"mode": "apply"}}));
    wait_for_finalizer(&shop, true);
    shop.edit_policy("own", &json!({"remediation": {"mode": "off"}}));
    wait_for_finalizer(&shop, false);
    let left = &shop.get_policy("own")["metadata"]["finalizers"];
    assert_eq!(left, &json!(["example.com/other"]), "another controller's finalizer stays");
    arena.api.merge(&path, &json!({"metadata": {"finalizers": null}})).unwrap();
    shop.wait_for_status("the status without remediation", "own", |status| {
        status["remediation"].is_null()
    });
    delete_and_wait(&shop);
    shop.policy("own", &wants(&json!({})));
    wait_for_finalizer(&shop, true);
    delete_and_wait(&shop);
}

fn a_policy_that_is_deleted_waits_for_a_rollout_that_ends(arena: &Arena) {
    let shop = arena.shop("finished");
    shop.deployment(READY);
    arena.kubelet.hold(&shop.name);
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 600})));
    shop.wait_for_state("own", "Deployment/web", "RollingOut");
    shop.delete_policy("own");
    // podgate still follows the rollout.
    shop.wait_for_two_reads(Kind::Deployment, "web");
    let policy = shop.get_policy("own");
    assert!(
        has_finalizer(&policy) && policy["metadata"]["deletionTimestamp"].is_string(),
        "{policy}"
    );
    arena.kubelet.release(&shop.name);
    wait_until_gone(&shop);
    let after = shop.get(Kind::Deployment, "web");
    assert_eq!(record(&after)["state"], "Repaired");
}

fn a_hung_rollout_is_rolled_back_within_a_minute_of_its_policys_deletion(arena: &Arena) {
    let shop = arena.shop("hangs");
    let before = shop.deployment(READY);
    arena.kubelet.hold(&shop.name);
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 600})));
    shop.wait_for_state("own", "Deployment/web", "RollingOut");
    delete_and_wait(&shop);
    let after = shop.get(Kind::Deployment, "web");
    assert_eq!(record(&after)["state"], "RolledBack");
    assert_eq!(after["spec"]["template"], before["spec"]["template"]);
    arena.kubelet.release(&shop.name);
}

fn a_policy_that_is_switched_off_finishes_its_repairs_in_flight_first(arena: &Arena) {
    let shop = arena.shop("off");
    shop.deployment(READY);
    arena.kubelet.hold(&shop.name);
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 600})));
    shop.wait_for_state("own", "Deployment/web", "RollingOut");
    shop.edit_policy("own", &json!({"remediation": {"mode": "off"}}));
    arena.kubelet.release(&shop.name);
    shop.awaits(Kind::Deployment, "web", "to be repaired", |it| record(it)["state"] == "Repaired");
    wait_for_finalizer(&shop, false);
    delete_and_wait(&shop);
}
