//! Remediation as the chart enables it: with its additional rights podgate repairs, under `enforce` too, and an
//! uninstall leaves no finalizer on a policy.

use serde_json::{Value, json};

use super::helm::{Helm, RELEASE};
use super::release::SHOP;
use super::world::{ROLLOUT, World};
use crate::support::binary;
use crate::support::control_plane::{seconds, text};
use crate::support::eventually_within;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> =
    trials![running_workloads_are_repaired_and_an_uninstall_releases_policies,];

/// The shop's pods run nowhere, so at its timeout a rollout is no worse than the state before.
const POLICY: &str = "{apiVersion: devops.stochastic.io/v1, kind: DevOpsPolicy, metadata: {name: limits, namespace: shop}, \
    spec: {enforcementMode: enforce, requireResourceLimits: [memory], defaultResources: {memoryLimit: 64Mi}, \
    remediation: {mode: apply, rolloutTimeoutSeconds: 10}}}";

fn running_workloads_are_repaired_and_an_uninstall_releases_policies(world: &World) {
    let enabled = "--set=remediation.enabled=true,remediation.namespacedPolicies=true";
    Helm::Four.install(world, &[enabled]);
    world.runs(2);
    println!("   helm test: {}", tested(world));
    world.shop();
    world.denies();
    world.kubectl(&["create", "deployment", "cart", "--image=nginx:1.29", "-n", SHOP]);
    world.apply(POLICY);
    let cart = || world.get(&["deployment", "cart", "-n", SHOP]).unwrap();
    let ((), after) = eventually_within(ROLLOUT, "the repair of the running workload", || {
        let status = world.get(&["devopspolicy", "limits", "-n", SHOP]).unwrap();
        let remediation = status["status"]["remediation"].clone();
        if remediation["repaired"] == 1 { Ok(()) } else { Err(remediation.to_string()) }
    });
    println!("   repaired after {}", seconds(after));
    let limit = "/spec/template/spec/containers/0/resources/limits/memory";
    assert_eq!(cart().pointer(limit), Some(&json!("64Mi")));
    // The rolled-back template violates, and podgate's own webhook enforces: it recognizes the rollback and admits it.
    let kubeconfig = world.plane.kubeconfig("admin");
    let back = ["remediate", "rollback", "deployment/cart", "-n", SHOP, "--yes", "--kubeconfig"];
    let refused = binary::run(&[&back[..], &[kubeconfig.to_str().unwrap()]].concat());
    assert_eq!(
        refused.status.code(),
        Some(1),
        "the admin may not write the record: {}",
        text(&refused.stderr)
    );
    let finalizers = || {
        let policy = world.get(&["devopspolicy", "limits", "-n", SHOP]).unwrap();
        policy["metadata"]["finalizers"].clone()
    };
    assert_eq!(finalizers(), json!(["devops.stochastic.io/cleanup"]));
    Helm::Four.uninstall(world);
    assert_eq!(finalizers(), Value::Null);
    world.kubectl(&["delete", "deployment", "cart", "-n", SHOP]);
    world.is_clean();
    world.forget_all();
}

/// Runs `helm test`; returns the phase of the test.
pub fn tested(world: &World) -> String {
    let printed =
        Helm::Four.run(world, &["test", RELEASE]).unwrap_or_else(|error| panic!("{error}"));
    printed.lines().find(|line| line.contains("Phase")).unwrap_or_default().trim().to_owned()
}
