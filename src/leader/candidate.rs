//! A candidate: waits until the Lease is free, and takes it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;

use super::claim::since_boot;
use super::lease::{LeaseClient, LeaseError};
use super::options::LeaseOptions;
use super::record::{self, LeaseVerdict, ObservedLease};

/// The Lease that this process has just written, and when (since boot) it sent the write.
pub(super) struct Held {
    pub lease: Lease,
    pub sent: Duration,
}

pub(super) struct Candidate {
    pub lease: LeaseClient,
    pub options: LeaseOptions,
    observed: ObservedLease,
    /// How long to wait before the Lease is read again.
    pause: Duration,
    /// The last message that was logged; a repeated one is not logged again.
    last_logged: Option<String>,
}

impl Candidate {
    pub fn new(client: Client, options: LeaseOptions) -> Self {
        Self {
            lease: LeaseClient::new(client, &options),
            options,
            observed: ObservedLease::default(),
            pause: Duration::ZERO,
            last_logged: None,
        }
    }

    /// Reads the Lease until it may be taken, and returns it; `None` where no Lease exists.
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
            let LeaseOptions { identity, duration, .. } = &self.options;
            let spec = lease.as_ref().and_then(|it| it.spec.as_ref());
            let now = since_boot();
            match self.observed.observe(spec, identity, *duration, now) {
                LeaseVerdict::Take => return lease,
                LeaseVerdict::Wait { holder, until } => {
                    // The Lease may expire before the next read would be due.
                    self.pause = self.pause.min(until.saturating_sub(now));
                    if self.is_new(&holder) {
                        let identity = &self.options.identity;
                        tracing::info!(identity, holder, "waiting for the lease");
                    }
                }
            }
        }
    }

    /// Takes the Lease; `None` if another candidate was faster, or the write failed.
    pub async fn take(&mut self, free: Option<Lease>) -> Option<Held> {
        let LeaseOptions { identity, duration, .. } = &self.options;
        let previous = free.as_ref().and_then(|it| it.spec.as_ref());
        let spec = record::taken(previous, identity, *duration, Timestamp::now());
        let sent = since_boot();
        match self.lease.put(free.as_ref(), spec).await {
            Ok(lease) => {
                self.last_logged = None;
                // After a lost term the Lease is read at once.
                self.pause = Duration::ZERO;
                Some(Held { lease, sent })
            }
            // The next read shows the new holder.
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
            let LeaseOptions { namespace, name, .. } = &self.options;
            tracing::warn!(namespace, name, error, "could not get the lease; it is tried again");
        }
    }

    fn is_new(&mut self, message: &str) -> bool {
        if self.last_logged.as_deref() == Some(message) {
            return false;
        }
        self.last_logged = Some(message.to_owned());
        true
    }
}
