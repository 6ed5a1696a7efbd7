//! `podgate webhook delete`: the API server stops calling podgate, at once and in whatever state podgate is. (The API
//! server calls no webhook for webhook configurations, so the deletion cannot be blocked.)

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Api, DeleteParams};

use super::configurations;
use crate::certs::configuration::WebhookKind;
use crate::client::dry_run::DryRun;
use crate::clusters::{Cluster, ClusterError};

/// The outcome for a configuration that calls podgate.
#[derive(Debug, Eq, PartialEq)]
pub enum Removal {
    /// `KIND/NAME`
    Deleted(String),
    /// It is kept: it has webhooks of somebody else too.
    Shared(String),
}

/// Deletes every configuration that calls podgate.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn delete(cluster: &Cluster, dry_run: DryRun) -> Result<Vec<Removal>, ClusterError> {
    let mut removals = Vec::new();
    for kind in WebhookKind::ALL {
        let listed = configurations::list(cluster, kind).await;
        for configuration in listed.map_err(|error| cluster.explain(error))? {
            let ours = configuration.ours().count();
            if ours == 0 {
                continue;
            }
            let name = configuration.name();
            let label = format!("{}/{name}", kind.as_str().to_lowercase());
            if ours < configuration.webhooks.len() {
                removals.push(Removal::Shared(label));
                continue;
            }
            delete_one(cluster, kind, name, dry_run)
                .await
                .map_err(|error| cluster.explain(error))?;
            removals.push(Removal::Deleted(label));
        }
    }
    Ok(removals)
}

async fn delete_one(
    cluster: &Cluster,
    kind: WebhookKind,
    name: &str,
    dry_run: DryRun,
) -> Result<(), kube::Error> {
    let params = DeleteParams { dry_run: dry_run == DryRun::Yes, ..DeleteParams::default() };
    let client = cluster.client.clone();
    let deleted = match kind {
        WebhookKind::Validating => {
            let api = Api::<ValidatingWebhookConfiguration>::all(client);
            api.delete(name, &params).await.map(|_| ())
        }
        WebhookKind::Mutating => {
            let api = Api::<MutatingWebhookConfiguration>::all(client);
            api.delete(name, &params).await.map(|_| ())
        }
    };
    match deleted {
        // It was deleted since it was listed.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}
