//! Reaching a cluster: which one, and in whose words it fails. [`contexts`] are the clusters there are to reach, and
//! [`side_by_side`] asks several of them.

pub mod contexts;
mod kubeconfig;
mod plugin;
pub mod side_by_side;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config, Resource};

use crate::client::list::list;
use contexts::Contexts;
use kubeconfig::Unread;

/// The name that every API server has in its certificate, since pods call it so.
const API_SERVER: &str = "kubernetes.default.svc";
/// How long one API server of several may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

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
    #[error("cannot read the kubeconfig {path}: {cause}; check KUBECONFIG and --kubeconfig")]
    File { path: PathBuf, cause: String },
    #[error("there is no context in {0}; set KUBECONFIG or pass --kubeconfig FILE")]
    NoContexts(String),
    #[error("there is no context {name:?} in the kubeconfig; there are: {known}")]
    UnknownContext { name: String, known: String },
    #[error("the kubeconfig has no current context; pass --context, one of: {0}")]
    NoCurrentContext(String),
    #[error("context {name} cannot be used: {cause}; check the kubeconfig")]
    Context { name: String, cause: String },
    #[error(
        "there is no kubeconfig that can be read, and this is no pod; set KUBECONFIG or pass --kubeconfig FILE ({0})"
    )]
    None(kube::config::InClusterError),
    #[error("cannot make a client: {0}")]
    Client(kube::Error),
    #[error("cannot start a thread: {0}; ask fewer clusters at once, by --context")]
    Thread(std::io::Error),
    #[error(
        "the API server at {url} did not answer everything within {limit:?}; check that it runs, or give it longer by --timeout"
    )]
    NoAnswer { url: String, limit: Duration },
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

impl From<Unread> for ClusterError {
    fn from(Unread { path, cause }: Unread) -> Self {
        Self::File { path, cause }
    }
}

/// A client and the address it talks to, for messages.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    url: String,
    /// What the client was made of.
    config: Option<Arc<Config>>,
}

/// Makes a client for a cluster. Nothing is sent yet.
///
/// # Errors
/// There is no configuration for it, or it cannot be used.
pub async fn connect(target: &Target) -> Result<Cluster, ClusterError> {
    let contexts = Contexts::certain(target.kubeconfig.as_deref());
    if let Some(name) = target.context.as_ref().or(contexts.current.as_ref()) {
        return contexts.named(name)?.connect().await;
    }
    // A file that was asked for is not passed over for the pod's own cluster.
    if target.kubeconfig.is_some() && contexts.unread.is_empty() {
        return Err(contexts.no_current());
    }
    match (Config::incluster(), contexts.unread.first()) {
        (Ok(config), unread) if unread.is_none() || contexts.unasked => {
            let url = config.cluster_url.to_string();
            let kept = Some(Arc::new(config.clone()));
            let client = Client::try_from(config).map_err(ClusterError::Client)?;
            Ok(Cluster { client, url, config: kept })
        }
        (_, Some(unread)) => Err(unread.clone().into()),
        (Err(error), None) if contexts.all.is_empty() => Err(ClusterError::None(error)),
        (_, None) => Err(contexts.no_current()),
    }
}

impl Cluster {
    /// A client for the one API server at this address, which must have a certificate for `kubernetes.default.svc`. `None`
    /// where none can be made.
    pub fn at(&self, address: SocketAddr) -> Option<Client> {
        let mut config = self.config.as_deref()?.clone();
        config.cluster_url = format!("https://{address}/").parse().ok()?;
        config.tls_server_name = Some(API_SERVER.to_owned());
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        Client::try_from(config).ok()
    }

    /// As [`list()`].
    ///
    /// # Errors
    /// As [`list()`].
    pub async fn list<K: Resource<DynamicType = ()>>(
        &self,
        namespace: Option<&str>,
        selector: Option<&str>,
        each: impl FnMut(&str) + Send,
    ) -> Result<(), kube::Error> {
        list::<K>(&self.client, namespace, selector, each).await
    }

    /// Says in a sentence why a call failed.
    pub fn explain(&self, error: kube::Error) -> ClusterError {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => ClusterError::Unauthorized(status.message),
                403 => ClusterError::Forbidden(status.message),
                _ => ClusterError::Api(status.message),
            },
            other => {
                ClusterError::Unreachable { url: self.url.clone(), cause: contexts::cause(&other) }
            }
        }
    }
}
