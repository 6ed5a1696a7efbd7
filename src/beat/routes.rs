//! The routes to the API servers: each of several behind one address is reached by its own, so that one that does not
//! call podgate is not hidden by the others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::Api;

use crate::clusters::Cluster;

/// How often the API servers' addresses are read.
const REFRESH: Duration = Duration::from_mins(1);
/// The most addresses that are used.
const MAX_ROUTES: usize = 16;
/// The `EndpointSlice` in which the API servers announce themselves (`pkg/controlplane/reconcilers` in the Kubernetes
/// sources). A dual-stack cluster announces the addresses of one family.
const NAMESPACE: &str = "default";
const SLICE: &str = "kubernetes";

/// A route to an API server, with its name in messages.
#[derive(Clone)]
pub(super) struct Route {
    pub name: String,
    pub client: Client,
}

pub(super) struct Routes {
    cluster: Cluster,
    known: Vec<(SocketAddr, Client)>,
    refreshed: Option<Instant>,
}

impl Routes {
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, known: Vec::new(), refreshed: None }
    }

    /// The route of all other requests: the kubeconfig's or the pod's address of the cluster.
    pub fn usual(&self) -> Route {
        Route { name: "by its usual address".to_owned(), client: self.cluster.client.clone() }
    }

    /// One route to each API server; the usual route where their addresses are unknown.
    pub async fn each(&mut self) -> Vec<Route> {
        if self.refreshed.is_none_or(|refreshed| refreshed.elapsed() > REFRESH) {
            self.refresh().await;
            self.refreshed = Some(Instant::now());
        }
        if self.known.is_empty() {
            return vec![self.usual()];
        }
        let route = |(address, client): &(SocketAddr, Client)| Route {
            name: address.to_string(),
            client: client.clone(),
        };
        self.known.iter().map(route).collect()
    }

    /// Reads the addresses. If that fails, the known ones stay.
    async fn refresh(&mut self) {
        let slices = Api::<EndpointSlice>::namespaced(self.cluster.client.clone(), NAMESPACE);
        let slice = match slices.get_opt(SLICE).await {
            Ok(slice) => slice.unwrap_or_default(),
            Err(error) => {
                return tracing::debug!(%error, "cannot read the addresses of the API servers");
            }
        };
        let known = std::mem::take(&mut self.known);
        for address in addresses(&slice) {
            let client = known.iter().find(|(it, _)| *it == address).map(|(_, it)| it.clone());
            let client = client.or_else(|| self.cluster.at(address));
            self.known.extend(client.map(|client| (address, client)));
        }
    }
}

/// The addresses of a slice, sorted, without duplicates.
fn addresses(slice: &EndpointSlice) -> Vec<SocketAddr> {
    let https = |name: &str| name == "https" || name.is_empty();
    let ports = slice.ports.iter().flatten();
    let port = ports.filter(|it| https(it.name.as_deref().unwrap_or_default()));
    let mut port = port.filter_map(|it| u16::try_from(it.port?).ok());
    let Some(port) = port.next() else {
        return Vec::new();
    };
    let endpoints = slice.endpoints.iter().flatten();
    let all = endpoints.flat_map(|it| &it.addresses).filter_map(|it| it.parse().ok());
    let mut all: Vec<_> = all.map(|ip| SocketAddr::new(ip, port)).collect();
    all.sort_unstable();
    all.dedup();
    all.truncate(MAX_ROUTES);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_api_server_is_found_once_and_what_is_no_address_is_none() {
        let slice = json!({
            "metadata": {}, "addressType": "IPv4", "ports": [{"name": "https", "port": 6443}],
            "endpoints": [{"addresses": ["10.0.0.2", "10.0.0.1"]}, {"addresses": ["10.0.0.2", "not-one"]}],
        });
        let found = addresses(&serde_json::from_value(slice).unwrap());
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.1:6443", "10.0.0.2:6443"]
        );
        for ports in [
            json!(null),
            json!([]),
            json!([{"name": "other", "port": 1}]),
            json!([{"port": 70000}]),
        ] {
            let slice = json!({"metadata": {}, "addressType": "IPv4", "ports": ports, "endpoints": [{"addresses": ["10.0.0.1"]}]});
            assert!(addresses(&serde_json::from_value(slice).unwrap()).is_empty());
        }
    }
}
