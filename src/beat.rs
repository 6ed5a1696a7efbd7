//! The beat: how podgate knows, rather than assumes, that API servers call it.
//!
//! Every ready replica sends a [`nonce`] through every API server, as a dry-run write of the Lease `podgate-alive`, about
//! every ten seconds. The API server calls the webhook `alive.`, so some replica, which knows the nonce and answers its echo
//! as a warning; the warning comes back here. Then the Lease's `renewTime` is written for real, through the same webhook,
//! so that others see when podgate was last known to be asked. The way in is [`Beat::run`].
//!
//! `renewTime` is in the API server's time, and is written only if the other webhooks are as they were rendered, too: a
//! beat says that what podgate is for happens, not only that podgate runs.

mod ask;
mod lease;
mod routes;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::Client;
use tokio::sync::watch;

use crate::clusters::Cluster;
use crate::metrics::BeatMetrics;
use crate::nonce::{self, Key};
use ask::{Answer, Ask, Heard};
use lease::{Lease, Owner};
use routes::Routes;

/// How often a replica beats, a tenth more or less, so that replicas that started together do not beat together.
const PERIOD: Duration = Duration::from_secs(10);
/// How soon after a beat that failed.
const SOON: Duration = Duration::from_secs(5);
/// How often a replica that is not ready looks whether it is.
const NOT_READY: Duration = Duration::from_secs(1);
/// After how many failures in a row it is logged: the Service hears of a new replica a little after the replica is ready.
const FAILURES: u32 = 3;

/// When the API servers were last seen to call podgate; `None` before the first time.
pub type Called = watch::Receiver<Option<Instant>>;

/// What beating takes.
pub struct Beat {
    pub cluster: Cluster,
    /// Of the Lease.
    pub namespace: String,
    /// The Deployment in that namespace that owns the Lease. Where there is to be one, and is none, no Lease is made: nobody
    /// would take it away again.
    pub deployment: Option<String>,
    pub key: nonce::Shared,
    /// Whether the webhooks are as they were rendered; if not, why.
    pub intact: watch::Receiver<Result<(), String>>,
    /// Whether this replica takes traffic.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    pub metrics: BeatMetrics,
    pub called: watch::Sender<Option<Instant>>,
}

/// Why a beat did not come all the way.
#[derive(Debug, thiserror::Error)]
enum Unheard {
    #[error("there is no certificate yet, by whose key nonces are signed")]
    NoKey,
    #[error("no API server answers: {0}")]
    NoAnswer(String),
    #[error(
        "the API server ({0}) admitted a beat without calling podgate; compare the webhook alive. with: podgate webhook config"
    )]
    NotCalled(String),
    #[error("the API server ({route}) refuses the beat: {message}")]
    Refused { route: String, message: String },
    #[error("the webhooks are not as they were rendered: {0}; helm upgrade restores them")]
    Changed(String),
    #[error("the Deployment {0} does not exist, which would own the Lease; --release names it")]
    NoOwner(String),
}

impl Beat {
    /// Beats until it is dropped.
    pub async fn run(self) {
        let mut routes = Routes::new(self.cluster.clone());
        let sender = Sender::default();
        let mut log = BeatLog::default();
        self.metrics.called(Instant::now());
        loop {
            let pause = if (self.ready)() {
                let beat = self.beat(&mut routes, &sender).await;
                log.record(&beat);
                sender.jittered(if beat.is_ok() { PERIOD } else { SOON })
            } else {
                NOT_READY
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends a nonce through every API server that answers; each must call podgate.
    async fn beat(&self, routes: &mut Routes, sender: &Sender) -> Result<(), Unheard> {
        let key = self.key.key().ok_or(Unheard::NoKey)?;
        let all = routes.each().await;
        let mut answers = self.ask(&all, &key, sender).await;
        if answers.iter().all(|(_, answer)| matches!(answer, Answer::Silent(_))) {
            // Addresses may be known and not be reachable from here.
            answers = self.ask(&[routes.usual()], &key, sender).await;
        }
        let (route, heard) = together(answers)?;
        let now = Instant::now();
        self.metrics.called(now);
        self.called.send_replace(Some(now));
        self.intact.borrow().clone().map_err(Unheard::Changed)?;
        self.renew(&route, *heard).await
    }

    /// Asks by every route at a time.
    async fn ask(&self, routes: &[Route], key: &Key, sender: &Sender) -> Vec<(Route, Answer)> {
        let ask = Ask { namespace: &self.namespace, key };
        let asked = routes.iter().map(|route| async {
            (route.clone(), ask.whether_it_calls(&route.client, || sender.next()).await)
        });
        join_all(asked).await
    }

    /// Writes when that was, unless another replica just did.
    async fn renew(&self, route: &Route, heard: Heard) -> Result<(), Unheard> {
        let stamp = heard.now();
        if heard.lease.as_ref().is_some_and(|lease| lease.is_new(stamp)) {
            return Ok(());
        }
        let owner = match (&heard.lease, &self.deployment) {
            (Some(lease), _) if lease.has_owner() => None,
            (_, None) => None,
            (known, Some(name)) => {
                let owner = Owner::find(&route.client, &self.namespace, name).await;
                if owner.is_none() && known.is_none() {
                    return Err(Unheard::NoOwner(name.clone()));
                }
                owner
            }
        };
        let lease = Lease::renewed(heard.lease, stamp, owner);
        let written = ask::write(&route.client, &self.namespace, &lease).await;
        written.map_err(|message| Unheard::Refused { route: route.name.clone(), message })
    }
}

/// What all answers come to: each API server that answers must have called podgate, and one must have answered.
fn together(answers: Vec<(Route, Answer)>) -> Result<(Route, Box<Heard>), Unheard> {
    let mut heard = None;
    let mut silent = String::new();
    for (route, answer) in answers {
        match answer {
            Answer::Heard(it) => heard = heard.or(Some((route, it))),
            Answer::NotCalled => return Err(Unheard::NotCalled(route.name)),
            Answer::Refused(message) => {
                return Err(Unheard::Refused { route: route.name, message });
            }
            Answer::Silent(why) => silent = why,
        }
    }
    heard.ok_or(Unheard::NoAnswer(silent))
}

/// A way to an API server, and what it is called in messages.
#[derive(Clone)]
struct Route {
    name: String,
    client: Client,
}

/// Who sends: a name for this process, and how many nonces it has sent.
struct Sender {
    name: String,
    sent: AtomicU64,
}

impl Default for Sender {
    fn default() -> Self {
        // The standard library keys its maps by the system's randomness.
        let random = || RandomState::new().hash_one(std::process::id());
        let name = format!("{:016x}{:016x}", random(), random());
        Self { name, sent: AtomicU64::new(0) }
    }
}

impl Sender {
    /// No two nonces have the same sender.
    fn next(&self) -> String {
        format!("{}-{}", self.name, self.sent.fetch_add(1, Ordering::Relaxed))
    }

    fn jittered(&self, pause: Duration) -> Duration {
        let random = RandomState::new().hash_one(&self.name) % 200;
        pause * (900 + u32::try_from(random).unwrap_or(100)) / 1000
    }
}

/// Logs each change of whether the API servers call podgate, once.
#[derive(Default)]
struct BeatLog {
    failures: u32,
    /// Whether the API servers call podgate, as last logged.
    calls: Option<bool>,
}

impl BeatLog {
    fn record(&mut self, beat: &Result<(), Unheard>) {
        match beat {
            Ok(()) => {
                self.failures = 0;
                if self.calls.replace(true) != Some(true) {
                    tracing::info!("the API servers call podgate");
                }
            }
            Err(why) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES && self.calls.replace(false) != Some(false) {
                    tracing::warn!(%why, "podgate does not see that the API servers call it");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::script::Script;

    #[tokio::test]
    async fn one_api_server_that_does_not_call_is_not_hidden_by_those_that_do_and_one_that_is_down_counts_for_nothing()
     {
        let told = |answers: Vec<Answer>| {
            let route =
                |name: usize| Route { name: name.to_string(), client: Script::default().client() };
            let answers = answers.into_iter().enumerate();
            match together(answers.map(|(at, answer)| (route(at), answer)).collect()) {
                Ok((route, _)) => format!("heard by {}", route.name),
                Err(why) => why.to_string(),
            }
        };
        let heard = || Answer::Heard(Box::new(Heard::example()));
        let silent = || Answer::Silent("connection refused".to_owned());
        assert_eq!(told(vec![silent(), heard(), heard()]), "heard by 1");
        let refused = Answer::Refused("failed calling webhook".to_owned());
        for (answers, why) in [
            (vec![heard(), Answer::NotCalled], "(1) admitted a beat without calling podgate"),
            (vec![refused, heard()], "(0) refuses the beat: failed calling webhook"),
            (vec![silent(), silent()], "no API server answers: connection refused"),
            (vec![], "no API server answers"),
        ] {
            let told = told(answers);
            assert!(told.contains(why), "{why}: {told}");
        }
    }

    #[test]
    fn no_two_nonces_have_one_sender_and_no_two_processes_one_name() {
        let (one, other) = (Sender::default(), Sender::default());
        assert_ne!(one.name, other.name);
        let (first, second) = (one.next(), one.next());
        assert_ne!(first, second);
        let pause = one.jittered(PERIOD);
        assert!((PERIOD * 9 / 10..PERIOD * 11 / 10).contains(&pause), "{pause:?}");
    }

    #[test]
    fn a_failure_is_told_once_it_lasts_and_once() {
        let mut log = BeatLog::default();
        let failed = || Err(Unheard::NoKey);
        for _ in 0..2 {
            log.record(&failed());
            assert_eq!(log.calls, None);
        }
        log.record(&failed());
        assert_eq!(log.calls, Some(false));
        log.record(&Ok(()));
        assert_eq!((log.calls, log.failures), (Some(true), 0));
    }
}
