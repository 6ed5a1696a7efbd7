//! The floor as the chart installs it (`docs/floor.md`): podgate's pods die and stay dead, and the policies that its
//! leader compiled into the API server judge instead; the cluster works meanwhile, and podgate comes back by itself.

mod state;
mod works;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use podgate::install::permissions::Need;
use serde_json::Value;

use super::helm::{CHART, Helm, RELEASE};
use super::permissions;
use super::remediation::tested;
use super::world::{NAMESPACE, World};
use crate::support::control_plane::seconds;
use crate::support::eventually;
use crate::support::suite::{Trials, trials};
use state::{
    BAD, GOOD, JUDGES, KINDS, LEASE, OURS, creates, creates_soon, floor_denies,
    has_no_conditions_of_a_floor, only_the_anchor_is_left, renewed, sleeps,
};
pub use state::{ready, sleeps_throughout};
use works::works;

pub const TRIALS: Trials<World> =
    trials![a_floor_judges_while_podgate_is_dead_and_goes_and_comes_with_its_value_and_release,];
pub const LONG: Trials<World> = trials![
    helm_3_uninstalls_what_is_dead_with_an_awake_floor,
    a_floor_without_its_namespace_denies_nothing,
    a_floor_without_the_crds_denies_nothing,
    a_floor_without_its_lease_denies_nothing_and_is_back_with_podgate,
    a_floor_can_be_disabled_while_podgate_is_dead,
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
fn a_floor_judges_while_podgate_is_dead_and_goes_and_comes_with_its_value_and_release(
    world: &World,
) {
    installed(world, Helm::Four);
    permissions::compare(world, |it| it.need != Need::For("remediation"));
    world.checks();
    println!("   helm test: {}", tested(world));
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
    // The Secret that podgate writes again is Helm's again: the uninstall leaves nothing.
    world.kubectl(&["delete", "lease", LEASE, "-n", NAMESPACE]);
    world.kubectl(&["delete", "secret", "podgate-tls", "-n", NAMESPACE]);
    creates_soon(world);
    world.kubelet.release();
    println!("   podgate denies {} after its containers may start again", seconds(world.denies()));
    ready(world);
    dies(world);
    leaves(world, Helm::Four);
    world.forget_all();
}

fn a_floor_can_be_disabled_while_podgate_is_dead(world: &World) {
    installed(world, Helm::Four);
    dies(world);
    // Without --wait, because the pods stay dead.
    let off = ["upgrade", RELEASE, CHART, "--reuse-values", "--set=floor.enabled=false"];
    Helm::Four.run(world, &off).unwrap();
    creates_soon(world);
    only_the_anchor_is_left(world);
    world.kubelet.release();
    Helm::Four.upgrade(world, &["--values", FLOOR, QUICK]);
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
