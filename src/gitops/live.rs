//! The policies that a cluster has.

use kube::Resource;
use serde_json::Value;

use super::Refusal;
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy};
use crate::clusters::{Cluster, ClusterError};
use crate::policies;
use crate::policy::key::PolicyKey;

/// Which policies of a cluster.
#[derive(Clone, Debug)]
pub enum Which {
    /// The `DevOpsPolicy`s of a namespace.
    Namespace(String),
    /// The `DevOpsPolicy`s of all namespaces and the `ClusterDevOpsPolicy`s.
    All,
    /// The `ClusterDevOpsPolicy`s.
    ClusterWide,
}

/// Lists policies as they are, in the order of their keys, so that two lists of the same are the same.
///
/// # Errors
/// One of the lists cannot be had: half of them would pass for all.
pub async fn list(
    cluster: &Cluster,
    which: &Which,
    selector: Option<&str>,
) -> Result<Vec<(PolicyKey, Value)>, ClusterError> {
    let mut listed = Vec::new();
    if !matches!(which, Which::Namespace(_)) {
        let kind = "ClusterDevOpsPolicy";
        listed.extend(of_kind::<ClusterDevOpsPolicy>(cluster, kind, None, selector).await?);
    }
    let namespace = match which {
        Which::ClusterWide => None,
        Which::All => Some(None),
        Which::Namespace(namespace) => Some(Some(namespace.as_str())),
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
    let mut objects = Vec::new();
    let listed = cluster.list::<K>(namespace, selector, |json| {
        objects.push(serde_json::from_str::<Value>(json));
    });
    listed.await.map_err(|error| explain(cluster, kind, error))?;
    let keyed = objects.into_iter().map(|object| {
        let object = object?;
        Ok((PolicyKey::of_manifest(&object), object))
    });
    let keyed: Result<_, serde_json::Error> = keyed.collect();
    keyed.map_err(|error| cluster.explain(kube::Error::SerdeError(error)))
}

fn explain(cluster: &Cluster, kind: &'static str, error: kube::Error) -> ClusterError {
    match error {
        kube::Error::Api(status) if status.code == 404 => ClusterError::NotServed(kind),
        error => cluster.explain(error),
    }
}

/// Reads one policy, if there is one of the key.
///
/// # Errors
/// It cannot be read; `place` says where it is wanted.
pub async fn get(
    cluster: &Cluster,
    key: &PolicyKey,
    place: &str,
) -> Result<Option<Value>, Refusal> {
    let (api, _) = policies::api(cluster.client.clone(), key.namespace.as_deref());
    match api.get(&key.name).await {
        Ok(found) => Ok(Some(super::apply::json(&found))),
        Err(kube::Error::Api(status))
            if status.code == 404
                && status.details.as_ref().is_some_and(|it| !it.name.is_empty()) =>
        {
            Ok(None)
        }
        Err(error) => Err(Refusal::of(place.to_owned(), key, cluster, error)),
    }
}
