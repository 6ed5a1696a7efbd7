//! Installing and uninstalling podgate with Helm, in every state of podgate and the cluster.

use serde_json::Value;

use super::helm::{HA, Helm, RELEASE};
use super::release::SHOP;
use super::world::{NAMESPACE, World};
use crate::support::control_plane::seconds;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> = trials![
    helm_4_installs_upgrades_rolls_back_and_uninstalls,
    helm_3_installs_upgrades_rolls_back_and_uninstalls,
    helm_4_uninstalls_what_is_dead,
    helm_3_uninstalls_what_is_dead,
    a_cluster_without_podgates_namespace_runs_pods,
    a_cluster_without_the_crds_runs_pods_and_uninstalls,
    a_configuration_deleted_by_hand_stays_deleted,
];

fn helm_4_installs_upgrades_rolls_back_and_uninstalls(world: &World) {
    whole_life(world, Helm::Four);
}

fn helm_3_installs_upgrades_rolls_back_and_uninstalls(world: &World) {
    whole_life(world, Helm::Three);
}

fn helm_4_uninstalls_what_is_dead(world: &World) {
    dead(world, Helm::Four);
}

fn helm_3_uninstalls_what_is_dead(world: &World) {
    dead(world, Helm::Three);
}

fn whole_life(world: &World, helm: Helm) {
    helm.install(world, &[]);
    world.runs(2);
    world.shop();
    println!("   denies {} after a policy", seconds(world.denies()));
    world.checks();
    let before = world.failed_open();
    helm.upgrade(world, &["--set=logLevel=debug"]);
    println!("   denies {} after the upgrade", seconds(world.denies()));
    helm.rollback(world);
    println!("   denies {} after the rollback", seconds(world.denies()));
    world.checks();
    println!("   failed open {} times in both", world.failed_open() - before);
    // A second install, with the CRDs of the first one.
    helm.uninstall(world);
    match helm {
        Helm::Four => {
            println!("   its pods have drained {} after that", seconds(world.becomes_clean()));
        }
        Helm::Three => world.is_clean(),
    }
    assert!(
        world.get(&["devopspolicy", "-n", SHOP, "baseline"]).is_some(),
        "policies survive the uninstall"
    );
    world.admits_all();
    world.runs_pods();
    helm.install(world, &["--values", HA]);
    println!("   denies {} after a second install", seconds(world.denies()));
    helm.uninstall(world);
    world.is_clean();
    world.runs_pods();
    world.forget_all();
}

/// Kills all pods, and none restarts.
fn dead(world: &World, helm: Helm) {
    helm.install(world, &["--values", HA]);
    world.shop();
    world.denies();
    world.kubelet.hold();
    world.kubelet.kill_all();
    helm.uninstall(world);
    world.kubelet.release();
    world.is_clean();
    world.runs_pods();
    world.forget_all();
}

fn a_cluster_without_podgates_namespace_runs_pods(world: &World) {
    // If the chart could read the namespace, it owns all cluster-scoped objects of the release, which are deleted with
    // it.
    world.kubectl(&["create", "namespace", NAMESPACE]);
    Helm::Four.install(world, &["--values", HA]);
    world.shop();
    world.denies();
    world.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]);
    world.is_clean();
    world.runs_pods();
    println!("   nothing is left of a release whose namespace was there before it");
    world.forget_all();

    // If Helm created the namespace, the configurations remain without a server until somebody follows the notes.
    let notes = Helm::Four.install(world, &[]);
    world.shop();
    world.denies();
    world.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]);
    world.kubelet.kill_all();
    world.runs(0);
    world.runs_pods();
    println!(
        "   {} configurations are left where Helm made the namespace",
        world.configurations().len()
    );
    world.breaks_glass(&notes);
    assert_eq!(world.configurations(), Vec::<Value>::new());
    world.runs_pods();
    let selector = format!("app.kubernetes.io/instance={RELEASE}");
    world.kubectl(&["delete", "clusterroles,clusterrolebindings", "-l", &selector]);
    world.is_clean();
    world.forget_all();
}

fn a_cluster_without_the_crds_runs_pods_and_uninstalls(world: &World) {
    Helm::Four.install(world, &[]);
    world.shop();
    world.denies();
    let policies: Vec<String> = (0..100)
        .map(|number| {
            format!(
                "---\n{{apiVersion: devops.stochastic.io/v1, kind: DevOpsPolicy, metadata: {{name: p{number}, \
                 namespace: {SHOP}}}, spec: {{requireReadinessProbe: true}}}}\n"
            )
        })
        .collect();
    let policies = policies.concat();
    world.apply(&policies);
    let crds = world.kubectl(&["get", "crds", "-o", "name"]);
    for crd in crds.lines().filter(|it| it.contains("devops.stochastic.io")) {
        world.kubectl(&["delete", crd, "--timeout=60s"]);
    }
    world.runs_pods();
    Helm::Four.uninstall(world);
    world.is_clean();
    world.runs_pods();
    world.forget_all();
}

fn a_configuration_deleted_by_hand_stays_deleted(world: &World) {
    Helm::Four.install(world, &[]);
    world.shop();
    world.denies();
    let configurations = world.configurations();
    assert!(!configurations.is_empty());
    for configuration in &configurations {
        let kind = configuration["kind"].as_str().unwrap();
        world.kubectl(&["delete", kind, configuration["metadata"]["name"].as_str().unwrap()]);
    }
    world.admits_all();
    // Neither the leader nor a starting replica recreates it.
    world.kubelet.kill_all();
    world.runs(2);
    world.kubectl(&["rollout", "restart", "deployment", RELEASE, "-n", NAMESPACE]);
    world.kubectl(&["rollout", "status", "deployment", RELEASE, "-n", NAMESPACE]);
    assert_eq!(world.configurations(), Vec::<Value>::new());
    Helm::Four.upgrade(world, &["--set=logLevel=debug"]);
    println!("   denies {} after an upgrade", seconds(world.denies()));
    Helm::Four.uninstall(world);
    world.is_clean();
    world.forget_all();
}
