//! Part of `make test`: only the leader writes, whatever happens to it. The writers and times come from the API
//! server's audit log, not from podgate's own logs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use podgate::api::DevOpsPolicy;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::audit;
use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, seconds, text};
use crate::support::eventually;
use crate::support::suite::{Suite, Trials, World, trials};

/// Each trial has a Lease of its own.
pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Edited::start), TRIALS)
}

const TRIALS: Trials<Edited> = trials![
    the_next_of_two_leads_when_the_leader_is_killed,
    the_next_of_five_leads_when_the_leader_is_killed,
    a_leader_that_was_stopped_writes_nothing_when_it_wakes,
    the_next_leads_when_the_leader_ends,
    a_holders_clock_that_is_an_hour_ahead_changes_nothing,
    a_holders_clock_that_is_an_hour_behind_changes_nothing,
];

/// The log message, with the address of the metrics, of a podgate that contends for the Lease.
const READY: &str = "serving";
const LEADING: &str = "leading";
const NOT_LEADING: &str = "not leading any more";
const WAITING: &str = "waiting for the lease";

/// A control plane in which a policy is edited all the time, so that the leader always has something to write.
struct Edited {
    plane: ControlPlane,
    admin: Arc<Admin>,
    done: Arc<AtomicBool>,
    edits: Option<JoinHandle<()>>,
}

impl Edited {
    fn start() -> Self {
        let plane = ControlPlane::audited();
        let admin = plane.kubeconfig("admin");
        let installed = binary::run(&["crd", "install", "--kubeconfig", admin.to_str().unwrap()]);
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        let (admin, done) = (Arc::new(Admin::new(&admin)), Arc::default());
        let (editor, until) = (Arc::clone(&admin), Arc::clone(&done));
        let edits = std::thread::spawn(move || edit_a_policy_until(&editor, &until));
        Self { plane, admin, done, edits: Some(edits) }
    }
}

impl Drop for Edited {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        if let Some(edits) = self.edits.take() {
            let _ = edits.join();
        }
    }
}

/// A client with all permissions, which needs no process for each write.
struct Admin {
    client: Client,
    runtime: Runtime,
}

impl Admin {
    fn new(kubeconfig: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(crate::support::cluster::client(kubeconfig));
        Self { client, runtime }
    }

    /// Creates an object in a namespace, or changes it.
    fn apply<K>(&self, namespace: &str, name: &str, object: &Value) -> kube::Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams::apply("somebody").force();
        self.runtime.block_on(api.patch(name, &params, &Patch::Apply(object))).map(drop)
    }
}

/// The interval of policy edits and Lease renewals.
const PACE: Duration = Duration::from_millis(200);

fn edit_a_policy_until(admin: &Admin, done: &AtomicBool) {
    for count in 0.. {
        if done.load(Ordering::SeqCst) {
            return;
        }
        let object = json!({
            "apiVersion": "devops.stochastic.io/v1",
            "kind": "DevOpsPolicy",
            "metadata": {"name": "edited", "namespace": "default"},
            "spec": {"forbidLatestTag": true, "maxRestartCount": count},
        });
        if let Err(error) = admin.apply::<DevOpsPolicy>("default", "edited", &object) {
            eprintln!("an edit of the policy failed: {error}");
        }
        std::thread::sleep(PACE);
    }
}

/// Podgates that contend for the Lease of one namespace, each as a user of its own.
struct Contest<'p> {
    plane: &'p ControlPlane,
    namespace: String,
    contenders: Vec<(String, Podgate)>,
}

impl<'p> Contest<'p> {
    fn new(plane: &'p ControlPlane, name: &str) -> Self {
        let namespace = format!("lease-{name}");
        plane.kubectl(&["create", "namespace", &namespace]).ok();
        Self { plane, namespace, contenders: Vec::new() }
    }

    fn of(plane: &'p ControlPlane, name: &str, count: usize) -> Self {
        let mut contest = Self::new(plane, name);
        (0..count).for_each(|_| contest.join());
        contest
    }

    fn join(&mut self) {
        let user = format!("{}-candidate-{}", self.namespace, self.contenders.len() + 1);
        let kubeconfig = self.plane.kubeconfig_for(&user);
        let args = [
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--lease-namespace",
            &self.namespace,
            "--metrics-listen",
            "127.0.0.1:0",
        ];
        self.contenders.push((user, Podgate::start("reconcile", &args, READY)));
    }

    /// Waits until one of these leads and has written; returns its index and the duration.
    fn leader_of(&self, among: &[usize]) -> (usize, Duration) {
        eventually("a podgate to lead", || {
            let leads = |it: &&usize| self.contenders[**it].1.metric("podgate_leader") == Some(1.0);
            among.iter().find(leads).copied().ok_or_else(|| "none leads".to_owned())
        })
    }

    fn all(&self) -> Vec<usize> {
        (0..self.contenders.len()).collect()
    }

    fn all_but(&self, one: usize) -> Vec<usize> {
        self.all().into_iter().filter(|it| *it != one).collect()
    }

    fn others_wait(&self, leader: usize) {
        for other in self.all_but(leader) {
            self.contenders[other].1.logs(WAITING);
        }
    }

    /// Waits until this contender begins another write that is not to the Lease.
    fn writes_on(&self, contender: usize) {
        let user = &self.contenders[contender].0;
        let written = || self.writes().iter().filter(|it| audit::user(it) == user).count();
        let before = written();
        eventually("the leader to write", || {
            if written() > before { Ok(()) } else { Err(format!("{before} writes")) }
        });
    }

    /// The audit events of the contenders' writes as they were received, except those to the Lease.
    fn writes(&self) -> Vec<Value> {
        let users: BTreeSet<_> = self.contenders.iter().map(|(user, _)| user.as_str()).collect();
        let ours = |it: &Value| users.contains(audit::user(it)) && audit::resource(it) != "leases";
        self.plane.writes().into_iter().filter(|it| audit::is_received(it) && ours(it)).collect()
    }

    /// Each successful write of the Lease: its time, its user, and the holder in the written Lease.
    fn terms(&self) -> Vec<(String, String, Option<String>)> {
        let writes = self.plane.writes().into_iter();
        let of_lease = writes.filter(|it| {
            audit::resource(it) == "leases"
                && audit::namespace(it) == self.namespace
                && audit::is_success(it)
        });
        of_lease
            .map(|it| {
                let holder = it["requestObject"]["spec"]["holderIdentity"].as_str();
                let holder = holder.filter(|it| !it.is_empty()).map(str::to_owned);
                (audit::time(&it).to_owned(), audit::user(&it).to_owned(), holder)
            })
            .collect()
    }

    /// Every write began while its writer held the Lease.
    fn only_the_holder_wrote(&self) {
        let (writes, terms) = (self.writes(), self.terms());
        for write in &writes {
            let before = terms.iter().rfind(|(time, ..)| time.as_str() <= audit::time(write));
            let holder = before.and_then(|(_, user, holder)| holder.is_some().then_some(user));
            let user = audit::user(write);
            assert_eq!(holder.map(String::as_str), Some(user), "{write}\nterms: {terms:#?}");
        }
        let users: BTreeSet<_> = writes.iter().map(audit::user).collect();
        println!("{}: {} writes by {users:?}", self.namespace, writes.len());
    }
}

fn the_next_of_two_leads_when_the_leader_is_killed(edited: &Edited) {
    the_next_leads_when_the_leader_is_killed(&edited.plane, "two", 2);
}

fn the_next_of_five_leads_when_the_leader_is_killed(edited: &Edited) {
    the_next_leads_when_the_leader_is_killed(&edited.plane, "five", 5);
}

fn the_next_leads_when_the_leader_is_killed(plane: &ControlPlane, name: &str, count: usize) {
    let mut contest = Contest::of(plane, name, count);
    let (first, _) = contest.leader_of(&contest.all());
    contest.others_wait(first);
    contest.writes_on(first);
    let killed = Instant::now();
    contest.contenders[first].1.signal("KILL");
    contest.contenders[first].1.ended();
    let (second, _) = contest.leader_of(&contest.all_but(first));
    println!("{count} candidates: the next leads {} after a kill", seconds(killed.elapsed()));
    contest.writes_on(second);
    contest.only_the_holder_wrote();
}

fn a_leader_that_was_stopped_writes_nothing_when_it_wakes(Edited { plane, .. }: &Edited) {
    let contest = Contest::of(plane, "stopped", 2);
    let (first, _) = contest.leader_of(&contest.all());
    contest.others_wait(first);
    contest.writes_on(first);
    let stopped = Instant::now();
    contest.contenders[first].1.signal("STOP");
    let (second, _) = contest.leader_of(&contest.all_but(first));
    println!("the next replica leads {} after the leader was stopped", seconds(stopped.elapsed()));
    contest.writes_on(second);
    contest.contenders[first].1.signal("CONT");
    let woken = Instant::now();
    contest.contenders[first].1.logs(NOT_LEADING);
    // It reads the Lease, and waits.
    contest.contenders[first].1.logs(WAITING);
    println!("it noticed {} after it was resumed", seconds(woken.elapsed()));
    contest.writes_on(second);
    contest.only_the_holder_wrote();
    assert_eq!(contest.contenders[first].1.count_logged(LEADING), 1);
}

fn the_next_leads_when_the_leader_ends(Edited { plane, .. }: &Edited) {
    let mut contest = Contest::of(plane, "ended", 2);
    let (first, _) = contest.leader_of(&contest.all());
    contest.others_wait(first);
    contest.writes_on(first);
    let signalled = Instant::now();
    contest.contenders[first].1.signal("TERM");
    let (status, _) = contest.contenders[first].1.ended();
    assert!(status.success(), "{status}");
    let (second, _) = contest.leader_of(&contest.all_but(first));
    println!("the next replica leads {} after SIGTERM to the leader", seconds(signalled.elapsed()));
    contest.writes_on(second);
    contest.only_the_holder_wrote();
    let terms = contest.terms();
    let (_, _, left) = terms.iter().rfind(|it| it.1 == contest.contenders[first].0).unwrap();
    assert_eq!(*left, None, "the lease was not released: {terms:#?}");
}

/// How long a Lease of [`renew_as_another`] lasts.
const LASTS: Duration = Duration::from_secs(4);
/// How long the first Lease lasts, until a candidate waits for it.
const LASTS_AT_FIRST: Duration = Duration::from_mins(10);
/// The number of attempts on a machine that is too busy to renew a Lease in time.
const TRIES: usize = 5;

/// Renews the Lease as a holder whose clock is off by this number of hours.
fn renew_as_another(admin: &Admin, namespace: &str, hours: i64, lasts: Duration) {
    let time = Timestamp::now() + hours.hours();
    let object = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "podgate", "namespace": namespace},
        "spec": {
            "holderIdentity": "somebody",
            "leaseDurationSeconds": lasts.as_secs(),
            "renewTime": time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        },
    });
    admin.apply::<Lease>(namespace, "podgate", &object).unwrap();
}

fn a_holders_clock_that_is_an_hour_ahead_changes_nothing(edited: &Edited) {
    a_holders_clock_changes_nothing(edited, "ahead", 1);
}

fn a_holders_clock_that_is_an_hour_behind_changes_nothing(edited: &Edited) {
    a_holders_clock_changes_nothing(edited, "behind", -1);
}

fn a_holders_clock_changes_nothing(edited: &Edited, name: &str, hours: i64) {
    let mut tries = (1..=TRIES).map(|number| format!("{name}-{number}"));
    let waited = tries.any(|it| it_waits_for_a_holder(edited, &it, hours));
    assert!(waited, "this machine renews no Lease within {LASTS:?}");
}

/// Whether the Lease was always renewed in time; otherwise the attempt shows nothing.
fn it_waits_for_a_holder(Edited { plane, admin, .. }: &Edited, name: &str, hours: i64) -> bool {
    let mut contest = Contest::new(plane, name);
    renew_as_another(admin, &contest.namespace, hours, LASTS_AT_FIRST);
    contest.join();
    let podgate = &contest.contenders[0].1;
    podgate.logs(WAITING);
    let began = Instant::now();
    let mut last = began;
    while began.elapsed() < 2 * LASTS {
        let before = std::mem::replace(&mut last, Instant::now());
        renew_as_another(admin, &contest.namespace, hours, LASTS);
        let late = before.elapsed() >= LASTS;
        let leads = podgate.metric("podgate_leader");
        if late || last.elapsed() >= LASTS {
            println!("an hour {name}: a renewal came too late");
            return false;
        }
        assert_eq!(leads, Some(0.0), "the candidate did not wait");
        std::thread::sleep(PACE);
    }
    contest.leader_of(&[0]);
    let after = last.elapsed();
    println!("an hour {name}: it leads {} after the last renewal", seconds(after));
    // The time is not this machine's: it may be later, but never earlier.
    assert!(after >= LASTS, "it leads {after:?} after a renewal that lasts {LASTS:?}");
    contest.writes_on(0);
    contest.only_the_holder_wrote();
    true
}
