//! Reads a cluster's version, whether podgate is installed there, and how many policies it has; judges no pods.

use kube::Resource;
use serde::Serialize;

use crate::api::{API_VERSION, ClusterDevOpsPolicy, DevOpsPolicy};
use crate::clusters::{Cluster, ClusterError};

/// A cluster whose API server answers.
#[derive(Clone, Debug, Serialize)]
pub struct Reached {
    /// The Kubernetes version, such as `v1.36.1`.
    pub version: String,
    /// Whether the API server serves podgate's resources; null if the user may not ask.
    pub podgate: Option<bool>,
    /// How many policies the cluster has; null if they are not served or the user may not list them.
    pub policies: Option<u64>,
}

/// Sends the requests.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn reach(cluster: &Cluster) -> Result<Reached, ClusterError> {
    let version = version(cluster).await?;
    let podgate = match cluster.client.list_api_group_resources(API_VERSION).await {
        Ok(_) => Some(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Some(false),
        Err(kube::Error::Api(status)) if status.code == 403 => None,
        Err(error) => return Err(cluster.explain(error)),
    };
    let mut policies = None;
    if podgate == Some(true) {
        let namespaced = count::<DevOpsPolicy>(cluster).await?;
        let cluster_scoped = count::<ClusterDevOpsPolicy>(cluster).await?;
        policies = namespaced.zip(cluster_scoped).map(|(a, b)| a + b);
    }
    Ok(Reached { version, podgate, policies })
}

/// The Kubernetes version of a cluster.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn version(cluster: &Cluster) -> Result<String, ClusterError> {
    let version = cluster.client.apiserver_version().await;
    version.map(|it| it.git_version).map_err(|error| cluster.explain(error))
}

async fn count<K: Resource<DynamicType = ()>>(
    cluster: &Cluster,
) -> Result<Option<u64>, ClusterError> {
    let mut count = 0;
    match cluster.list::<K>(None, None, |_| count += 1).await {
        Ok(()) => Ok(Some(count)),
        Err(kube::Error::Api(status)) if [403, 404].contains(&status.code) => Ok(None),
        Err(error) => Err(cluster.explain(error)),
    }
}
