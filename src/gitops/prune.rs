//! Deletes the policies that a label selector matches and the files no longer have.

use std::collections::BTreeSet;

use kube::api::{DeleteParams, Preconditions};
use serde_json::Value;

use super::desired::Desired;
use super::live::{self, PolicyScope};
use super::refusal::{Blame, WriteRefusal};
use crate::client::dry_run::DryRun;
use crate::clusters::{Cluster, ClusterError};
use crate::policies;
use crate::policy::key::PolicyKey;

/// A policy to delete. The uid makes sure that a policy recreated under the same name is kept.
#[derive(Clone, Debug)]
pub struct PruneTarget {
    pub key: PolicyKey,
    uid: Option<String>,
}

/// Finds the policies to delete: those of a namespace or, if none is given, those of all namespaces and the
/// `ClusterDevOpsPolicy`s. Policies that are already being deleted are left out.
///
/// # Errors
/// The policies cannot be listed.
pub async fn find(
    cluster: &Cluster,
    desired: &[Desired],
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<PruneTarget>, ClusterError> {
    let scope = namespace.map_or(PolicyScope::All, |it| PolicyScope::Namespace(it.to_owned()));
    let kept: BTreeSet<_> = desired.iter().map(|it| &it.key).collect();
    let listed = live::list(cluster, &scope, Some(selector)).await?;
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

/// Deletes a policy; with a dry run the API server only says whether it would. A policy that is already gone is no error.
///
/// # Errors
/// The API server refuses, or the policy was recreated since it was found.
pub async fn delete(
    cluster: &Cluster,
    target: &PruneTarget,
    dry_run: DryRun,
) -> Result<(), WriteRefusal> {
    let (api, _) = policies::api(cluster.client.clone(), target.key.namespace.as_deref());
    let preconditions = Preconditions { uid: target.uid.clone(), resource_version: None };
    let params = DeleteParams { dry_run: dry_run == DryRun::Yes, ..DeleteParams::default() };
    let params = params.preconditions(preconditions);
    match api.delete(&target.key.name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => {
            let refusal = WriteRefusal::of("--prune".to_owned(), &target.key, cluster, error);
            Err(WriteRefusal { blame: Blame::Cluster, ..refusal })
        }
    }
}
