//! `serve --register`: writes the webhook configurations at the start, and removes them at the shutdown. For
//! development.

use std::fmt::Debug;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::registration::{Endpoint, FailurePolicy, MUTATING, Registration, VALIDATING};
use crate::nonce::LEASE;

/// The label of a configuration that `serve --register` wrote; it replaces and removes only those.
pub const REGISTERED_BY: &str = "devops.stochastic.io/registered-by";
const FIELD_MANAGER: &str = "podgate-register";

/// Why `--register` failed.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error(
        "{0} exists and was not written by --register: a podgate is installed in this cluster; \
         remove it first, or serve without --register"
    )]
    NotOurs(&'static str),
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// The API of the configurations.
pub struct SelfRegistration {
    validating: Api<ValidatingWebhookConfiguration>,
    mutating: Api<MutatingWebhookConfiguration>,
    /// The Leases of the beat's namespace.
    leases: Api<Lease>,
}

impl SelfRegistration {
    /// Sets up the API; nothing is written yet.
    pub fn new(client: Client, lease_namespace: &str) -> Self {
        Self {
            validating: Api::all(client.clone()),
            mutating: Api::all(client.clone()),
            leases: Api::namespaced(client, lease_namespace),
        }
    }

    /// The configurations to write for `https://HOST:PORT`, and for the beat's Lease in this namespace.
    pub fn registration(url: String, ca_pem: String, lease_namespace: String) -> Registration {
        Registration {
            endpoint: Endpoint::Url(url),
            ca_pem: Some(ca_pem),
            failure_policy: FailurePolicy::Ignore,
            protected_namespaces: Vec::new(),
            match_conditions: Vec::new(),
            lease_namespace: Some(lease_namespace),
            labels: json!({"app.kubernetes.io/name": "podgate", REGISTERED_BY: "serve"}),
        }
    }

    /// Writes the configurations; replaces those that an earlier `--register` left behind.
    ///
    /// # Errors
    /// An installed podgate's configuration exists, or the API server refuses.
    pub async fn write(&self, registration: &Registration) -> Result<(), RegisterError> {
        check_ours(&self.validating, VALIDATING).await?;
        check_ours(&self.mutating, MUTATING).await?;
        // The mutating webhook first: validation must not refuse pods that mutation would complete.
        apply(&self.mutating, MUTATING, &registration.mutating()).await?;
        apply(&self.validating, VALIDATING, &registration.validating()).await?;
        Ok(())
    }

    /// Removes the configurations that `--register` wrote, and the beat's Lease. It reads them from the cluster: a
    /// signal may have come before the answer to a write.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub async fn remove(&self) -> Result<(), kube::Error> {
        remove(&self.validating, VALIDATING).await?;
        remove(&self.mutating, MUTATING).await?;
        match self.leases.delete(LEASE, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            // The chart's Role does not grant the deletion.
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

async fn check_ours<K>(api: &Api<K>, name: &'static str) -> Result<(), RegisterError>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let existing = api.get_opt(name).await?;
    if existing.is_some_and(|it| !is_ours(&it)) {
        Err(RegisterError::NotOurs(name))
    } else {
        Ok(())
    }
}

async fn apply<K>(api: &Api<K>, name: &str, configuration: &Value) -> Result<(), kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(name, &params, &Patch::Apply(configuration)).await.map(|_| ())
}

async fn remove<K>(api: &Api<K>, name: &str) -> Result<(), kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let Some(existing) = api.get_opt(name).await?.filter(is_ours) else { return Ok(()) };
    let preconditions = Preconditions { uid: existing.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match api.delete(name, &params).await {
        Ok(_) => Ok(()),
        // It was deleted or replaced since it was read.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_ours(configuration: &impl Resource) -> bool {
    configuration.labels().contains_key(REGISTERED_BY)
}
