//! A cluster works with an awake floor.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use podgate::policy::workload::Kind;
use serde_json::json;

use super::state::{GOOD, JUDGES};
use crate::outage;
use crate::release::SHOP;
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::manifests::{pod, workload};
use crate::world::{NAMESPACE, World};

/// Nodes, protected namespaces, and the controllers of workloads that comply.
pub fn works(world: &World) {
    outage::nodes_live(world);
    for namespace in ["kube-system", NAMESPACE] {
        let here = ["-n", namespace];
        let create = ["create", "deployment", "exempt", "--image=nginx", "--replicas=2"];
        world.kubectl(&[&create, &here[..]].concat());
        world.kubectl(&[&["rollout", "status", "deployment", "exempt"], &here[..]].concat());
        world.kubectl(&[&["delete", "deployment", "exempt"], &here[..]].concat());
        outage::accepts_writes(world, namespace);
    }
    world.namespace("temporary");
    world.kubectl(&["delete", "namespace", "temporary"]);

    let here = |args: &[&str]| world.plane.kubectl(args).within(SHOP);
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Job, Kind::CronJob] {
        here(&["apply", "-f", "-"]).given(&workload(kind, pod(GOOD))).ok();
    }
    // A CronJob that has missed its time runs at once.
    let missed = Timestamp::now() - Duration::from_hours(48);
    let missed = json!({"status": {"lastScheduleTime": missed.strftime("%FT%TZ").to_string()}});
    here(&[
        "patch",
        "cronjob",
        "web",
        "--subresource=status",
        "--type=merge",
        "-p",
        &missed.to_string(),
    ])
    .ok();
    let expected = BTreeSet::from(["ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"]);
    let ((), after) = eventually("pods of every controller", || {
        let found = runs_of(world);
        let found: BTreeSet<_> = found.iter().map(String::as_str).collect();
        if expected.is_subset(&found) { Ok(()) } else { Err(format!("{found:?}")) }
    });
    println!("   pods of five controllers run after {}", seconds(after));
    here(&["set", "image", "deployment/web", "web=nginx:1.30"]).ok();
    here(&["rollout", "status", "deployment/web", "--timeout=60s"]).ok();
    here(&["scale", "deployment/web", "--replicas=3"]).ok();
    here(&["rollout", "status", "deployment/web", "--timeout=60s"]).ok();
    let why = here(&["set", "image", "deployment/web", "web=nginx"]).fails();
    assert!(why.contains(&format!("ValidatingAdmissionPolicy '{JUDGES}'")), "{why}");
    here(&["delete", "deployment,statefulset,daemonset,cronjob,job", "--all"]).ok();
}

/// The kinds of the controllers whose pods run in the shop; a CronJob stands for its Job.
fn runs_of(world: &World) -> BTreeSet<String> {
    let pods = world.get(&["pods", "-n", SHOP]).unwrap();
    let running =
        pods["items"].as_array().unwrap().iter().filter(|it| it["status"]["phase"] == "Running");
    let owners = running.filter_map(|it| {
        let owner = &it["metadata"]["ownerReferences"][0];
        let kind = owner["kind"].as_str()?;
        let scheduled = kind == "Job" && owner["name"] != "web";
        Some(if scheduled { "CronJob" } else { kind }.to_owned())
    });
    owners.collect()
}
