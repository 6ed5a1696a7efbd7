//! `podgate webhook delete`: the API server stops calling podgate, at once and in whatever state podgate is, and no floor
//! judges in its place. (The API server calls no webhook for webhook configurations and for its own policies, so the
//! deletion cannot be blocked.)

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Api, DeleteParams};

use super::{configurations, floors};
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
    /// The bindings of floors may be left, for this reason.
    FloorLeft(String),
}

/// Deletes every configuration that calls podgate, and before that the bindings of every floor, which would judge
/// instead.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn delete(cluster: &Cluster, dry_run: DryRun) -> Result<Vec<Removal>, ClusterError> {
    let mut removals = Vec::new();
    if let Err(error) = floor(cluster, dry_run, &mut removals).await {
        // Who may delete only the configurations shall do that.
        removals.push(Removal::FloorLeft(cluster.explain(error).to_string()));
    }
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

/// Deletes the bindings of floors, where the cluster has such.
async fn floor(
    cluster: &Cluster,
    dry_run: DryRun,
    removals: &mut Vec<Removal>,
) -> Result<(), kube::Error> {
    let api = floors::api(cluster, floors::BINDING);
    let params = DeleteParams { dry_run: dry_run == DryRun::Yes, ..DeleteParams::default() };
    for name in floors::names(&api).await? {
        match api.delete(&name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
        removals.push(Removal::Deleted(format!("{}/{name}", floors::BINDING.to_lowercase())));
    }
    Ok(())
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
