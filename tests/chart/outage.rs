//! All replicas are gone under `failurePolicy: Fail`: the cluster keeps working, and podgate recovers by itself.

use std::time::Instant;

use super::helm::{HA, Helm};
use super::load;
use super::release::SHOP;
use super::world::{NAMESPACE, World};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> = trials![a_cluster_outlives_all_replicas,];

const POD: &str = "{\"spec\": {\"schedulerName\": \"nobody\"}}";

fn a_cluster_outlives_all_replicas(world: &World) {
    Helm::Four.install(world, &["--values", HA]);
    world.shop();
    world.denies();
    world.kubelet.hold();
    assert_eq!(world.kubelet.kill_all(), 3);
    // No replica answers, under `failurePolicy: Fail`.
    let error = world.plane.kubectl(&["run", "user", "--image=nginx:1.29", "-n", SHOP]).fails();
    assert!(error.contains("failed calling webhook"), "{error}");

    nodes_live(world);
    for exempt in ["kube-system", "kube-node-lease", "kube-public", NAMESPACE] {
        world.kubectl(&["run", "exempt", "--image=nginx", "--overrides", POD, "-n", exempt]);
        world.kubectl(&["delete", "pod", "exempt", "-n", exempt]);
    }
    for namespace in ["kube-system", NAMESPACE, SHOP] {
        accepts_writes(world, namespace);
    }
    // The edit of a policy is admitted as well.
    world.apply(&format!(
        "{{apiVersion: devops.stochastic.io/v1, kind: DevOpsPolicy, metadata: {{name: baseline, namespace: {SHOP}}}, \
         spec: {{enforcementMode: enforce, forbidLatestTag: true, contact: cured}}}}"
    ));

    let released = Instant::now();
    world.kubelet.release();
    let denied = world.denies();
    println!("   denies {} after its containers may start again", seconds(denied));
    world.runs(3);
    println!("   all replicas are ready {} after that", seconds(released.elapsed()));

    // The same after crashes alone: the pods restart without help.
    assert_eq!(world.kubelet.kill_all(), 3);
    let crashed = Instant::now();
    eventually("violating pods to be denied again", || {
        world.wait(load::is_denied(&world.client, SHOP))
    });
    println!("   denies {} after a crash of all", seconds(crashed.elapsed()));
    world.runs(3);
    Helm::Four.uninstall(world);
    world.is_clean();
    world.forget_all();
}

/// Each node's Lease is renewed, and its status can be written.
pub fn nodes_live(world: &World) {
    let before = world.kubelet.heartbeats();
    let ((), after) = eventually("two more heartbeats of each node", || {
        let now = world.kubelet.heartbeats();
        if now.0 >= before.0 + 6 { Ok(()) } else { Err(format!("{before:?}, now {now:?}")) }
    });
    assert_eq!(world.kubelet.heartbeats().1, before.1, "a heartbeat failed");
    println!("   six heartbeats in {}", seconds(after));
    let status = "{\"status\": {\"capacity\": {\"example.com/outage\": \"1\"}}}";
    world.kubectl(&[
        "patch",
        "node",
        "node-1",
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    ]);
    let ready = world.kubectl(&[
        "get",
        "nodes",
        "-o",
        "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}",
    ]);
    assert_eq!(ready, "True True True");
}

/// Other objects than pods can still be written in a namespace.
pub fn accepts_writes(world: &World, namespace: &str) {
    let lease = format!(
        "{{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {{name: outage, namespace: {namespace}}}, \
         spec: {{holderIdentity: somebody}}}}"
    );
    world.apply(&lease);
    world.kubectl(&["create", "configmap", "outage", "-n", namespace]);
    world.kubectl(&["delete", "lease,configmap", "outage", "-n", namespace]);
}
