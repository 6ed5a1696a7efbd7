//! A node as the control plane sees it: an object with the condition Ready, and a Lease that is renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::runtime::Runtime;

use super::super::netns::Network;
use super::status::now;
use crate::support::eventually;

const LEASES: &str = "kube-node-lease";
/// The controller treats a node as gone when its Lease is older than 50 s; kubelets renew every 10 s.
const HEARTBEAT: Duration = Duration::from_secs(5);

pub struct Node {
    pub name: String,
    /// The network of pods with `hostNetwork`.
    pub network: Network,
    heartbeats: Arc<(AtomicU64, AtomicU64)>,
}

impl Node {
    pub fn new(number: u16) -> Self {
        let network = Network::new(10 + number);
        Self { name: format!("node-{number}"), network, heartbeats: Arc::default() }
    }

    pub async fn register(&self, client: &Client) {
        let api: Api<NodeObject> = Api::all(client.clone());
        let (name, zone) = (&self.name, format!("zone-{}", self.name));
        let object = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": zone,
            }},
        });
        let params = PatchParams::apply("kubelet");
        api.patch(name, &params, &Patch::Apply(object)).await.unwrap();
        let size =
            json!({"cpu": "64", "memory": "256Gi", "ephemeral-storage": "256Gi", "pods": "5000"});
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "reason": "Played", "message": "",
                "lastHeartbeatTime": now(), "lastTransitionTime": now()})
        };
        let status = json!({"status": {
            "capacity": size,
            "allocatable": size,
            "addresses": [{"type": "InternalIP", "address": self.network.address}, {"type": "Hostname", "address": name}],
            "conditions": [
                condition("Ready", "True"),
                condition("MemoryPressure", "False"),
                condition("DiskPressure", "False"),
                condition("PIDPressure", "False"),
            ],
        }});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    /// Renews the node's Lease for ever.
    pub fn heartbeat(&self, client: Client) -> impl Future<Output = ()> + use<> {
        let (name, heartbeats) = (self.name.clone(), Arc::clone(&self.heartbeats));
        async move {
            let api: Api<Lease> = Api::namespaced(client, LEASES);
            loop {
                let lease = json!({
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": name},
                    "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now()},
                });
                let params = PatchParams::apply("kubelet");
                let renewed = api.patch(&name, &params, &Patch::Apply(lease)).await;
                if let Err(error) = &renewed {
                    eprintln!("kubelet: the lease of {name}: {error}");
                }
                let count = if renewed.is_ok() { &heartbeats.0 } else { &heartbeats.1 };
                count.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(HEARTBEAT).await;
            }
        }
    }

    pub fn heartbeats(&self) -> (u64, u64) {
        (self.heartbeats.0.load(Ordering::SeqCst), self.heartbeats.1.load(Ordering::SeqCst))
    }

    /// Waits until the controllers have removed the taints of a new node.
    pub fn wait_until_schedulable(&self, runtime: &Runtime, client: &Client) {
        let api: Api<NodeObject> = Api::all(client.clone());
        eventually("the node to have no taints", || {
            let node = runtime.block_on(api.get(&self.name)).map_err(|it| it.to_string())?;
            let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
            if taints.is_empty() { Ok(()) } else { Err(format!("{taints:?}")) }
        });
    }
}
