//! The policies that a cluster has.

use serde_json::Value;

use super::{Key, Refusal};
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy, policies};
use crate::clusters::{Cluster, ClusterError};

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
) -> Result<Vec<(Key, Value)>, ClusterError> {
    let mut listed = Vec::new();
    let mut take = |kind: &str, json: &str| {
        let mut object = serde_json::from_str::<Value>(json)?;
        if let Some(fields) = object.as_object_mut() {
            fields.insert("kind".to_owned(), kind.into());
        }
        listed.push((Key::of(&object), object));
        Ok::<_, serde_json::Error>(())
    };
    if !matches!(which, Which::Namespace(_)) {
        let mut read = Ok(());
        let kind = "ClusterDevOpsPolicy";
        let asked = cluster.list::<ClusterDevOpsPolicy>(None, selector, |json| {
            read = std::mem::replace(&mut read, Ok(())).and_then(|()| take(kind, json));
        });
        asked.await.map_err(|error| explain(cluster, kind, error))?;
        read.map_err(|error| cluster.explain(kube::Error::SerdeError(error)))?;
    }
    let namespace = match which {
        Which::ClusterWide => None,
        Which::All => Some(None),
        Which::Namespace(namespace) => Some(Some(namespace.as_str())),
    };
    if let Some(namespace) = namespace {
        let mut read = Ok(());
        let kind = "DevOpsPolicy";
        let asked = cluster.list::<DevOpsPolicy>(namespace, selector, |json| {
            read = std::mem::replace(&mut read, Ok(())).and_then(|()| take(kind, json));
        });
        asked.await.map_err(|error| explain(cluster, kind, error))?;
        read.map_err(|error| cluster.explain(kube::Error::SerdeError(error)))?;
    }
    listed.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(listed)
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
pub async fn get(cluster: &Cluster, key: &Key, place: &str) -> Result<Option<Value>, Refusal> {
    let (api, _) = policies(cluster.client.clone(), key.namespace.as_deref());
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
