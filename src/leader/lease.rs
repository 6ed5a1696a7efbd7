//! Reads and writes the Lease. A write carries the resourceVersion that was read, so that the API server refuses one of
//! two concurrent writes. Each call has a timeout: an API server that accepts a request and never answers must not
//! block podgate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};

use super::options::LeaseOptions;
use crate::client::helm_ownership::ownership;

const FIELD_MANAGER: &str = "podgate";

/// Why the Lease was not read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeaseError {
    #[error("another process changed the lease since it was read")]
    Changed,
    #[error("the API server did not answer within {0:?}")]
    Silent(Duration),
    #[error(transparent)]
    Api(#[from] kube::Error),
}

pub(super) struct LeaseClient {
    api: Api<Lease>,
    name: String,
    timeout: Duration,
    /// Helm's ownership metadata of the Lease that was last read, for a Lease that is created again.
    belongings: Mutex<ObjectMeta>,
}

impl LeaseClient {
    pub fn new(client: Client, options: &LeaseOptions) -> Self {
        Self {
            api: Api::namespaced(client, &options.namespace),
            name: options.name.clone(),
            // Half the deadline leaves time for a second attempt to renew.
            timeout: options.renew_deadline / 2,
            belongings: Mutex::default(),
        }
    }

    pub async fn get(&self) -> Result<Option<Lease>, LeaseError> {
        let found = self.with_timeout(self.api.get_opt(&self.name)).await?;
        if let Some(lease) = &found {
            *self.belongings.lock().unwrap_or_else(PoisonError::into_inner) =
                ownership(&lease.metadata);
        }
        Ok(found)
    }

    /// Replaces the Lease that was read; creates it where none existed.
    ///
    /// # Errors
    /// [`LeaseError::Changed`] where another process wrote the Lease since it was read.
    pub async fn put(
        &self,
        previous: Option<&Lease>,
        spec: LeaseSpec,
    ) -> Result<Lease, LeaseError> {
        // A PUT creates a missing Lease too, which the API server allows for Leases. Unlike a POST it names the object,
        // so RBAC can grant it by resourceName. Without a resourceVersion it replaces nothing.
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let metadata = if let Some(lease) = previous {
            lease.metadata.clone()
        } else {
            let known = self.belongings.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ObjectMeta { name: Some(self.name.clone()), ..known }
        };
        let lease = Lease { metadata, spec: Some(spec) };
        match self.with_timeout(self.api.replace(&self.name, &params, &lease)).await {
            Err(LeaseError::Api(kube::Error::Api(status)))
                if status.code == 409
                    || (status.code == 404 && previous.is_some())
                    || (status.code == 422 && previous.is_none()) =>
            {
                Err(LeaseError::Changed)
            }
            written => written,
        }
    }

    async fn with_timeout<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, LeaseError> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(LeaseError::Silent(self.timeout)),
        }
    }
}
