//! What the API server must know to call podgate: the webhook configuration,
//! made in this one place.
//!
//! Only `serve --register`, which is for development, writes it to a cluster.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::policy::PROTECTED_NAMESPACES;
use crate::policy::workload::Kind;

/// The name of the validating configuration.
pub const VALIDATING: &str = "podgate-validating";
/// The name of its webhook; it prefixes the audit annotations.
pub const VALIDATE_WEBHOOK: &str = "validate.podgate.devops.stochastic.io";
/// How the name of every webhook of podgate's ends, whatever its configuration is called.
pub const WEBHOOK_SUFFIX: &str = ".podgate.devops.stochastic.io";
/// Marks a configuration that `serve --register` wrote, so that it takes over
/// and removes only its own.
pub const REGISTERED_BY: &str = "devops.stochastic.io/registered-by";
const FIELD_MANAGER: &str = "podgate-register";
/// Every write of a user waits for this webhook: a low limit bounds the harm
/// that a podgate that hangs can do. (The API server's own default is 10.)
const TIMEOUT_SECONDS: i32 = 3;

/// Why `--register` did not work.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    #[error(
        "{VALIDATING} exists and was not written by --register: a podgate is installed in this cluster; \
         remove it first, or serve without --register"
    )]
    NotOurs,
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// The configuration of a podgate that registers itself.
pub struct Registration {
    api: Api<ValidatingWebhookConfiguration>,
}

/// The rules under which the API server asks: creation and update of each kind
/// that runs pods, and nothing else (no Lease, no Node, no status).
fn rules() -> Vec<serde_json::Value> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for kind in Kind::ALL {
        let names = kind.names();
        match groups.iter_mut().find(|(group, _)| *group == names.group) {
            Some((_, resources)) => resources.push(names.resource.to_owned()),
            None => groups.push((names.group, vec![names.resource.to_owned()])),
        }
    }
    let rule = |(group, mut resources): (&str, Vec<String>)| {
        if group.is_empty() {
            resources.extend(["pods/ephemeralcontainers".to_owned(), "pods/resize".to_owned()]);
        }
        json!({
            "apiGroups": [group],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": resources,
            "scope": "Namespaced",
        })
    };
    groups.into_iter().map(rule).collect()
}

/// The validating configuration for a webhook at a URL.
pub fn validating(url: &str, ca_pem: &str) -> serde_json::Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {
            "name": VALIDATING,
            "labels": {
                "app.kubernetes.io/name": "podgate",
                REGISTERED_BY: "serve",
            },
        },
        "webhooks": [{
            "name": VALIDATE_WEBHOOK,
            "clientConfig": {
                "url": url,
                "caBundle": k8s_openapi::ByteString(ca_pem.as_bytes().to_vec()),
            },
            "rules": rules(),
            // By the name that Kubernetes itself keeps as a label, which no tenant can change.
            "namespaceSelector": {
                "matchExpressions": [{
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": PROTECTED_NAMESPACES,
                }],
            },
            "matchPolicy": "Equivalent",
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "timeoutSeconds": TIMEOUT_SECONDS,
            "admissionReviewVersions": ["v1"],
        }],
    })
}

impl Registration {
    /// Nothing is written yet.
    pub fn new(client: Client) -> Self {
        Self { api: Api::all(client) }
    }

    /// Writes the configuration; a left-over of an earlier `--register` is taken over.
    ///
    /// # Errors
    /// Another podgate's configuration stands there, or the API server refuses.
    pub async fn write(&self, url: &str, ca_pem: &str) -> Result<(), RegistrationError> {
        if let Some(existing) = self.api.get_opt(VALIDATING).await?
            && !is_ours(&existing)
        {
            return Err(RegistrationError::NotOurs);
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.api.patch(VALIDATING, &params, &Patch::Apply(validating(url, ca_pem))).await?;
        Ok(())
    }

    /// Removes the configuration if `--register` wrote it. Asks the cluster rather
    /// than its memory: a signal may have come before a write's answer.
    ///
    /// # Errors
    /// The API server could not be asked.
    pub async fn remove(&self) -> Result<(), kube::Error> {
        let Some(existing) = self.api.get_opt(VALIDATING).await? else { return Ok(()) };
        if !is_ours(&existing) {
            return Ok(());
        }
        let preconditions = Preconditions { uid: existing.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.api.delete(VALIDATING, &params).await {
            Ok(_) => Ok(()),
            // Gone already, or another one meanwhile.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn is_ours(configuration: &ValidatingWebhookConfiguration) -> bool {
    configuration.labels().contains_key(REGISTERED_BY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_asks_about_what_runs_pods_and_nothing_else() {
        insta::assert_snapshot!(serde_json::to_string(&rules()).unwrap(), @r#"[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["pods","replicationcontrollers","podtemplates","pods/ephemeralcontainers","pods/resize"],"scope":"Namespaced"},{"apiGroups":["apps"],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["deployments","statefulsets","daemonsets","replicasets"],"scope":"Namespaced"},{"apiGroups":["batch"],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["jobs","cronjobs"],"scope":"Namespaced"}]"#);
    }
}
