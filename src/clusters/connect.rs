//! Connects to the cluster of kubectl's flags and variables.

use std::path::PathBuf;

use kube::Config;

use super::cluster::Cluster;
use super::contexts::Contexts;
use super::error::ClusterError;

/// The cluster that kubectl's flags choose.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// `None` is `$KUBECONFIG`, then `~/.kube/config`, then the pod's own ServiceAccount.
    pub kubeconfig: Option<PathBuf>,
    /// `None` is the kubeconfig's current context.
    pub context: Option<String>,
}

/// Builds a client for a cluster. No request is sent yet.
///
/// # Errors
/// There is no configuration, or it cannot be used.
pub async fn connect(target: &Target) -> Result<Cluster, ClusterError> {
    let contexts = Contexts::read_until_unreadable(target.kubeconfig.as_deref());
    if let Some(name) = target.context.as_ref().or(contexts.current.as_ref()) {
        return contexts.named(name)?.connect().await;
    }
    // With --kubeconfig, the pod's own cluster is never used instead.
    if target.kubeconfig.is_some() && contexts.unread.is_empty() {
        return Err(contexts.no_current());
    }
    match (Config::incluster(), contexts.unread.first()) {
        (Ok(config), unreadable) if unreadable.is_none() || contexts.default_file => {
            let url = config.cluster_url.to_string();
            Cluster::new(config, "in-cluster".to_owned(), url).map_err(ClusterError::Client)
        }
        (_, Some(unreadable)) => Err(unreadable.clone().into()),
        (Err(error), None) if contexts.all.is_empty() => Err(ClusterError::None(error)),
        (_, None) => Err(contexts.no_current()),
    }
}
