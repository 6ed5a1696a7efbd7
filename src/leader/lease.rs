//! Reads and writes a Lease. Each write is of the version that was read, so that of two at once one is refused; each
//! call has a limit of time, since an API server that takes a request and is silent must not keep podgate waiting.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};

use super::Options;
use crate::client::helm_ownership::ownership;

const FIELD_MANAGER: &str = "podgate";

/// Why a Lease was not read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum LeaseError {
    #[error("it was changed meanwhile")]
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
    /// To which release it belongs, as far as it was seen.
    belongings: Mutex<ObjectMeta>,
}

impl LeaseClient {
    pub fn new(client: Client, options: &Options) -> Self {
        Self {
            api: Api::namespaced(client, &options.namespace),
            name: options.name.clone(),
            // A holder whose renewal is lost has time for another.
            timeout: options.renew_deadline / 2,
            belongings: Mutex::default(),
        }
    }

    pub async fn get(&self) -> Result<Option<Lease>, LeaseError> {
        let found = self.in_time(self.api.get_opt(&self.name)).await?;
        if let Some(lease) = &found {
            *self.belongings.lock().unwrap_or_else(PoisonError::into_inner) =
                ownership(&lease.metadata);
        }
        Ok(found)
    }

    /// Writes a record in place of what was read, or the first one where there was none.
    pub async fn put(
        &self,
        previous: Option<&Lease>,
        spec: LeaseSpec,
    ) -> Result<Lease, LeaseError> {
        // One that does not exist is made by a PUT too, which the API server allows for Leases: unlike a POST, it has a
        // name, so that the right to it can be given by name. Without a version it replaces nothing.
        let params =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let metadata = if let Some(lease) = previous {
            lease.metadata.clone()
        } else {
            let known = self.belongings.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ObjectMeta { name: Some(self.name.clone()), ..known }
        };
        let lease = Lease { metadata, spec: Some(spec) };
        match self.in_time(self.api.replace(&self.name, &params, &lease)).await {
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

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, LeaseError> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(LeaseError::Silent(self.timeout)),
        }
    }
}
