//! The routes to the API servers: each of several behind one address is reached by its own, so that one that does not
//! call podgate is not hidden by the others.
//!
//! An API server that is down says nothing. One that does not answer podgate, but announces itself, is cut off from
//! podgate: it may well answer others, and not call podgate.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::Api;

use crate::clusters::Cluster;

/// How long reading the API servers' addresses from one of them may take.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an API server that announces itself may be silent. The address of one that is down is removed after at most
/// 25 s: it lives for 15 s, and the others look every 10 s (`pkg/controlplane/instance.go` in the Kubernetes sources).
const SILENT: Duration = Duration::from_secs(30);
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
    /// The API server's own address; `None` for the usual route.
    pub address: Option<SocketAddr>,
}

pub(super) struct Routes {
    cluster: Cluster,
    known: Vec<(SocketAddr, Client)>,
    /// Since when API servers have not answered, although another did.
    silent: BTreeMap<SocketAddr, Instant>,
}

impl Routes {
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster, known: Vec::new(), silent: BTreeMap::new() }
    }

    /// The route of all other requests: the kubeconfig's or the pod's address of the cluster.
    pub fn usual(&self) -> Route {
        let client = self.cluster.client.clone();
        Route { name: "by its usual address".to_owned(), client, address: None }
    }

    /// One route to each API server that announces itself now; the usual route where their addresses are unknown.
    pub async fn each(&mut self) -> Vec<Route> {
        self.refresh().await;
        if self.known.is_empty() {
            return vec![self.usual()];
        }
        let route = |(address, client): &(SocketAddr, Client)| Route {
            name: address.to_string(),
            client: client.clone(),
            address: Some(*address),
        };
        self.known.iter().map(route).collect()
    }

    /// Remembers which routes answered at this time, and names an API server that is cut off from podgate. Where none
    /// answers by its own address, podgate cannot reach these at all, and that says nothing.
    pub fn cut_off<'r>(
        &mut self,
        answered: impl Iterator<Item = (&'r Route, bool)>,
        now: Instant,
    ) -> Option<String> {
        cut_off(&mut self.silent, answered, now)
    }

    /// Reads the addresses. If that fails, the known ones stay.
    async fn refresh(&mut self) {
        let answering = self.known.iter().filter(|(it, _)| !self.silent.contains_key(it));
        let clients = answering.map(|(_, client)| client).chain([&self.cluster.client]);
        let mut read = None;
        for client in clients {
            let slices = Api::<EndpointSlice>::namespaced(client.clone(), NAMESPACE);
            match tokio::time::timeout(READ_TIMEOUT, slices.get_opt(SLICE)).await {
                Ok(Ok(slice)) => {
                    read = Some(slice.unwrap_or_default());
                    break;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "cannot read the addresses of the API servers");
                }
                Err(_) => tracing::debug!("no answer with the addresses of the API servers"),
            }
        }
        let Some(slice) = read else { return };
        let known = std::mem::take(&mut self.known);
        let announced = addresses(&slice);
        self.silent.retain(|it, _| announced.contains(it));
        for address in announced {
            let client = known.iter().find(|(it, _)| *it == address).map(|(_, it)| it.clone());
            let client = client.or_else(|| self.cluster.at(address));
            self.known.extend(client.map(|client| (address, client)));
        }
    }
}

/// As [`Routes::cut_off`].
fn cut_off<'r>(
    silent: &mut BTreeMap<SocketAddr, Instant>,
    answered: impl Iterator<Item = (&'r Route, bool)>,
    now: Instant,
) -> Option<String> {
    let answered: Vec<_> = answered.filter_map(|(route, it)| Some((route.address?, it))).collect();
    if !answered.iter().any(|(_, it)| *it) {
        silent.clear();
        return None;
    }
    for (address, answered) in answered {
        if answered {
            silent.remove(&address);
        } else {
            silent.entry(address).or_insert(now);
        }
    }
    let cut_off = silent.iter().find(|(_, since)| now.duration_since(**since) >= SILENT);
    cut_off.map(|(address, _)| address.to_string())
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
    use crate::client::script::Script;

    #[tokio::test]
    async fn an_api_server_that_announces_itself_and_is_silent_for_half_a_minute_is_cut_off() {
        let route = |address: &str| Route {
            name: address.to_owned(),
            client: Script::default().client(),
            address: address.parse().ok(),
        };
        let (one, other, usual) = (route("10.0.0.1:6443"), route("10.0.0.2:6443"), route("usual"));
        let mut silent = BTreeMap::new();
        let start = Instant::now();
        let mut after = |seconds: u64, answered: &[(&Route, bool)]| {
            let answered = answered.iter().map(|(route, it)| (*route, *it));
            cut_off(&mut silent, answered, start + Duration::from_secs(seconds))
        };
        assert_eq!(after(0, &[(&one, true), (&other, false)]), None);
        assert_eq!(after(29, &[(&one, true), (&other, false)]), None);
        let found = after(30, &[(&one, true), (&other, false)]);
        assert_eq!(found.as_deref(), Some("10.0.0.2:6443"));
        assert_eq!(after(31, &[(&one, true), (&other, true)]), None, "it answers again");
        assert_eq!(after(70, &[(&one, true), (&other, false)]), None);
        assert_eq!(after(99, &[(&one, false), (&other, false), (&usual, true)]), None);
        assert_eq!(after(101, &[(&one, true), (&other, false)]), None, "it begins anew");
    }

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
