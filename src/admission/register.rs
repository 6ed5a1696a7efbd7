//! `serve --register`: the webhook configurations of a podgate under development, written at its start and removed at
//! its end.

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

/// Marks a configuration that `serve --register` wrote, so that it takes over
/// and removes only its own.
pub const REGISTERED_BY: &str = "devops.stochastic.io/registered-by";
const FIELD_MANAGER: &str = "podgate-register";

/// Why `--register` did not work.
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

/// The configurations of a podgate that registers itself.
pub struct SelfRegistration {
    validating: Api<ValidatingWebhookConfiguration>,
    mutating: Api<MutatingWebhookConfiguration>,
    /// Where the Lease of the beat is.
    leases: Api<Lease>,
}

impl SelfRegistration {
    /// Nothing is written yet.
    pub fn new(client: Client, lease_namespace: &str) -> Self {
        Self {
            validating: Api::all(client.clone()),
            mutating: Api::all(client.clone()),
            leases: Api::namespaced(client, lease_namespace),
        }
    }

    /// What is written for `https://HOST:PORT`, and for the Lease of this namespace.
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

    /// Writes the configurations; left-overs of an earlier `--register` are taken over.
    ///
    /// # Errors
    /// Another podgate's configuration stands there, or the API server refuses.
    pub async fn write(&self, registration: &Registration) -> Result<(), RegisterError> {
        check_ours(&self.validating, VALIDATING).await?;
        check_ours(&self.mutating, MUTATING).await?;
        // What is put in first is judged afterwards.
        apply(&self.mutating, MUTATING, &registration.mutating()).await?;
        apply(&self.validating, VALIDATING, &registration.validating()).await?;
        Ok(())
    }

    /// Removes the configurations that `--register` wrote, and what was written because of them. Asks the cluster rather
    /// than its memory: a signal may have come before a write's answer.
    ///
    /// # Errors
    /// The API server could not be asked.
    pub async fn remove(&self) -> Result<(), kube::Error> {
        remove(&self.validating, VALIDATING).await?;
        remove(&self.mutating, MUTATING).await?;
        match self.leases.delete(LEASE, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            // The chart's right to it is not to delete it.
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
        // Gone already, or another one meanwhile.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_ours(configuration: &impl Resource) -> bool {
    configuration.labels().contains_key(REGISTERED_BY)
}
