//! What is seen of a floor from outside: its objects, its conditions, its metric, and its verdicts.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::beat;
use crate::release::{ANCHOR, SHOP};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::manifests::pod;
use crate::world::{NAMESPACE, World};

/// The age of the last beat while podgate is heard.
const NEW: SignedDuration = SignedDuration::from_secs(15);
/// The pause between two looks at the replicas' metrics.
const SAMPLED: Duration = Duration::from_millis(250);
pub const LEASE: &str = "podgate-alive";
/// The policy of the shop, and its binding.
pub const JUDGES: &str = "podgate-floor-in-shop-deny";
pub const OURS: &str = "devops.stochastic.io/floor=podgate";
pub const KINDS: &str = "validatingadmissionpolicies,validatingadmissionpolicybindings";
pub const GOOD: &str = "nginx:1.29";
pub const BAD: &str = "nginx";

/// Waits until the shop's policy is on the floor, and podgate judges itself.
pub fn ready(world: &World) {
    let ((), after) = eventually("the floor to be ready", || {
        let all = world.kubectl(&["get", KINDS, "-l", OURS, "-o", "name"]);
        if all.matches(JUDGES).count() < 2 {
            return Err(all);
        }
        let status = world.get(&["devopspolicy", "baseline", "-n", SHOP]).unwrap()["status"].take();
        for (type_, reason) in [("FloorReady", "Kept"), ("FloorComplete", "AllCompiled")] {
            let conditions = status["conditions"].as_array();
            let found = conditions.and_then(|all| all.iter().find(|it| it["type"] == type_));
            if found.is_none_or(|it| it["status"] != "True" || it["reason"] != reason) {
                return Err(status.to_string());
            }
        }
        // An earlier leader may have written the conditions.
        match renewed(world) {
            Some(beat) if Timestamp::now().duration_since(beat) < NEW => Ok(()),
            other => Err(format!("the last beat is of {other:?}")),
        }
    });
    let denies = world.denies();
    println!("   FloorReady after {}, podgate denies {} later", seconds(after), seconds(denies));
}

/// Asserts that no replica says that the floor is awake, at any time until this has ended.
pub fn sleeps_throughout(world: &World, act: impl FnOnce()) {
    let ended = AtomicBool::new(false);
    let (mut asked, mut awake) = (0, BTreeSet::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                for pod in world.kubelet.pods() {
                    let Some(address) = pod.address() else { continue };
                    // A replica that starts or has ended does not answer.
                    let Ok(Some(said)) = beat::series(&address, "podgate_floor_awake ") else {
                        continue;
                    };
                    asked += 1;
                    if said != 0.0 {
                        awake.insert(pod.name.clone());
                    }
                }
                std::thread::sleep(SAMPLED);
            }
        });
        let acted = catch_unwind(AssertUnwindSafe(act));
        ended.store(true, Ordering::SeqCst);
        if let Err(panic) = acted {
            resume_unwind(panic);
        }
    });
    println!("   podgate_floor_awake was asked {asked} times");
    assert!(asked > 0 && awake.is_empty(), "these said that the floor is awake: {awake:?}");
}

/// Waits until every replica says that the floor sleeps.
pub fn sleeps(world: &World) {
    for pod in world.kubelet.pods() {
        eventually("podgate_floor_awake 0", || {
            let address = pod.address().ok_or("the pod has no address yet")?;
            match beat::series(&address, "podgate_floor_awake ")? {
                Some(0.0) => Ok(()),
                other => Err(format!("{}: {other:?}", pod.name)),
            }
        });
    }
}

pub fn only_the_anchor_is_left(world: &World) {
    let ((), after) = eventually("only the anchor to be left", || {
        let left = world.kubectl(&["get", KINDS, "-o", "name"]);
        if left.lines().eq(ANCHOR) { Ok(()) } else { Err(left) }
    });
    println!("   only the anchor is left after {}", seconds(after));
}

pub fn has_no_conditions_of_a_floor(world: &World) {
    eventually("the policy to have no condition of a floor", || {
        let status = world.get(&["devopspolicy", "baseline", "-n", SHOP]).unwrap()["status"].take();
        if status.to_string().contains("Floor") { Err(status.to_string()) } else { Ok(()) }
    });
}

/// The time of the last beat.
pub fn renewed(world: &World) -> Option<Timestamp> {
    let lease = world.get(&["lease", LEASE, "-n", NAMESPACE])?;
    Some(lease["spec"]["renewTime"].as_str()?.parse().unwrap())
}

/// Checks that a violating pod is denied by the floor now; returns its words.
pub fn floor_denies(world: &World) -> Result<String, String> {
    match creates(world, BAD) {
        Err(why) if why.contains(&format!("ValidatingAdmissionPolicy '{JUDGES}'")) => Ok(why),
        other => Err(format!("{other:?}")),
    }
}

/// Waits until a violating pod passes.
pub fn creates_soon(world: &World) {
    let (_, after) = eventually("a violating pod to pass", || creates(world, BAD));
    println!("   a violating pod passes after {}", seconds(after));
}

/// Creates a pod with this image in a dry run; returns the API server's stamp, or why it refuses.
pub fn creates(world: &World, image: &str) -> Result<Timestamp, String> {
    let object = json!({"metadata": {"generateName": "probe-"}, "spec": pod(image)});
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let api: Api<Pod> = Api::namespaced(world.client.clone(), SHOP);
    let created = world.wait(api.create(&params, &serde_json::from_value(object).unwrap()));
    match created {
        Ok(pod) => Ok(pod.metadata.creation_timestamp.unwrap().0),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(error) => Err(error.to_string()),
    }
}
