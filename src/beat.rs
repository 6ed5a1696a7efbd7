//! Availability: the beat proves that the API servers call podgate. The way in is [`Beat::run`].
//!
//! About every ten seconds, each ready replica sends a [`nonce`] through every API server, in a dry-run write of the
//! Lease `podgate-alive`. The API server calls the webhook `alive.`; the replica that is called verifies the nonce and
//! answers with its echo, which comes back here as a warning. Then the beat writes the Lease's `renewTime`, through the
//! same webhook, so that everybody can read when the API servers last called podgate.
//!
//! `renewTime` is in the API server's time. It is written only if the other webhooks are as they were rendered too: a
//! fresh `renewTime` says that objects are reviewed, not only that podgate runs.

mod error;
mod lease;
mod log;
mod probe;
mod routes;

use std::hash::{BuildHasher, RandomState};
use std::mem::discriminant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::client::api_time::ApiTime;
use crate::clusters::Cluster;
use crate::metrics::{BeatMetrics, FloorMetrics};
use crate::nonce::{self, Key};
use crate::policy::called::Called;
use crate::policy::floor_state::Canary;
use error::BeatError;
use lease::{AliveLease, Owner};
use log::{BeatLog, FAILURES};
use probe::{Echoed, Probe, ProbeOutcome};
use routes::{Route, Routes};

/// The interval between two beats, a tenth more or less, so that replicas that start together do not beat together.
const PERIOD: Duration = Duration::from_secs(10);
/// The delay after a beat that failed.
const SOON: Duration = Duration::from_secs(5);
/// How often a replica that is not ready checks whether it is.
const NOT_READY: Duration = Duration::from_secs(1);
/// How long after its last beat, or its start, a replica that is not ready counts as not called.
const NOT_READY_LIMIT: Duration = Duration::from_mins(1);

/// A replica's beat.
pub struct Beat {
    pub cluster: Cluster,
    /// The namespace of the Lease.
    pub namespace: String,
    /// The Deployment in that namespace that owns the Lease. If it does not exist, no Lease is created: nothing would
    /// garbage-collect it.
    pub deployment: Option<String>,
    pub key: nonce::SharedKey,
    /// The API servers' time, for the nonces of this replica and of others.
    pub api_time: ApiTime,
    /// Whether the webhooks are as they were rendered; an error says what differs.
    pub intact: watch::Receiver<Result<(), String>>,
    /// Whether this replica takes traffic; an error says why not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    pub metrics: BeatMetrics,
    /// The verdict, for the statuses of policies.
    pub called: watch::Sender<Called>,
    /// Where the floor is kept.
    pub floor: Option<FloorBeat>,
}

/// What the beat tells of the floor.
pub struct FloorBeat {
    metrics: FloorMetrics,
    /// Whether every API server knows the newest beat.
    canary: watch::Sender<Canary>,
    /// The number of beats in a row after which one did not.
    stale: AtomicU32,
}

impl FloorBeat {
    /// `kept` is the time from which on the floor is kept.
    pub fn new(metrics: FloorMetrics, canary: watch::Sender<Canary>, kept: Instant) -> Self {
        metrics.kept(kept);
        Self { metrics, canary, stale: AtomicU32::new(0) }
    }

    /// Publishes what a beat has found; a failure only when it lasts. `None` is a beat that no API server answered.
    fn tell(&self, found: Option<Result<(), String>>) {
        let new = match found {
            None => return,
            Some(Ok(())) => {
                self.stale.store(0, Ordering::Relaxed);
                Canary::Fresh
            }
            Some(Err(_)) if self.stale.fetch_add(1, Ordering::Relaxed) + 1 < FAILURES => return,
            Some(Err(why)) => Canary::Stale(why),
        };
        self.canary.send_if_modified(|known| {
            // The texts differ from beat to beat.
            let same = discriminant(known) == discriminant(&new);
            if !same {
                *known = new;
            }
            !same
        });
    }
}

impl Beat {
    /// Beats until the future is dropped.
    pub async fn run(self) {
        let mut routes = Routes::new(self.cluster.clone());
        let sender = Sender::default();
        let mut log = BeatLog::new(self.called.clone());
        let mut last = Instant::now();
        self.metrics.called(last);
        loop {
            let pause = match (self.ready)() {
                Ok(()) => {
                    let beat = self.beat(&mut routes, &sender).await;
                    log.record(&beat);
                    if beat.is_ok() {
                        last = Instant::now();
                    }
                    sender.jitter(if beat.is_ok() { PERIOD } else { SOON })
                }
                Err(why) => {
                    if last.elapsed() > NOT_READY_LIMIT {
                        log.record(&Err(BeatError::NotReady(why)));
                    }
                    NOT_READY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends no beat, and learns the API servers' time, by which those of other replicas are judged, until the future is
    /// dropped.
    pub async fn listen(self) {
        loop {
            probe::learn_time(&self.cluster.client, &self.namespace, &self.api_time).await;
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Sends a nonce through every API server; each one that answers must call podgate.
    async fn beat(&self, routes: &mut Routes, sender: &Sender) -> Result<(), BeatError> {
        let key = self.key.key().ok_or(BeatError::NoKey)?;
        let all = routes.each().await;
        let mut outcomes = self.probe(&all, &key, sender).await;
        let silent = |outcome: &ProbeOutcome| matches!(outcome, ProbeOutcome::NoAnswer(_));
        let answered = outcomes.iter().map(|(route, outcome)| (route, !silent(outcome)));
        let cut_off = routes.cut_off(answered, Instant::now());
        if outcomes.iter().all(|(_, outcome)| silent(outcome)) {
            // The API servers' own addresses may be unreachable from here.
            outcomes = self.probe(&[routes.usual()], &key, sender).await;
        }
        if let Some(floor) = &self.floor {
            floor.tell(canary(&outcomes));
        }
        let intact = self.intact.borrow().clone().map_err(BeatError::Changed);
        let (route, echoed) = match combine(outcomes) {
            // What was changed says more than that the API server did not call.
            Err(BeatError::NotCalled(route)) => {
                return intact.and(Err(BeatError::NotCalled(route)));
            }
            combined => combined?,
        };
        if let Some(route) = cut_off {
            return Err(BeatError::CutOff(route));
        }
        self.metrics.called(Instant::now());
        intact?;
        self.renew(&route, *echoed).await
    }

    /// Probes all routes concurrently.
    async fn probe(
        &self,
        routes: &[Route],
        key: &Key,
        sender: &Sender,
    ) -> Vec<(Route, ProbeOutcome)> {
        let probe = Probe { namespace: &self.namespace, key, time: &self.api_time };
        let probed = routes.iter().map(|route| async {
            (route.clone(), probe.run(&route.client, || sender.next()).await)
        });
        join_all(probed).await
    }

    /// Writes the time of the beat into the Lease, unless another replica has just done so.
    async fn renew(&self, route: &Route, echoed: Echoed) -> Result<(), BeatError> {
        let stamp = echoed.now();
        if let Some(lease) = echoed.lease.as_ref().filter(|lease| lease.is_new(stamp)) {
            self.renewed(lease.renew_time(), stamp);
            return Ok(());
        }
        let owner = match (&echoed.lease, &self.deployment) {
            (Some(lease), _) if lease.has_owner() => None,
            (_, None) => None,
            (known, Some(name)) => {
                let owner = Owner::find(&route.client, &self.namespace, name).await;
                if owner.is_none() && known.is_none() {
                    return Err(BeatError::NoOwner(name.clone()));
                }
                owner
            }
        };
        let lease = AliveLease::renewed(echoed.lease, stamp, owner);
        let written = probe::write(&route.client, &self.namespace, &lease, &self.api_time).await;
        written.map_err(|message| BeatError::Refused { route: route.name.clone(), message })?;
        self.renewed(Some(stamp), stamp);
        Ok(())
    }

    /// Counts a beat of this time, when the API server's clock shows `now`.
    fn renewed(&self, time: Option<Timestamp>, now: Timestamp) {
        if let (Some(floor), Some(time)) = (&self.floor, time) {
            let age = Duration::try_from(now.duration_since(time)).unwrap_or_default();
            let at = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
            floor.metrics.renewed(time.as_duration().as_secs_f64(), at);
        }
    }
}

/// Whether each API server that answered knows a recent beat; `None` if none answered.
fn canary(outcomes: &[(Route, ProbeOutcome)]) -> Option<Result<(), String>> {
    let echoed = outcomes.iter().filter_map(|(route, outcome)| match outcome {
        ProbeOutcome::Echoed(it) => Some((route, it)),
        _ => None,
    });
    let told = echoed.map(|(route, it)| {
        it.canary().map_err(|why| format!("of the API server ({}): {why}", route.name))
    });
    told.reduce(Result::and)
}

/// Combines the outcomes of all routes: each API server that answers must have called podgate, and one must have
/// answered.
fn combine(outcomes: Vec<(Route, ProbeOutcome)>) -> Result<(Route, Box<Echoed>), BeatError> {
    let mut echoed = None;
    let mut no_answer = String::new();
    for (route, outcome) in outcomes {
        match outcome {
            ProbeOutcome::Echoed(it) => echoed = echoed.or(Some((route, it))),
            ProbeOutcome::NotCalled => return Err(BeatError::NotCalled(route.name)),
            ProbeOutcome::Refused(message) => {
                return Err(BeatError::Refused { route: route.name, message });
            }
            ProbeOutcome::NoAnswer(why) => no_answer = why,
        }
    }
    echoed.ok_or(BeatError::NoAnswer(no_answer))
}

/// The sender of nonces: a random name of this process, and the number of nonces it has sent.
struct Sender {
    name: String,
    sent: AtomicU64,
}

impl Default for Sender {
    fn default() -> Self {
        // The standard library seeds its hash maps from the system's randomness.
        let random = || RandomState::new().hash_one(std::process::id());
        let name = format!("{:016x}{:016x}", random(), random());
        Self { name, sent: AtomicU64::new(0) }
    }
}

impl Sender {
    /// A sender name that no other nonce has.
    fn next(&self) -> String {
        format!("{}-{}", self.name, self.sent.fetch_add(1, Ordering::Relaxed))
    }

    fn jitter(&self, pause: Duration) -> Duration {
        let random = RandomState::new().hash_one(&self.name) % 200;
        pause * (900 + u32::try_from(random).unwrap_or(100)) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::script::Script;

    #[tokio::test]
    async fn one_api_server_that_does_not_call_is_not_hidden_by_those_that_do_and_one_that_is_down_counts_for_nothing()
     {
        let combined = |answers: Vec<ProbeOutcome>| {
            let route = |name: usize| Route {
                name: name.to_string(),
                client: Script::default().client(),
                address: None,
            };
            let answers = answers.into_iter().enumerate();
            match combine(answers.map(|(at, answer)| (route(at), answer)).collect()) {
                Ok((route, _)) => format!("heard by {}", route.name),
                Err(why) => why.to_string(),
            }
        };
        let heard = || ProbeOutcome::Echoed(Box::new(Echoed::example()));
        let silent = || ProbeOutcome::NoAnswer("connection refused".to_owned());
        assert_eq!(combined(vec![silent(), heard(), heard()]), "heard by 1");
        let refused = ProbeOutcome::Refused("failed calling webhook".to_owned());
        for (answers, why) in [
            (vec![heard(), ProbeOutcome::NotCalled], "(1) admitted a beat without calling podgate"),
            (vec![refused, heard()], "(0) refuses the beat: failed calling webhook"),
            (vec![silent(), silent()], "no API server answers: connection refused"),
            (vec![], "no API server answers"),
        ] {
            let found = combined(answers);
            assert!(found.contains(why), "{why}: {found}");
        }
    }

    #[test]
    fn the_canary_is_stale_after_three_beats_in_a_row_and_fresh_after_one() {
        let metrics = crate::metrics::Metrics::new().unwrap().floor;
        let (sender, canary) = watch::channel(Canary::Undecided);
        let floor = FloorBeat::new(metrics, sender, Instant::now());
        let stale = |why: &str| Some(Err(why.to_owned()));
        for (found, expected) in [
            (None, Canary::Undecided),
            (stale("a"), Canary::Undecided),
            (stale("b"), Canary::Undecided),
            (stale("c"), Canary::Stale("c".to_owned())),
            (stale("d"), Canary::Stale("c".to_owned())),
            (Some(Ok(())), Canary::Fresh),
            (stale("e"), Canary::Fresh),
        ] {
            floor.tell(found);
            assert_eq!(*canary.borrow(), expected);
        }
    }

    #[test]
    fn no_two_nonces_have_one_sender_and_no_two_processes_one_name() {
        let (one, other) = (Sender::default(), Sender::default());
        assert_ne!(one.name, other.name);
        let (first, second) = (one.next(), one.next());
        assert_ne!(first, second);
        let pause = one.jitter(PERIOD);
        assert!((PERIOD * 9 / 10..PERIOD * 11 / 10).contains(&pause), "{pause:?}");
    }
}
