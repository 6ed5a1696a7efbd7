//! Violations that only a running pod can have; the test sets its status as a kubelet would.

use serde_json::json;

use super::audited::Audited;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Audited> = trials![
    restarts_beyond_the_maximum_are_a_violation_that_grows,
    a_pod_that_is_pending_too_long_is_a_violation_by_time_alone,
    a_pod_that_has_ended_counts_no_more,
];

fn restarts_beyond_the_maximum_are_a_violation_that_grows(audited: &Audited) {
    let shop = audited.namespace("restarts");
    shop.policy("own", &json!({"maxRestartCount": 3}));
    shop.deployment("cart", "nginx:1.29", 1);
    shop.wait_for_status("a pod", "own", |status| {
        status["message"].as_str().is_some_and(|it| it.contains("1 workload"))
    });
    let pod = shop.pods("cart").remove(0);
    let restarted = |count: u32| {
        shop.set_status(&pod, &json!({"phase": "Running", "containerStatuses": [{
            "name": "web", "image": "nginx:1.29", "imageID": "", "ready": true, "restartCount": count,
        }]}));
    };
    restarted(3);
    restarted(4);
    let few = shop.wait_for_status("four restarts", "own", |status| status["violations"] == 1);
    assert_eq!(few["topViolations"][0]["severity"], "critical");
    assert_eq!(few["topViolations"][0]["container"], "web");
    restarted(30);
    let many = shop.wait_for_status("thirty restarts", "own", |status| {
        status["healthScore"].as_u64() < few["healthScore"].as_u64()
    });
    let message = many["topViolations"][0]["message"].as_str().unwrap();
    assert!(message.contains("30"), "{message}");
    assert_eq!(many["violations"], 1);
}

fn a_pod_that_is_pending_too_long_is_a_violation_by_time_alone(audited: &Audited) {
    let shop = audited.namespace("pending");
    shop.policy("own", &json!({"forbidPendingDuration": 3}));
    shop.deployment("cart", "nginx:1.29", 1);
    let status = shop.wait_for_status("a pending pod", "own", |status| status["violations"] == 1);
    assert_eq!(status["topViolations"][0]["rule"], "forbidPendingDuration");
    let pod = shop.pods("cart").remove(0);
    shop.set_status(&pod, &json!({"phase": "Running"}));
    shop.wait_for_status("a running pod", "own", |status| status["violations"] == 0);
}

fn a_pod_that_has_ended_counts_no_more(audited: &Audited) {
    let shop = audited.namespace("ended");
    shop.policy("own", &json!({"forbidLatestTag": true}));
    shop.audited.apply(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "once", "namespace": shop.name},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "web", "image": "nginx"}]},
    }));
    let status =
        shop.wait_for_status("a pod without an owner", "own", |status| status["violations"] == 1);
    assert_eq!(status["topViolations"][0]["workload"], "Pod/once");
    shop.set_status("once", &json!({"phase": "Succeeded"}));
    shop.wait_for_status("an ended pod", "own", |status| status["violations"] == 0);
}
