//! Reaching a cluster: which one, and in whose words it fails. [`list`] reads what it holds, and a
//! [`claim::Claim`] says whether podgate may write to it.

pub mod backoff;
pub mod belongings;
pub mod claim;
mod list;
pub mod one;
#[cfg(test)]
pub(crate) mod script;

pub use list::list;

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Which cluster, as kubectl's flags say it.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// `None` is `$KUBECONFIG`, then `~/.kube/config`, then the pod's own ServiceAccount.
    pub kubeconfig: Option<PathBuf>,
    /// `None` is the kubeconfig's current context.
    pub context: Option<String>,
}

/// Why a cluster cannot be used, as a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cannot read {path}: {source}; check --kubeconfig")]
    File { path: PathBuf, source: kube::config::KubeconfigError },
    #[error("the kubeconfig gives no usable cluster: {0}; check --kubeconfig and --context")]
    Kubeconfig(kube::config::KubeconfigError),
    #[error(
        "there is no kubeconfig that can be read, and this is no pod; set KUBECONFIG or pass --kubeconfig FILE ({0})"
    )]
    None(kube::config::InferConfigError),
    #[error("cannot make a client: {0}")]
    Client(kube::Error),
    #[error(
        "the API server at {url} does not answer: {cause}; check that it runs and that --context names the right cluster"
    )]
    Unreachable { url: String, cause: String },
    #[error("the API server refuses podgate: {0}; ask a cluster admin for that permission")]
    Forbidden(String),
    #[error(
        "the API server does not know who podgate is: {0}; check the credentials in the kubeconfig"
    )]
    Unauthorized(String),
    #[error("the cluster does not serve {0}; install it with: podgate crd install")]
    NotServed(&'static str),
    #[error("the API server answers: {0}")]
    Api(String),
}

/// A client and the address it talks to, for messages.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    url: String,
}

/// Makes a client for a cluster. Nothing is sent yet.
///
/// # Errors
/// There is no configuration for it, or it cannot be used.
pub async fn connect(target: &Target) -> Result<Cluster, ClusterError> {
    let options =
        KubeConfigOptions { context: target.context.clone(), ..KubeConfigOptions::default() };
    let config = if let Some(path) = &target.kubeconfig {
        let file = Kubeconfig::read_from(path)
            .map_err(|source| ClusterError::File { path: path.clone(), source })?;
        Config::from_custom_kubeconfig(file, &options).await.map_err(ClusterError::Kubeconfig)?
    } else if target.context.is_some() {
        Config::from_kubeconfig(&options).await.map_err(ClusterError::Kubeconfig)?
    } else {
        Config::infer().await.map_err(ClusterError::None)?
    };
    let url = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(ClusterError::Client)?;
    Ok(Cluster { client, url })
}

impl Cluster {
    /// Says in a sentence why a call failed.
    pub fn explain(&self, error: kube::Error) -> ClusterError {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => ClusterError::Unauthorized(status.message),
                403 => ClusterError::Forbidden(status.message),
                _ => ClusterError::Api(status.message),
            },
            other => ClusterError::Unreachable { url: self.url.clone(), cause: root_cause(&other) },
        }
    }
}

/// The innermost error: the others only say that something inside failed.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
