//! Leader election: of all processes that contend for one Lease, the holder leads, and only the leader writes.
//!
//! The way in is [`lead`]. [`candidate`] waits until the Lease may be taken, as [`record`] decides from the Lease's
//! spec and from when it was seen to change (pure); [`term`] renews it while the work runs; [`lease`] reads and writes
//! it.
//!
//! Two processes never lead at once, whatever the clocks of their machines show: the holder counts from before it
//! *sent* a renewal, and stops after the renew deadline; a candidate counts from after it *saw* that renewal, and waits
//! for the lease duration, which is longer. Both count by a clock that runs while the machine is suspended.

mod candidate;
pub(crate) mod claim;
#[cfg(test)]
mod fake_api;
mod lease;
mod options;
mod record;
mod term;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;

use crate::metrics::LeaderMetrics;
use candidate::Candidate;
use claim::Claim;
use lease::{LeaseClient, LeaseError};
use options::identity;
pub use options::{LEASE, LeaseOptions};
use term::Term;

/// How long the work may take to end after a shutdown signal. Kubernetes kills a pod 30 s after SIGTERM.
const WORK_END_TIMEOUT: Duration = Duration::from_secs(5);

/// Contends for the Lease until shutdown, and runs the work whenever this process leads.
///
/// `work` makes the future of one term. The future is dropped when leadership is lost, and must send each write through
/// the claim. It runs in the same task as the renewals, so that a process whose work hangs loses the Lease. Work that
/// ends by itself ends `lead` too.
///
/// Graceful shutdown: when `shutdown` becomes `true` or its sender is dropped, the work, which the caller ends through
/// the same channel, has [`WORK_END_TIMEOUT`] to end; then the Lease is released, so that another replica can lead at
/// once.
pub async fn lead<W, F>(
    client: Client,
    options: LeaseOptions,
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
        // A shutdown does not interrupt this: the Lease would stay taken, and nobody would release it.
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

/// Takes the Lease from its holder, for a minute: no process leads, and so none writes, until the minute is over.
///
/// # Errors
/// The API server refuses, or others change the Lease first at each of five attempts.
pub async fn take_over(client: Client, namespace: String) -> Result<(), kube::Error> {
    const ATTEMPTS: u32 = 5;
    const MINUTE: Duration = Duration::from_mins(1);
    let lease = LeaseClient::new(client, &LeaseOptions::new(namespace));
    let mut attempts = 0;
    loop {
        attempts += 1;
        let taken = async {
            let previous = lease.get().await?;
            let spec = previous.as_ref().and_then(|it| it.spec.as_ref());
            let taken = record::taken(spec, &identity(), MINUTE, Timestamp::now());
            lease.put(previous.as_ref(), taken).await
        };
        match taken.await {
            Ok(_) => return Ok(()),
            Err(LeaseError::Api(error)) => return Err(error),
            Err(LeaseError::Changed | LeaseError::Silent(_)) if attempts < ATTEMPTS => {}
            Err(error) => return Err(kube::Error::Service(error.to_string().into())),
        }
    }
}

async fn signalled(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender was dropped: the process is ending.
    let _ = shutdown.wait_for(|signalled| *signalled).await;
}
