//! The floor as the chart installs it (`docs/floor.md`): podgate's pods die and stay dead, and the policies that its
//! leader compiled into the API server judge instead; the cluster works meanwhile, and podgate comes back by itself.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use podgate::install::permissions::Need;
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::helm::{Helm, RELEASE};
use super::release::{ANCHOR, SHOP};
use super::world::{NAMESPACE, World};
use super::{beat, outage, permissions};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<World> =
    trials![a_floor_judges_while_podgate_is_dead_and_goes_and_comes_with_its_value_and_release,];
pub const LONG: Trials<World> = trials![
    helm_3_uninstalls_what_is_dead_with_an_awake_floor,
    a_floor_without_its_namespace_denies_nothing,
    a_floor_without_the_crds_denies_nothing,
    a_floor_without_its_lease_denies_nothing_and_is_back_with_podgate,
    a_broken_glass_is_mended_as_the_notes_say,
];

/// The values for a floor.
const FLOOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/podgate/values-floor.yaml");
/// The number of their replicas.
const REPLICAS: usize = 3;
/// Replicas that end at once, because nothing here is about rollouts.
const QUICK: &str = "--set=shutdownDelaySeconds=0,drainTimeoutSeconds=1";
/// The longest time from the last beat until the floor is awake, by the API server's stamps.
const WAKES: SignedDuration = SignedDuration::from_secs(45);
/// The age of the last beat while podgate is heard.
const NEW: SignedDuration = SignedDuration::from_secs(15);
/// The pause between two looks at the replicas' metrics.
const SAMPLED: Duration = Duration::from_millis(250);
const LEASE: &str = "podgate-alive";
/// The policy of the shop, and its binding.
const JUDGES: &str = "podgate-floor-in-shop-deny";
const OURS: &str = "devops.stochastic.io/floor=podgate";
const KINDS: &str = "validatingadmissionpolicies,validatingadmissionpolicybindings";
const GOOD: &str = "nginx:1.29";
const BAD: &str = "nginx";

fn a_floor_judges_while_podgate_is_dead_and_goes_and_comes_with_its_value_and_release(
    world: &World,
) {
    installed(world, Helm::Four);
    permissions::compare(world, |it| it.need != Need::For("remediation"));
    world.checks();
    dies(world);
    works(world);
    comes_back_from_an_empty_namespace(world);

    // Off: Kubernetes deletes the objects with the ClusterRole.
    Helm::Four.upgrade(world, &["--values", FLOOR, QUICK, "--set=floor.enabled=false"]);
    only_the_anchor_is_left(world);
    has_no_conditions_of_a_floor(world);
    // A leader that still had the flag was refused.
    excuses_the_floor(world);
    kills(world);
    creates(world, BAD).expect("nothing judges");
    world.kubelet.release();

    // On, and uninstalled and installed: the API server is still the same (kubernetes#130887).
    Helm::Four.upgrade(world, &["--values", FLOOR, QUICK]);
    ready(world);
    dies(world);
    leaves(world, Helm::Four);
    let notes = installed(world, Helm::Four);
    dies(world);
    breaks_the_glass(world, &notes);
    leaves(world, Helm::Four);
    world.forget_all();
}

fn helm_3_uninstalls_what_is_dead_with_an_awake_floor(world: &World) {
    // The anchor is left by another Helm, or there is none.
    installed(world, Helm::Three);
    dies(world);
    leaves(world, Helm::Three);
    installed(world, Helm::Four);
    dies(world);
    leaves(world, Helm::Four);
    world.forget_all();
}

fn a_floor_without_its_namespace_denies_nothing(world: &World) {
    // The namespace owns what the release has in the cluster.
    world.kubectl(&["create", "namespace", NAMESPACE]);
    installed(world, Helm::Four);
    dies(world);
    world.kubectl(&["delete", "namespace", NAMESPACE]);
    creates_soon(world);
    world.is_clean();
    only_the_anchor_is_left(world);
    world.kubelet.release();
    world.forget_all();

    // Helm made the namespace, so the floor's objects remain, without the Lease.
    let notes = installed(world, Helm::Four);
    dies(world);
    world.kubectl(&["delete", "namespace", NAMESPACE]);
    creates_soon(world);
    assert!(world.kubectl(&["get", KINDS, "-o", "name"]).contains(JUDGES));
    world.breaks_glass(&notes);
    let selector = format!("app.kubernetes.io/instance={RELEASE}");
    world.kubectl(&["delete", "clusterroles,clusterrolebindings", "-l", &selector]);
    world.is_clean();
    only_the_anchor_is_left(world);
    world.kubelet.release();
    world.forget_all();
}

fn a_floor_without_the_crds_denies_nothing(world: &World) {
    // podgate lives, and takes its floor away.
    installed(world, Helm::Four);
    deletes_the_crds(world);
    eventually("the floor to be empty", || {
        match world.kubectl(&["get", KINDS, "-l", OURS, "-o", "name"]) {
            none if none.is_empty() => Ok(()),
            left => Err(left),
        }
    });
    kills(world);
    creates(world, BAD).expect("nothing judges");
    leaves(world, Helm::Four);

    // podgate is dead: the floor is that of its last policies until the release is uninstalled.
    installed(world, Helm::Four);
    dies(world);
    deletes_the_crds(world);
    floor_denies(world).unwrap();
    leaves(world, Helm::Four);
    world.forget_all();
}

fn a_floor_without_its_lease_denies_nothing_and_is_back_with_podgate(world: &World) {
    installed(world, Helm::Four);
    dies(world);
    // What podgate writes again is Helm's again: the uninstall leaves nothing.
    world.kubectl(&["delete", "leases", "--all", "-n", NAMESPACE]);
    world.kubectl(&["delete", "secret", "podgate-tls", "-n", NAMESPACE]);
    creates_soon(world);
    world.kubelet.release();
    println!("   podgate denies {} after its containers may start again", seconds(world.denies()));
    ready(world);
    dies(world);
    leaves(world, Helm::Four);
    world.forget_all();
}

fn a_broken_glass_is_mended_as_the_notes_say(world: &World) {
    let notes = installed(world, Helm::Four);
    dies(world);
    breaks_the_glass(world, &notes);
    world.kubelet.release();
    Helm::Four.upgrade(world, &["--values", FLOOR, QUICK]);
    let begins = "To restore the floor: kubectl ";
    let line = notes.lines().find_map(|line| line.strip_prefix(begins));
    world.kubectl(&line.expect("the notes say how").split(' ').collect::<Vec<_>>());
    world.runs(REPLICAS);
    ready(world);
    dies(world);
    leaves(world, Helm::Four);
    world.forget_all();
}

/// Installs podgate with a floor, and waits for it; returns the release notes.
fn installed(world: &World, helm: Helm) -> String {
    world.kubelet.release();
    let notes = helm.install(world, &["--values", FLOOR, QUICK]);
    world.shop();
    world.runs(REPLICAS);
    ready(world);
    notes
}

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

/// Kills all of podgate, which stays dead, after a rollout has ended.
fn kills(world: &World) {
    world.runs(REPLICAS);
    world.kubelet.hold();
    assert_eq!(world.kubelet.kill_all(), REPLICAS);
}

/// Kills all of podgate and waits until the floor judges: soon enough, and rightly.
fn dies(world: &World) {
    kills(world);
    let last_beat = renewed(world).expect("there was a beat");
    let (why, _) = eventually("a denial by the floor", || floor_denies(world));
    let stamp = creates(world, GOOD).expect("what complies passes");
    let after = stamp.duration_since(last_beat);
    println!("   the floor denies {after:#} after the last beat");
    assert!(after <= WAKES, "the floor is awake {after} after the last beat");
    for words in [
        "spec.containers[0].image",
        "forbidLatestTag",
        "policy shop/baseline",
        "podgate is away since its last beat at 2",
        "kubectl delete validatingadmissionpolicybindings -l devops.stochastic.io/floor=podgate",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
}

/// The cluster works with an awake floor: nodes, protected namespaces, and the controllers of workloads that comply.
fn works(world: &World) {
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

/// Empties podgate's namespace while the floor is awake, and lets its containers start again: nobody else helps.
fn comes_back_from_an_empty_namespace(world: &World) {
    let old: BTreeSet<_> = world.kubelet.pods().iter().map(|it| it.name.clone()).collect();
    let here = ["-n", NAMESPACE];
    let delete = ["delete", "pods,replicasets", "--all", "--force", "--grace-period=0"];
    world.kubectl(&[&delete, &here[..]].concat());
    world.kubectl(&[&["delete", "secret", "podgate-tls"], &here[..]].concat());
    eventually("new pods", || {
        let pods = world.kubelet.pods();
        let new = pods.iter().filter(|it| !old.contains(&it.name)).count();
        if new == REPLICAS && pods.len() == REPLICAS { Ok(()) } else { Err(format!("{new} new")) }
    });
    floor_denies(world).expect("the floor is still awake");
    let before = renewed(world);
    world.kubelet.release();
    let ((), beaten) = eventually("a beat", || match renewed(world) {
        renewed if renewed != before => Ok(()),
        _ => Err("there is none".to_owned()),
    });
    let denied = world.denies();
    println!(
        "   the first beat came {} after its containers may start again, and the floor sleeps {} later",
        seconds(beaten),
        seconds(denied)
    );
    world.runs(REPLICAS);
    sleeps(world);
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
fn sleeps(world: &World) {
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

/// Follows the release notes of a podgate that blocks the cluster, while it is dead.
fn breaks_the_glass(world: &World, notes: &str) {
    world.breaks_glass(notes);
    assert_eq!(world.configurations(), Vec::<Value>::new());
    creates_soon(world);
    println!("   the glass is broken");
}

/// Uninstalls podgate, which is dead: nothing judges any more, and only the anchor is left.
fn leaves(world: &World, helm: Helm) {
    helm.uninstall(world);
    creates_soon(world);
    world.is_clean();
    only_the_anchor_is_left(world);
    world.kubelet.release();
}

fn only_the_anchor_is_left(world: &World) {
    let ((), after) = eventually("only the anchor to be left", || {
        let left = world.kubectl(&["get", KINDS, "-o", "name"]);
        if left.lines().eq(ANCHOR) { Ok(()) } else { Err(left) }
    });
    println!("   only the anchor is left after {}", seconds(after));
}

fn has_no_conditions_of_a_floor(world: &World) {
    eventually("the policy to have no condition of a floor", || {
        let status = world.get(&["devopspolicy", "baseline", "-n", SHOP]).unwrap()["status"].take();
        if status.to_string().contains("Floor") { Err(status.to_string()) } else { Ok(()) }
    });
}

/// Marks the refusals that are about the floor as expected, and asserts that there are no others.
fn excuses_the_floor(world: &World) {
    let of_floor = |it: &Value| {
        ["validatingadmissionpolicies", "validatingadmissionpolicybindings", "clusterroles"]
            .map(Value::from)
            .contains(&it["objectRef"]["resource"])
    };
    let refused = world.refused();
    assert!(refused.iter().all(of_floor), "{:?}", world.forbidden());
    println!("   {} refusals of a leader without its ClusterRole", refused.len());
    world.excuse();
}

fn deletes_the_crds(world: &World) {
    let crds = world.kubectl(&["get", "crds", "-o", "name"]);
    for crd in crds.lines().filter(|it| it.contains("devops.stochastic.io")) {
        world.kubectl(&["delete", crd, "--timeout=60s"]);
    }
}

/// The time of the last beat.
fn renewed(world: &World) -> Option<Timestamp> {
    let lease = world.get(&["lease", LEASE, "-n", NAMESPACE])?;
    Some(lease["spec"]["renewTime"].as_str()?.parse().unwrap())
}

/// Checks that a violating pod is denied by the floor now; returns its words.
fn floor_denies(world: &World) -> Result<String, String> {
    match creates(world, BAD) {
        Err(why) if why.contains(&format!("ValidatingAdmissionPolicy '{JUDGES}'")) => Ok(why),
        other => Err(format!("{other:?}")),
    }
}

/// Waits until a violating pod passes.
fn creates_soon(world: &World) {
    let (_, after) = eventually("a violating pod to pass", || creates(world, BAD));
    println!("   a violating pod passes after {}", seconds(after));
}

/// Creates a pod with this image in a dry run; returns the API server's stamp, or why it refuses.
fn creates(world: &World, image: &str) -> Result<Timestamp, String> {
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
