//! What policies read of a cluster's namespaces: their labels and annotations.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::core::PartialObjectMeta;

use crate::clusters::Cluster;
use crate::policy::policy_set::{NamespaceMetadata, Namespaces};

/// Those of every namespace.
///
/// # Errors
/// The API server's error, or an answer that cannot be read.
pub async fn all(cluster: &Cluster) -> Result<Namespaces, kube::Error> {
    let mut found = Namespaces::new();
    let mut unreadable = None;
    cluster
        .list::<Namespace>(None, None, |json| {
            match serde_json::from_str::<PartialObjectMeta<Namespace>>(json) {
                Ok(namespace) => {
                    let name = namespace.metadata.name.clone().unwrap_or_default();
                    found.insert(name, (&namespace).into());
                }
                Err(error) => unreadable = Some(error),
            }
        })
        .await?;
    unreadable.map_or(Ok(found), |error| Err(kube::Error::SerdeError(error)))
}

/// Those of one namespace; `None` if it does not exist.
///
/// # Errors
/// The API server's error.
pub async fn one(cluster: &Cluster, name: &str) -> Result<Option<NamespaceMetadata>, kube::Error> {
    let found = Api::<Namespace>::all(cluster.client.clone()).get_metadata_opt(name).await?;
    Ok(found.as_ref().map(Into::into))
}
