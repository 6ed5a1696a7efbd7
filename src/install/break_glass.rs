//! `podgate webhook delete`: the API server stops asking podgate, at once and whatever state podgate is in. (It exempts
//! webhook configurations from webhooks, so this always works.)

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Api, DeleteParams};

use super::configurations::{self, Kind};
use crate::clusters::{Cluster, ClusterError};

/// What became of a configuration that calls podgate.
#[derive(Debug, Eq, PartialEq)]
pub enum Removal {
    /// `KIND/NAME`
    Deleted(String),
    /// It holds somebody else's webhooks too, which are not podgate's to delete.
    Shared(String),
}

/// Deletes every configuration that calls podgate; with `dry_run`, the API server only says whether it would.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn delete(cluster: &Cluster, dry_run: bool) -> Result<Vec<Removal>, ClusterError> {
    let mut removals = Vec::new();
    for kind in Kind::ALL {
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
    kind: Kind,
    name: &str,
    dry_run: bool,
) -> Result<(), kube::Error> {
    let params = DeleteParams { dry_run, ..DeleteParams::default() };
    let client = cluster.client.clone();
    let deleted = match kind {
        Kind::Validating => {
            let api = Api::<ValidatingWebhookConfiguration>::all(client);
            api.delete(name, &params).await.map(|_| ())
        }
        Kind::Mutating => {
            let api = Api::<MutatingWebhookConfiguration>::all(client);
            api.delete(name, &params).await.map(|_| ())
        }
    };
    match deleted {
        // Somebody else was faster.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}
