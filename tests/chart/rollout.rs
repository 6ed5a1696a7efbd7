//! Rollouts of podgate under load and `failurePolicy: Fail`: no request fails and no violation is admitted, even if the
//! API server learns late about changed endpoints.

use std::time::Duration;

use super::floor;
use super::helm::{HA, Helm, RELEASE};
use super::load::Load;
use super::release::SHOP;
use super::world::{NAMESPACE, World};
use crate::support::control_plane::seconds;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> = trials![rollouts_lose_no_review_and_wake_no_floor];
pub const LONG: Trials<World> = trials![
    rollouts_lose_no_review_while_endpoints_are_a_second_late,
    rollouts_lose_no_review_while_endpoints_are_three_seconds_late,
];

fn rollouts_lose_no_review_and_wake_no_floor(world: &World) {
    // A floor that is awake denies with other words than podgate, which the load counts as failures.
    rollouts(world, 0, Some("floor.enabled=true"));
}

fn rollouts_lose_no_review_while_endpoints_are_a_second_late(world: &World) {
    rollouts(world, 1, None);
}

fn rollouts_lose_no_review_while_endpoints_are_three_seconds_late(world: &World) {
    rollouts(world, 3, None);
}

/// Rollouts of each kind, with another setting.
fn rollouts(world: &World, lag: u64, setting: Option<&str>) {
    let set = setting.map_or_else(String::new, |it| format!(",{it}"));
    let set = format!("--set=replicas=2{set}");
    world.plane.restart_controllers(Duration::from_secs(lag));
    Helm::Four.install(world, &["--values", HA, &set]);
    world.shop();
    world.denies();
    if setting.is_some() {
        floor::ready(world);
        floor::sleeps_throughout(world, || roll(world, lag, &set));
    } else {
        roll(world, lag, &set);
    }
    Helm::Four.uninstall(world);
    world.is_clean();
    world.forget_all();
    world.plane.restart_controllers(Duration::ZERO);
}

/// Rolls podgate out under load.
fn roll(world: &World, lag: u64, set: &str) {
    // A policy may have been admitted unchecked before the API server knew any endpoint.
    let open = world.failed_open();
    let load = Load::start(world, SHOP);
    let phase = |what: &str, act: &dyn Fn()| {
        act();
        let ended = world.runs(2);
        println!("   {what}: its pods ended {} later; {}", seconds(ended), load.so_far());
    };
    phase("a rolling restart", &|| {
        world.kubectl(&["rollout", "restart", "deployment", RELEASE, "-n", NAMESPACE]);
        world.kubectl(&["rollout", "status", "deployment", RELEASE, "-n", NAMESPACE]);
    });
    phase("an upgrade", &|| {
        Helm::Four.upgrade(world, &["--values", HA, set, "--set=logLevel=debug"]);
    });
    phase("a rollback", &|| {
        Helm::Four.rollback(world);
    });
    phase("a drain of a node", &|| {
        let node = world.kubelet.pods()[0].node();
        world.kubectl(&["drain", &node, "--timeout=5m"]);
        world.runs(2);
        world.kubectl(&["uncordon", &node]);
    });
    let counts = load.end();
    println!("   endpoints {lag} s late: {counts}");
    counts.check();
    let open = world.failed_open() - open;
    assert!(open == 0.0, "failed open {open} times");
}
