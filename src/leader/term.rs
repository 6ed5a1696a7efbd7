//! A term of the leader: renews the Lease and extends the claim until the Lease is lost or released.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;

use super::candidate::{Candidate, Held};
use super::claim::{Claim, since_boot};
use super::lease::{LeaseClient, LeaseError};
use super::options::LeaseOptions;
use super::record;
use crate::metrics::LeaderMetrics;

/// How often a release is attempted: an unanswered renewal may still change the Lease.
const RELEASE_ATTEMPTS: u32 = 3;

/// Why a term ended before its work did.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("the lease could not be renewed in time")]
    Expired,
    #[error("{0} holds the lease")]
    Taken(String),
}

/// Why a renewal failed.
enum RenewError {
    Taken(String),
    Call(LeaseError),
}

impl From<LeaseError> for RenewError {
    fn from(error: LeaseError) -> Self {
        Self::Call(error)
    }
}

/// A term. Dropping it ends the term and the claim.
pub(super) struct Term<'a> {
    client: &'a LeaseClient,
    options: &'a LeaseOptions,
    claim: &'a Claim,
    metrics: &'a LeaderMetrics,
    /// The Lease as this process wrote it last; `None` where it must be read again.
    lease: Option<Lease>,
    /// When (since boot) the claim expires.
    until: Duration,
}

impl<'a> Term<'a> {
    pub fn begin(
        candidate: &'a Candidate,
        claim: &'a Claim,
        metrics: &'a LeaderMetrics,
        held: Held,
    ) -> Self {
        let Candidate { lease: client, options, .. } = candidate;
        let mut term = Self { client, options, claim, metrics, lease: None, until: held.sent };
        let number = held.lease.spec.as_ref().and_then(|it| it.lease_transitions);
        term.record(held);
        metrics.began();
        tracing::info!(identity = options.identity, term = number, "leading");
        term
    }

    /// Renews the Lease until the claim expires or another process holds the Lease.
    pub async fn until_lost(&mut self) -> Lost {
        let mut failed = false;
        loop {
            tokio::time::sleep(self.options.retry.min(self.left())).await;
            // The sleep may have taken longer: a process that was suspended checks the clock first.
            let left = self.left();
            if left.is_zero() {
                return Lost::Expired;
            }
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(())) => failed = false,
                Ok(Err(RenewError::Taken(holder))) => {
                    self.claim.give_up();
                    return Lost::Taken(holder);
                }
                Ok(Err(RenewError::Call(error))) => {
                    if !failed {
                        tracing::warn!(%error, "could not renew the lease; it is tried again");
                    }
                    failed = true;
                }
                Err(_) => return Lost::Expired,
            }
        }
    }

    /// Ends the term after the Lease was lost.
    pub fn end(self, why: &str) {
        drop(self);
        tracing::info!(why, "not leading any more");
    }

    /// Ends the term and releases the Lease, so that a candidate can take it at once.
    pub async fn release(mut self) {
        let (client, options) = (self.client, self.options);
        let mut known = self.lease.take();
        self.end("podgate ends");
        for _ in 0..RELEASE_ATTEMPTS {
            match release(client, &options.identity, known.take()).await {
                Ok(()) => return,
                Err(LeaseError::Changed) => {}
                Err(error) => {
                    tracing::warn!(%error, "could not release the lease; it expires by itself");
                    return;
                }
            }
        }
    }

    async fn renew(&mut self) -> Result<(), RenewError> {
        // Taken out: an unanswered write may or may not have changed the Lease.
        if let Some(lease) = self.lease.take() {
            match self.write(Some(&lease)).await {
                // Read at once, not after the next pause, who changed it.
                Err(LeaseError::Changed) => {}
                written => return Ok(written?),
            }
        }
        let lease = self.client.get().await?;
        let holder = lease.as_ref().and_then(|it| it.spec.as_ref()).and_then(record::holder);
        match holder {
            Some(holder) if holder != self.options.identity => {
                Err(RenewError::Taken(holder.to_owned()))
            }
            _ => Ok(self.write(lease.as_ref()).await?),
        }
    }

    async fn write(&mut self, previous: Option<&Lease>) -> Result<(), LeaseError> {
        let LeaseOptions { identity, duration, .. } = self.options;
        let spec = previous.and_then(|it| it.spec.as_ref());
        let spec = record::renewed(spec, identity, *duration, Timestamp::now());
        let sent = since_boot();
        let lease = self.client.put(previous, spec).await?;
        self.record(Held { lease, sent });
        Ok(())
    }

    fn record(&mut self, held: Held) {
        // Counted from the sending: a candidate sees the write later, and waits longer than the renew deadline.
        self.until = held.sent.saturating_add(self.options.renew_deadline);
        self.claim.extend(self.until);
        self.lease = Some(held.lease);
    }

    fn left(&self) -> Duration {
        self.until.saturating_sub(since_boot())
    }
}

impl Drop for Term<'_> {
    fn drop(&mut self) {
        self.claim.give_up();
        self.metrics.ended();
    }
}

async fn release(
    client: &LeaseClient,
    identity: &str,
    known: Option<Lease>,
) -> Result<(), LeaseError> {
    let lease = match known {
        Some(lease) => Some(lease),
        None => client.get().await?,
    };
    let spec = lease.as_ref().and_then(|it| it.spec.as_ref());
    let Some(spec) = spec.filter(|it| record::holder(it) == Some(identity)) else {
        return Ok(());
    };
    client.put(lease.as_ref(), record::released(spec, Timestamp::now())).await.map(|_| ())
}
