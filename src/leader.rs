//! Which podgate leads: of all that name the same Lease, the one that holds it, and it alone writes.
//!
//! The way in is [`lead`]. [`record`] decides from what a Lease says, and when it was seen to change, who may have it;
//! [`lease`] reads and writes it; [`term`] keeps it for as long as the work lasts.
//!
//! Two never lead at once, whatever the clocks of their machines say: a holder counts its time from before it *sent* a
//! renewal, and stops after the renew deadline; another counts from after it *saw* that renewal, and waits for the
//! whole duration, which is longer. Both count by a clock that goes on while the machine sleeps.

mod candidate;
pub mod claim;
#[cfg(test)]
mod fake_api;
mod lease;
mod record;
mod term;
#[cfg(test)]
mod tests;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;

use crate::metrics::LeaderMetrics;
use candidate::Candidate;
use claim::Claim;
use lease::{LeaseClient, LeaseError};
use term::Term;

/// The Lease's name: everybody who may write contends for the same.
pub const LEASE: &str = "podgate";

/// How long the work may take to end after it was told to. Kubernetes kills a pod 30 s after it asked it to end.
const WORK_END_TIMEOUT: Duration = Duration::from_secs(5);

/// Which Lease, who asks for it, and at what pace.
#[derive(Clone, Debug)]
pub struct Options {
    pub namespace: String,
    pub name: String,
    /// No two processes may have the same; see [`identity`].
    pub identity: String,
    /// How long others leave the Lease alone after they saw it renewed.
    pub duration: Duration,
    /// How long a holder leads without having renewed it; shorter than the duration.
    pub renew_deadline: Duration,
    /// How often a holder renews it, and a candidate looks.
    pub retry: Duration,
}

impl Options {
    /// The Lease `podgate` in a namespace, at the pace of Kubernetes' own controllers.
    pub fn new(namespace: String) -> Self {
        Self {
            namespace,
            name: LEASE.to_owned(),
            identity: identity(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A name for this process: the host's, which in a cluster is the pod's, and a suffix, since a container that was
/// started again in its pod is another process.
pub fn identity() -> String {
    let of_host = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = std::env::var("HOSTNAME").ok().or_else(of_host);
    let host = host.as_deref().map(str::trim).filter(|it| !it.is_empty()).unwrap_or("podgate");
    // The standard library keys its maps by the system's randomness, so no dependency is needed for a few digits.
    let suffix = RandomState::new().hash_one(std::process::id());
    format!("{host}_{suffix:016x}")
}

/// Contends for the Lease until shutdown, and does the work whenever this podgate leads.
///
/// The work of a term is made by `work` and dropped when leadership is lost; it must send each write through the
/// claim. It runs in the same task as the renewals, so that a podgate whose work hangs loses the Lease to one whose
/// work does not. Work that ends by itself ends this too.
///
/// On `shutdown` (a `true`, or the end of its sender) the work, which the caller tells by the same channel, is given
/// a few seconds to end; then the Lease is released, and another may lead at its next look.
pub async fn lead<W, F>(
    client: Client,
    options: Options,
    claim: Claim,
    mut shutdown: watch::Receiver<bool>,
    metrics: LeaderMetrics,
    mut work: F,
) where
    F: FnMut(Claim) -> W,
    W: Future<Output = ()>,
{
    let mut candidate = Candidate::new(client, options);
    loop {
        let free = tokio::select! {
            biased;
            () = signalled(&mut shutdown) => return,
            free = candidate.until_free() => free,
        };
        // Not given up half-way at a shutdown: the Lease would be taken, and nobody there to release it.
        let Some(held) = candidate.take(free).await else { continue };
        let mut term = Term::begin(&candidate, &claim, &metrics, held);
        let lost = {
            let mut work = pin!(work(claim.clone()));
            let mut lost = pin!(term.until_lost());
            tokio::select! {
                biased;
                why = &mut lost => Some(why),
                () = &mut work => None,
                () = signalled(&mut shutdown) => tokio::select! {
                    biased;
                    why = &mut lost => Some(why),
                    () = &mut work => None,
                    () = tokio::time::sleep(WORK_END_TIMEOUT) => None,
                }
            }
        };
        if let Some(why) = lost {
            term.end(&why.to_string());
        } else {
            term.release().await;
            return;
        }
    }
}

/// Takes the Lease from whoever has it, for a minute: nobody leads, and so nobody writes, until that is over.
///
/// # Errors
/// The API server refuses, or others are faster each time.
pub async fn take_over(client: Client, namespace: String) -> Result<(), kube::Error> {
    const TRIES: u32 = 5;
    const MINUTE: Duration = Duration::from_mins(1);
    let lease = LeaseClient::new(client, &Options::new(namespace));
    let mut tries = 0;
    loop {
        tries += 1;
        let taken = async {
            let previous = lease.get().await?;
            let spec = previous.as_ref().and_then(|it| it.spec.as_ref());
            let taken = record::taken(spec, &identity(), MINUTE, Timestamp::now());
            lease.put(previous.as_ref(), taken).await
        };
        match taken.await {
            Ok(_) => return Ok(()),
            Err(LeaseError::Api(error)) => return Err(error),
            Err(LeaseError::Changed | LeaseError::Silent(_)) if tries < TRIES => {}
            Err(error) => return Err(kube::Error::Service(error.to_string().into())),
        }
    }
}

async fn signalled(shutdown: &mut watch::Receiver<bool>) {
    // Where the sender is gone, the process is ending as well.
    let _ = shutdown.wait_for(|signalled| *signalled).await;
}
