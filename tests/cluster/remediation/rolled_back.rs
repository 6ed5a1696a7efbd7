//! A repair that makes a workload worse is rolled back, and not repeated.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::Arena;
use super::kubelet::{CRASH, NEVER};
use super::shop::{MARK, Shop, record, wants, workload};
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Arena> = trials![
    a_rollout_that_never_becomes_ready_is_rolled_back_to_the_same_template_and_not_repeated,
    a_crash_loop_is_rolled_back_long_before_the_timeout,
    a_rollout_past_its_progress_deadline_is_rolled_back_before_the_timeout,
    a_stateful_set_that_never_becomes_ready_is_rolled_back,
    a_stateful_set_of_parallel_pods_is_rolled_back_without_manual_help,
    a_daemon_set_that_never_becomes_ready_is_rolled_back,
];

fn a_rollout_that_never_becomes_ready_is_rolled_back_to_the_same_template_and_not_repeated(
    arena: &Arena,
) {
    let shop = arena.shop("never");
    let before = shop.deployment(NEVER);
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 10})));
    let repair = rolled_back(&shop, Kind::Deployment, &before);
    assert!(repair["message"].as_str().unwrap().contains("did not end in time"), "{repair}");
    assert_eq!(shop.event("RolledBack", "Deployment")["type"], "Warning");
    shop.event("RolledBack", "DevOpsPolicy");
    shop.awaits(Kind::Deployment, "web", "to be rolled out once more", |it| {
        it["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    });
    shop.is_available(Kind::Deployment, "web");
    assert_eq!(shop.templates(Kind::Deployment, "web"), 2, "no third ReplicaSet");

    shop.wait_for_two_reads(Kind::Deployment, "web");
    assert_eq!(arena.template_patches(&shop.name).len(), 2, "the repair was repeated");
    shop.wait_for_state("own", "Deployment/web", "RolledBack");
    shop.edit_policy("own", &json!({"remediation": {"rolloutTimeoutSeconds": 11}}));
    eventually("a repair for the policy's next version", || {
        let patches = arena.template_patches(&shop.name).len();
        if patches == 3 { Ok(()) } else { Err(patches.to_string()) }
    });
}

/// Waits until the repair of the workload `web` was rolled back by one patch.
fn rolled_back(shop: &Shop<'_>, kind: Kind, before: &Value) -> Value {
    let repair = shop.wait_for_state("own", &format!("{}/web", kind.names().kind), "RolledBack");
    println!("{}: {}", shop.name, repair["message"]);
    let (after, _) = eventually("the repair to be over", || {
        let after = shop.get(kind, "web");
        let over = after["metadata"]["labels"][MARK].is_null();
        if over { Ok(after) } else { Err(after["metadata"].to_string()) }
    });
    let template = |it: &Value| it["spec"]["template"].to_string();
    assert_eq!(template(&after), template(before), "the same template");
    assert_eq!(record(&after)["state"], "RolledBack");
    let patches = shop.arena.template_patches(&shop.name);
    assert_eq!(patches.len(), 2, "one repair and one rollback: {patches:?}");
    shop.wait_for_status("the rollback in the status", "own", |it| {
        it["remediation"]["rolledBack"] == 1
    });
    let _status =
        shop.wait_for_status("no repair in flight", "own", |it| it["remediation"]["inFlight"] == 0);
    repair
}

fn a_crash_loop_is_rolled_back_long_before_the_timeout(arena: &Arena) {
    let shop = arena.shop("crash");
    let before = shop.deployment(CRASH);
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 600})));
    let repair = rolled_back(&shop, Kind::Deployment, &before);
    let message = repair["message"].as_str().unwrap();
    assert!(message.contains("\"web\"") && message.contains("restarted 5 times"), "{message}");
    // A user replaces the whole object including the record: the repair is still not repeated.
    let mut object = before.clone();
    object["metadata"] = json!({"name": "web"});
    arena.api.put(&shop.path(Kind::Deployment, "web"), &object).unwrap();
    shop.wait_for_two_reads(Kind::Deployment, "web");
    assert_eq!(arena.template_patches(&shop.name).len(), 2, "the repair was repeated");
    shop.wait_for_state("own", "Deployment/web", "RolledBack");
}

fn a_rollout_past_its_progress_deadline_is_rolled_back_before_the_timeout(arena: &Arena) {
    let shop = arena.shop("progress");
    let mut object = workload(Kind::Deployment, "web", NEVER, 2);
    object["spec"]["progressDeadlineSeconds"] = json!(2);
    let before = shop.runs(Kind::Deployment, &object);
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 600})));
    let repair = rolled_back(&shop, Kind::Deployment, &before);
    assert!(repair["message"].as_str().unwrap().contains("progress deadline"), "{repair}");
}

/// Its controller waits for the stuck pod for ever; podgate deletes that pod, and nothing else.
fn a_stateful_set_that_never_becomes_ready_is_rolled_back(arena: &Arena) {
    let shop = arena.shop("stuck");
    let before = shop.runs(Kind::StatefulSet, &workload(Kind::StatefulSet, "web", NEVER, 2));
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 10})));
    let repair = rolled_back(&shop, Kind::StatefulSet, &before);
    assert!(repair["message"].as_str().unwrap().contains("did not end in time"), "{repair}");
    shop.is_available(Kind::StatefulSet, "web");
    assert_eq!(shop.templates(Kind::StatefulSet, "web"), 2, "no third revision");
}

fn a_stateful_set_of_parallel_pods_is_rolled_back_without_manual_help(arena: &Arena) {
    let shop = arena.shop("parallel");
    let mut object = workload(Kind::StatefulSet, "web", NEVER, 2);
    object["spec"]["podManagementPolicy"] = json!("Parallel");
    let before = shop.runs(Kind::StatefulSet, &object);
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 10})));
    rolled_back(&shop, Kind::StatefulSet, &before);
    shop.is_available(Kind::StatefulSet, "web");
}

fn a_daemon_set_that_never_becomes_ready_is_rolled_back(arena: &Arena) {
    let shop = arena.shop("daemon");
    let before = shop.runs(Kind::DaemonSet, &workload(Kind::DaemonSet, "web", NEVER, 1));
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 10})));
    rolled_back(&shop, Kind::DaemonSet, &before);
    shop.is_available(Kind::DaemonSet, "web");
    assert_eq!(shop.templates(Kind::DaemonSet, "web"), 2, "no third revision");
}
