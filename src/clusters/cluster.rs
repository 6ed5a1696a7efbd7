//! A client for one cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config, Resource};

use super::error::{ClusterError, cause};
use crate::client::compact::compact;
use crate::client::list::list;

/// A DNS name that every API server's certificate has, because pods use it.
const API_SERVER: &str = "kubernetes.default.svc";
/// How long connecting to one of several API servers may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A client for a cluster, with the API server's address for messages.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// Its context in the kubeconfig, or `in-cluster`.
    pub name: String,
    url: String,
    /// The client's configuration.
    config: Arc<Config>,
}

impl Cluster {
    /// # Errors
    /// The configuration cannot be used.
    pub(super) fn new(config: Config, name: String, url: String) -> Result<Self, kube::Error> {
        let kept = Arc::new(config.clone());
        Ok(Self { client: Client::try_from(config)?, name, url, config: kept })
    }

    /// A client for the API server at one address, whose certificate must be valid for `kubernetes.default.svc`. `None`
    /// if the client cannot be built.
    pub fn at(&self, address: SocketAddr) -> Option<Client> {
        let mut config = (*self.config).clone();
        config.cluster_url = format!("https://{address}/").parse().ok()?;
        config.tls_server_name = Some(API_SERVER.to_owned());
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        Client::try_from(config).ok()
    }

    /// The same cluster with a client for pods and workloads alone; see [`compact()`].
    pub fn compact(&self) -> Self {
        Self { client: compact(&self.client), ..self.clone() }
    }

    /// Lists objects; see [`list()`].
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

    /// Explains why a request failed.
    pub fn explain(&self, error: kube::Error) -> ClusterError {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => ClusterError::Unauthorized(status.message),
                403 => ClusterError::Forbidden(status.message),
                _ => ClusterError::Api(status.message),
            },
            other => ClusterError::Unreachable { url: self.url.clone(), cause: cause(&other) },
        }
    }
}
