//! The pace of repairs: no faster than the policy allows, and stopped where they do harm. Checked in the audit log.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::Arena;
use super::kubelet::{CRASH, READY};
use super::shop::{MARK, wants, workload, workload_status};
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Arena> = trials![
    repairs_run_one_at_a_time_where_max_concurrent_is_one,
    the_cooldown_passes_between_two_workloads,
    a_policy_stops_after_two_repairs_that_were_rolled_back,
    in_a_namespace_ten_repairs_begin_in_an_hour,
];

/// podgate's writes: the workload, and whether its repair is in flight afterwards.
fn steps(arena: &Arena, namespace: &str) -> Vec<(String, bool)> {
    let step = |it: &Value| {
        let operations = it["requestObject"].as_array().unwrap();
        let mark =
            |it: &&Value| it["path"].as_str().is_some_and(|it| it.starts_with("/metadata/labels"));
        let begins = operations.iter().rfind(mark).is_some_and(|it| it["op"] == "add");
        let name = it["objectRef"]["name"].as_str().unwrap().to_owned();
        (name, begins)
    };
    let dry = |it: &Value| it["requestURI"].as_str().unwrap().contains("dryRun");
    arena.repairs(namespace).iter().filter(|it| !dry(it)).map(step).collect()
}

fn repairs_run_one_at_a_time_where_max_concurrent_is_one(arena: &Arena) {
    let shop = arena.shop("one");
    let names = ["a", "b", "c", "d"];
    for name in names {
        shop.ready_deployment(name);
    }
    shop.policy("own", &wants(&json!({"maxConcurrent": 1})));
    for name in names {
        shop.wait_for_state("own", &format!("Deployment/{name}"), "Repaired");
    }
    let steps = steps(arena, &shop.name);
    assert_eq!(steps.len(), 8, "{steps:?}");
    for pair in steps.chunks(2) {
        assert_eq!(pair[0].0, pair[1].0, "one repair at a time: {steps:?}");
        assert!(pair[0].1 && !pair[1].1, "{steps:?}");
    }
}

fn the_cooldown_passes_between_two_workloads(arena: &Arena) {
    let shop = arena.shop("cooldown");
    for name in ["a", "b"] {
        shop.ready_deployment(name);
    }
    shop.policy("own", &wants(&json!({"cooldownSeconds": 3600, "maxConcurrent": 1})));
    shop.wait_for_status("one workload repaired, the other waiting", "own", |status| {
        let of = |name: &str| workload_status(status, &format!("Deployment/{}/{name}", shop.name));
        let repaired = |name: &str| of(name)["state"] == "Repaired";
        let waits =
            |name: &str| of(name)["message"].as_str().is_some_and(|it| it.contains("cooldown"));
        (repaired("a") && waits("b")) || (repaired("b") && waits("a"))
    });
    let first = steps(arena, &shop.name);
    assert_eq!(first.len(), 2, "the next has begun within an hour: {first:?}");
    shop.edit_policy("own", &json!({"remediation": {"cooldownSeconds": 1}}));
    for name in ["a", "b"] {
        shop.wait_for_state("own", &format!("Deployment/{name}"), "Repaired");
    }
    assert_eq!(steps(arena, &shop.name).len(), 4);
}

fn a_policy_stops_after_two_repairs_that_were_rolled_back(arena: &Arena) {
    let shop = arena.shop("breaker");
    let names = ["a", "b", "c"];
    for name in names {
        shop.runs(Kind::Deployment, &workload(Kind::Deployment, name, CRASH, 1));
    }
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 600})));
    // Any two workloads may come first.
    let of = |status: &Value, name: &str| {
        workload_status(status, &format!("Deployment/{}/{name}", shop.name))
    };
    let stopped = |status: &Value, name: &str| {
        of(status, name)["message"].as_str().is_some_and(|it| it.contains("has stopped"))
    };
    let status = shop.wait_for_status("two rollbacks, and repairs stopped", "own", |status| {
        let back = names.iter().filter(|it| of(status, it)["state"] == "RolledBack").count();
        back == 2 && names.iter().any(|it| stopped(status, it))
    });
    assert_eq!(status["remediation"]["rolledBack"], 2);
    let third = names.into_iter().find(|it| stopped(&status, it)).unwrap();
    let third = shop.get(Kind::Deployment, third);
    assert!(third["metadata"]["annotations"][MARK].is_null());
    assert_eq!(arena.template_patches(&shop.name).len(), 4, "two repairs and two rollbacks");
}

fn in_a_namespace_ten_repairs_begin_in_an_hour(arena: &Arena) {
    let shop = arena.shop("budget");
    let names: Vec<_> = (0..11).map(|it| format!("web-{it:02}")).collect();
    for name in &names {
        shop.create(Kind::Deployment, &workload(Kind::Deployment, name, READY, 1));
    }
    for name in &names {
        shop.is_available(Kind::Deployment, name);
    }
    shop.policy("own", &wants(&json!({"maxConcurrent": 20})));
    shop.wait_for_status("ten repairs", "own", |status| status["remediation"]["repaired"] == 10);
    shop.wait_for_status("one waits", "own", |status| {
        let repair = status["remediation"]["workloads"].as_array().unwrap().iter();
        repair.clone().any(|it| it["message"].as_str().unwrap().contains("it waits: 10 workloads"))
    });
    assert_eq!(arena.template_patches(&shop.name).len(), 10);
}
