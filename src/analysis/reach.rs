//! Whether a cluster answers, which Kubernetes it is, and whether podgate is there: really asked, and nothing judged.

use kube::Resource;
use serde::Serialize;

use crate::api::{API_VERSION, ClusterDevOpsPolicy, DevOpsPolicy};
use crate::clusters::{Cluster, ClusterError};

/// What a cluster that answers says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Reached {
    /// Kubernetes' version, such as `v1.36.1`.
    pub version: String,
    /// Whether podgate's resources are served; null where that may not be asked.
    pub podgate: Option<bool>,
    /// How many policies there are; null where they may not be listed, or are not served.
    pub policies: Option<u64>,
}

/// Asks a cluster who it is.
///
/// # Errors
/// It does not answer, or does not want to.
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
        let own = count::<DevOpsPolicy>(cluster).await?;
        let wide = count::<ClusterDevOpsPolicy>(cluster).await?;
        policies = own.zip(wide).map(|(own, wide)| own + wide);
    }
    Ok(Reached { version, podgate, policies })
}

/// Kubernetes' version.
///
/// # Errors
/// The cluster does not answer, or does not say.
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
