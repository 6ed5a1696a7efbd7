//! Reads the policies of a cluster.

use kube::Resource;
use kube::api::DynamicObject;
use serde_json::Value;

use super::refusal::WriteRefusal;
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy};
use crate::client::list::Pages;
use crate::clusters::{Cluster, ClusterError};
use crate::policies;
use crate::policy::key::PolicyKey;

/// Which policies of a cluster to list.
#[derive(Clone, Debug)]
pub enum PolicyScope {
    /// The `DevOpsPolicy`s of a namespace.
    Namespace(String),
    /// The `DevOpsPolicy`s of all namespaces and the `ClusterDevOpsPolicy`s.
    All,
    /// The `ClusterDevOpsPolicy`s.
    ClusterWide,
}

/// Lists policies as the API server has them, sorted by key, so that two exports of the same policies are equal.
///
/// # Errors
/// One of the lists cannot be read. The other one is then not returned either, because it would look complete.
pub async fn list(
    cluster: &Cluster,
    scope: &PolicyScope,
    selector: Option<&str>,
) -> Result<Vec<(PolicyKey, Value)>, ClusterError> {
    let mut listed = Vec::new();
    if !matches!(scope, PolicyScope::Namespace(_)) {
        let kind = "ClusterDevOpsPolicy";
        listed.extend(of_kind::<ClusterDevOpsPolicy>(cluster, kind, None, selector).await?);
    }
    let namespace = match scope {
        PolicyScope::ClusterWide => None,
        PolicyScope::All => Some(None),
        PolicyScope::Namespace(namespace) => Some(Some(namespace.as_str())),
    };
    if let Some(namespace) = namespace {
        let kind = "DevOpsPolicy";
        listed.extend(of_kind::<DevOpsPolicy>(cluster, kind, namespace, selector).await?);
    }
    listed.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(listed)
}

async fn of_kind<K: Resource<DynamicType = ()>>(
    cluster: &Cluster,
    kind: &'static str,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<(PolicyKey, Value)>, ClusterError> {
    let mut policies = Vec::new();
    let mut pages = Pages::of::<K>(&cluster.client, namespace, selector);
    while let Some(page) = pages.next().await.map_err(|error| explain(cluster, kind, error))? {
        for json in page.objects() {
            let policy: Value = serde_json::from_str(json)
                .map_err(|error| cluster.explain(kube::Error::SerdeError(error)))?;
            policies.push((PolicyKey::of_manifest(&policy), policy));
        }
    }
    Ok(policies)
}

fn explain(cluster: &Cluster, kind: &'static str, error: kube::Error) -> ClusterError {
    match error {
        kube::Error::Api(status) if status.code == 404 => ClusterError::NotServed(kind),
        error => cluster.explain(error),
    }
}

/// Reads one policy; `None` if the cluster has none of the key.
///
/// # Errors
/// It cannot be read. The refusal names `place`, where the desired policy is written.
pub async fn get(
    cluster: &Cluster,
    key: &PolicyKey,
    place: &str,
) -> Result<Option<Value>, WriteRefusal> {
    let (api, _) = policies::api(cluster.client.clone(), key.namespace.as_deref());
    match api.get(&key.name).await {
        Ok(found) => Ok(Some(json(&found))),
        Err(kube::Error::Api(status))
            if status.code == 404
                && status.details.as_ref().is_some_and(|it| !it.name.is_empty()) =>
        {
            Ok(None)
        }
        Err(error) => Err(WriteRefusal::of(place.to_owned(), key, cluster, error)),
    }
}

/// A dynamic object as JSON.
pub(super) fn json(object: &DynamicObject) -> Value {
    serde_json::json!(object)
}
