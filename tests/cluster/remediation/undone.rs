//! Another controller undoes podgate's repairs, again and again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::Arena;
use super::kubelet::READY;
use super::shop::{Shop, condition, wants};
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Arena> = trials![
    a_loop_that_reverts_the_template_meets_three_patches_and_then_the_condition,
    a_loop_that_replaces_the_whole_object_meets_three_patches_and_then_the_condition,
    a_loop_that_reverts_every_five_seconds_meets_three_patches_and_then_the_condition,
    a_template_edited_after_a_repair_is_kept,
];

fn a_loop_that_reverts_the_template_meets_three_patches_and_then_the_condition(arena: &Arena) {
    reverted(arena, Duration::from_millis(300), |shop, original, found| {
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": found["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/spec/template", "value": original["spec"]["template"]},
        ]);
        // Another write may have come first.
        let _ = shop.arena.api.patch(&shop.path(Kind::Deployment, "web"), &patch);
    });
}

fn a_loop_that_replaces_the_whole_object_meets_three_patches_and_then_the_condition(arena: &Arena) {
    reverted(arena, Duration::from_millis(300), replace);
}

fn a_loop_that_reverts_every_five_seconds_meets_three_patches_and_then_the_condition(
    arena: &Arena,
) {
    reverted(arena, Duration::from_secs(5), replace);
}

/// As a sync from a repository: everything that is not there is removed, annotations and labels too.
fn replace(shop: &Shop<'_>, original: &Value, _: &Value) {
    let mut object = original.clone();
    let metadata = &original["metadata"];
    object["metadata"] = json!({"name": "web", "uid": metadata["uid"]});
    let _ = shop.arena.api.put(&shop.path(Kind::Deployment, "web"), &object);
}

fn reverted(arena: &Arena, every: Duration, revert: fn(&Shop<'_>, &Value, &Value)) {
    let shop = arena.shop("undone");
    let original = shop.deployment(READY);
    shop.policy("own", &wants(&json!({})));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let found = shop.get(Kind::Deployment, "web");
                if found["spec"]["template"] != original["spec"]["template"] {
                    revert(&shop, &original, &found);
                }
                std::thread::sleep(every);
            }
        });
        let _done = Done(&done);
        let status = shop.wait_for_status("the condition", "own", |status| {
            condition(status, "RemediationConflict") == json!("True")
        });
        assert_eq!(condition(&status, "Ready"), json!("True"));
        let repair = shop.wait_for_state("own", "Deployment/web", "Conflict");
        assert!(repair["message"].as_str().unwrap().contains("undone 3 times"), "{repair}");
        // The loop keeps running.
        shop.wait_for_two_reads(Kind::Deployment, "web");
    });
    assert_eq!(arena.template_patches(&shop.name).len(), 3, "three patches");
    shop.wait_for_state("own", "Deployment/web", "Conflict");
    shop.event("RemediationConflict", "Deployment");
    let after = shop.get(Kind::Deployment, "web");
    assert_eq!(after["spec"]["template"], original["spec"]["template"]);
}

/// Ends the loop, also on a panic.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn a_template_edited_after_a_repair_is_kept(arena: &Arena) {
    let shop = arena.shop("theirs");
    shop.deployment(READY);
    arena.kubelet.hold(&shop.name);
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 600})));
    shop.wait_for_state("own", "Deployment/web", "RollingOut");
    let image = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "nginx:1.30"}]);
    arena.api.patch(&shop.path(Kind::Deployment, "web"), &image).unwrap();
    let after = shop.awaits(Kind::Deployment, "web", "to be let go", |it| {
        it["metadata"]["annotations"][super::shop::MARK].is_null()
            && it["metadata"]["labels"][super::shop::MARK].is_null()
    });
    arena.kubelet.release(&shop.name);
    let container = &after["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "nginx:1.30");
    assert_eq!(container["resources"]["limits"]["memory"], "64Mi", "the edited limit is kept");
    assert_eq!(arena.template_patches(&shop.name).len(), 1);
    shop.wait_for_status("no violation", "own", |status| status["violations"] == 0);
}
