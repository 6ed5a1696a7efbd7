//! Waits for the Lease, and takes it when it is free.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;

use super::Options;
use super::claim::since_boot;
use super::lease::{LeaseClient, LeaseError};
use super::record::{self, Observed, Verdict};

/// The Lease that this podgate has just written, and when (since boot) it sent it.
pub(super) struct Held {
    pub lease: Lease,
    pub sent: Duration,
}

pub(super) struct Candidate {
    pub lease: LeaseClient,
    pub options: Options,
    observed: Observed,
    /// How long to wait before the next look.
    pause: Duration,
    /// What was logged last: each thing once, not at every look.
    last_logged: Option<String>,
}

impl Candidate {
    pub fn new(client: Client, options: Options) -> Self {
        Self {
            lease: LeaseClient::new(client, &options),
            options,
            observed: Observed::default(),
            pause: Duration::ZERO,
            last_logged: None,
        }
    }

    /// Looks at the Lease until it may be taken; what there is to take.
    pub async fn until_free(&mut self) -> Option<Lease> {
        loop {
            tokio::time::sleep(self.pause).await;
            self.pause = self.options.retry;
            let lease = match self.lease.get().await {
                Ok(lease) => lease,
                Err(error) => {
                    self.failed(&error);
                    continue;
                }
            };
            let Options { identity, duration, .. } = &self.options;
            let spec = lease.as_ref().and_then(|it| it.spec.as_ref());
            let now = since_boot();
            match self.observed.judge(spec, identity, *duration, now) {
                Verdict::Take => return lease,
                Verdict::Wait { holder, until } => {
                    // It may end before the next look would be due.
                    self.pause = self.pause.min(until.saturating_sub(now));
                    if self.is_new(&holder) {
                        let identity = &self.options.identity;
                        tracing::info!(identity, holder, "waiting for the lease");
                    }
                }
            }
        }
    }

    /// Takes it, unless another was faster.
    pub async fn take(&mut self, free: Option<Lease>) -> Option<Held> {
        let Options { identity, duration, .. } = &self.options;
        let previous = free.as_ref().and_then(|it| it.spec.as_ref());
        let spec = record::taken(previous, identity, *duration, Timestamp::now());
        let sent = since_boot();
        match self.lease.put(free.as_ref(), spec).await {
            Ok(lease) => {
                self.last_logged = None;
                // Whoever loses it looks at once who has it.
                self.pause = Duration::ZERO;
                Some(Held { lease, sent })
            }
            // The next look shows who was faster.
            Err(LeaseError::Changed) => None,
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn failed(&mut self, error: &LeaseError) {
        let error = error.to_string();
        if self.is_new(&error) {
            let Options { namespace, name, .. } = &self.options;
            tracing::warn!(namespace, name, error, "could not get the lease; it is tried again");
        }
    }

    fn is_new(&mut self, what: &str) -> bool {
        if self.last_logged.as_deref() == Some(what) {
            return false;
        }
        self.last_logged = Some(what.to_owned());
        true
    }
}
