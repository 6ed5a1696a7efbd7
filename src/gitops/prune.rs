//! Deletes the policies of a cluster that a label selector chooses and files no longer name.

use std::collections::BTreeSet;

use kube::api::{DeleteParams, Preconditions};
use serde_json::Value;

use super::live::{self, Which};
use super::{Blame, Desired, Refusal};
use crate::clusters::{Cluster, ClusterError};
use crate::policies;
use crate::policy::key::PolicyKey;

/// A policy to delete: this one, and none made anew under its name.
#[derive(Clone, Debug)]
pub struct PruneTarget {
    pub key: PolicyKey,
    uid: Option<String>,
}

/// Finds them: of a namespace, or where none is given of all namespaces and the cluster's own. What is being deleted
/// already is none of them.
///
/// # Errors
/// The policies cannot be listed.
pub async fn find(
    cluster: &Cluster,
    desired: &[Desired],
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<PruneTarget>, ClusterError> {
    let which = namespace.map_or(Which::All, |it| Which::Namespace(it.to_owned()));
    let kept: BTreeSet<_> = desired.iter().map(|it| &it.key).collect();
    let listed = live::list(cluster, &which, Some(selector)).await?;
    let text = |object: &Value, path: &str| {
        object.pointer(path).and_then(Value::as_str).map(str::to_owned)
    };
    let targets = listed.into_iter().filter(|(key, object)| {
        !kept.contains(key) && text(object, "/metadata/deletionTimestamp").is_none()
    });
    Ok(targets
        .map(|(key, object)| PruneTarget { uid: text(&object, "/metadata/uid"), key })
        .collect())
}

/// Deletes one; what is gone already is deleted.
///
/// # Errors
/// The API server refuses, or the policy was made anew since it was found.
pub async fn delete(cluster: &Cluster, target: &PruneTarget, dry_run: bool) -> Result<(), Refusal> {
    let (api, _) = policies::api(cluster.client.clone(), target.key.namespace.as_deref());
    let preconditions = Preconditions { uid: target.uid.clone(), resource_version: None };
    let params = DeleteParams { dry_run, ..DeleteParams::default() }.preconditions(preconditions);
    match api.delete(&target.key.name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => {
            let refusal = Refusal::of("--prune".to_owned(), &target.key, cluster, error);
            Err(Refusal { blame: Blame::Cluster, ..refusal })
        }
    }
}
