//! kill -9 of the leader at each step of a repair: the next leader finishes it, without a second rollout. A webhook of
//! the suite sees each of podgate's writes before it happens, so the leader dies exactly there.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::{Arena, USER};
use super::kubelet::{CRASH, READY};
use super::shop::{MARK, Shop, record, wants, workload};
use super::webhook::Webhook;
use crate::support::eventually;
use crate::support::suite::{Alone, trials};

pub const ALONE: Alone = trials![the_next_leader_finishes_the_repair_of_a_killed_leader];

/// When the leader is killed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Moment {
    /// During the dry run, which is never answered.
    DryRun,
    /// The patch is being written.
    Patching,
    Patched,
    /// There is a new pod, and it is not ready.
    RollingOut,
    /// The last new pod is ready, and the leader does not know: it was stopped before.
    Ready,
    /// The result is being written.
    Settling,
    /// The template is being rolled back.
    PuttingBack,
    PutBack,
}

use Moment::{DryRun, Patched, Patching, PutBack, PuttingBack, Ready, RollingOut, Settling};

/// The moments for each kind.
const SCENARIOS: &[(Moment, Kind, &str)] = &[
    (DryRun, Kind::Deployment, READY),
    (Patching, Kind::Deployment, READY),
    (Patched, Kind::Deployment, READY),
    (RollingOut, Kind::Deployment, READY),
    (Ready, Kind::Deployment, READY),
    (Settling, Kind::Deployment, READY),
    (PuttingBack, Kind::Deployment, CRASH),
    (PutBack, Kind::Deployment, CRASH),
    (Patched, Kind::StatefulSet, READY),
    (Settling, Kind::StatefulSet, READY),
    (Patched, Kind::DaemonSet, READY),
    (PuttingBack, Kind::DaemonSet, CRASH),
];

/// Starts a podgate whenever the previous one was killed.
struct Leaders {
    id: Mutex<Option<u32>>,
    kills: AtomicU32,
    /// Whether the next one waits until the Lease of the previous one has expired.
    wait: AtomicBool,
    ended: AtomicBool,
}

impl Leaders {
    fn kill(&self) {
        let Some(id) = self.id.lock().unwrap().take() else { return };
        signal(id, "KILL");
        self.kills.fetch_add(1, Ordering::SeqCst);
    }

    /// Stops the leader's process; afterwards it can only be killed.
    fn stop(&self) {
        signal(self.id.lock().unwrap().expect("somebody leads"), "STOP");
    }

    fn keep(&self, arena: &Arena) {
        while !self.ended.load(Ordering::SeqCst) {
            let mut podgate = if self.wait.load(Ordering::SeqCst) {
                arena.podgate_that_waits("all-policies")
            } else {
                arena.podgate_that_serves("all-policies")
            };
            *self.id.lock().unwrap() = Some(podgate.id());
            while !self.ended.load(Ordering::SeqCst) && self.id.lock().unwrap().is_some() {
                std::thread::sleep(Duration::from_millis(20));
            }
            if self.id.lock().unwrap().is_none() {
                podgate.ended();
            }
        }
    }
}

fn signal(id: u32, name: &str) {
    let sent = std::process::Command::new("kill").args(["-s", name, &id.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Ends them, also on a panic.
struct Ended<'a>(&'a Leaders);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

fn the_next_leader_finishes_the_repair_of_a_killed_leader() {
    let arena = Arena::start();
    let leaders = Arc::new(Leaders {
        id: Mutex::default(),
        kills: AtomicU32::new(0),
        wait: AtomicBool::new(false),
        ended: AtomicBool::new(false),
    });
    std::thread::scope(|scope| {
        scope.spawn(|| leaders.keep(&arena));
        let _ended = Ended(&leaders);
        // One after another, so that each leader dies at its own moment; then all repairs in flight, at random moments.
        for (moment, kind, play) in SCENARIOS {
            let shop = arena.shop("kill");
            killed_at(&shop, &leaders, *moment, *kind, play);
        }
        let shop = arena.shop("expires");
        leaders.wait.store(true, Ordering::SeqCst);
        let before = arena.lease();
        killed_at(&shop, &leaders, RollingOut, Kind::Deployment, READY);
        let after = arena.lease();
        leaders.wait.store(false, Ordering::SeqCst);
        assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"], "the Lease was recreated");
        assert_ne!(before["spec"]["holderIdentity"], after["spec"]["holderIdentity"]);
        killed_at_random(&arena, &leaders);
    });
    println!("{} leaders were killed", leaders.kills.load(Ordering::SeqCst));
    assert_eq!(arena.forbidden().len(), 0, "{:?}", arena.forbidden());
}

fn killed_at(shop: &Shop<'_>, leaders: &Arc<Leaders>, moment: Moment, kind: Kind, play: &str) {
    let before = shop.runs(kind, &workload(kind, "web", play, 2));
    let due = Arc::new(Mutex::new(BTreeSet::from([moment])));
    let (trap, killer) = (Arc::clone(&due), Arc::clone(leaders));
    let _webhook = Webhook::of_workloads(
        shop,
        Arc::new(move |request| {
            if request["userInfo"]["username"] == USER
                && trap.lock().unwrap().remove(&step(request))
            {
                killer.kill();
            }
            Value::Null
        }),
    );
    let is_so = |object: &Value| match moment {
        Patched => record(object)["state"] == "RollingOut",
        RollingOut | Ready => object["status"]["updatedReplicas"] == 1 && marked(object),
        PutBack => record(object)["state"] == "RolledBack",
        _ => false,
    };
    // Such a moment lasts until a leader acts on it.
    if matches!(moment, Patched | RollingOut | Ready) {
        shop.arena.kubelet.hold(&shop.name);
    }
    shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 600})));
    eventually(&format!("{kind:?} to come to {moment:?}"), || {
        if due.lock().unwrap().is_empty() {
            return Ok(());
        }
        let object = shop.get(kind, "web");
        if is_so(&object) {
            if moment == Ready {
                leaders.stop();
                shop.arena.kubelet.release(&shop.name);
                shop.awaits(kind, "web", "to be complete", |it| marked(it) && complete(it));
            }
            leaders.kill();
            return Ok(());
        }
        Err(object.to_string())
    });
    shop.arena.kubelet.release(&shop.name);
    assert_finished(shop, kind, "web", play, &before);
    println!(
        "killed at {moment:?}: {kind:?} ended as {:?}",
        record(&shop.get(kind, "web"))["state"]
    );
}

/// The step of a repair that a request belongs to.
fn step(request: &Value) -> Moment {
    let state = |object: &Value| record(object)["state"].as_str().unwrap_or_default().to_owned();
    match state(&request["object"]).as_str() {
        "RolledBack" => PuttingBack,
        "Repaired" => Settling,
        _ if request["dryRun"] == true => DryRun,
        _ => Patching,
    }
}

fn marked(object: &Value) -> bool {
    object["metadata"]["labels"][MARK] == "in-flight"
}

fn complete(object: &Value) -> bool {
    let status = &object["status"];
    status["observedGeneration"] == object["metadata"]["generation"]
        && ["updatedReplicas", "availableReplicas", "replicas"]
            .iter()
            .all(|it| status[it] == object["spec"]["replicas"])
}

/// The repair is over, with one rollout, and one more if it was rolled back.
fn assert_finished(shop: &Shop<'_>, kind: Kind, name: &str, play: &str, before: &Value) {
    let expected = if play == READY { "Repaired" } else { "RolledBack" };
    let after = shop.awaits(kind, name, "to be done", |it| {
        let state = &record(it)["state"];
        !marked(it) && (state == "Repaired" || state == "RolledBack")
    });
    assert_eq!(record(&after)["state"], expected, "{}", record(&after));
    let same = after["spec"]["template"] == before["spec"]["template"];
    assert_eq!(same, expected == "RolledBack", "{}", after["spec"]["template"]);
    // The next round would show further changes.
    shop.wait_for_a_round();
    assert_eq!(
        record(&shop.get(kind, name)),
        record(&after),
        "the record changed after the end of the repair"
    );
    assert_eq!(shop.templates(kind, name), 2, "one rollout");
    let patches = shop.arena.template_patches(&shop.name).into_iter();
    let patches = patches.filter(|it| it["objectRef"]["name"] == name).count();
    // A request of a killed sender may succeed without being logged as a success.
    let most = if play == READY { 1 } else { 2 };
    assert!(patches <= most, "{}: {patches} patches", shop.name);
}

/// Kills leaders at random moments; `KILLS` sets their number, `SEED` the moments.
fn killed_at_random(arena: &Arena, leaders: &Leaders) {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(|| RandomState::new().hash_one(1));
    println!("random moments: SEED={seed}");
    let mut random = seed | 1;
    for round in 0..number("KILLS").unwrap_or(2) {
        let shop = arena.shop("random");
        let workloads = [("a", READY), ("b", CRASH), ("c", READY)];
        let before = workloads.map(|(name, play)| {
            shop.runs(Kind::Deployment, &workload(Kind::Deployment, name, play, 2))
        });
        shop.policy("own", &wants(&json!({"rolloutTimeoutSeconds": 600, "maxConcurrent": 3})));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let after = Duration::from_millis(random % 4000);
        std::thread::sleep(after);
        leaders.kill();
        println!("round {round}: killed after {after:?}");
        for ((name, play), before) in workloads.iter().zip(&before) {
            assert_finished(&shop, Kind::Deployment, name, play, before);
        }
    }
}
