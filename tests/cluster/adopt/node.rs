//! A node whose kubelet runs every pod of a namespace: it binds the pod, says that it is
//! running and ready, and ends it when it is deleted.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::cluster::Namespace;

const NODE: &str = "node-1";
/// Between two looks at the pods.
const INTERVAL: Duration = Duration::from_millis(50);

/// Ends the kubelet when it is dropped.
pub struct Kubelet(Arc<Notify>);

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A node, and its kubelet for the pods of this namespace.
pub fn with_a_kubelet(shop: &Namespace<'_>) -> Kubelet {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    shop.cluster.plane.kubectl(&["apply", "-f", "-"]).given(&node).ok();
    let ended = Arc::new(Notify::new());
    let (client, namespace) = (shop.cluster.client.clone(), shop.name.clone());
    let until = Arc::clone(&ended);
    shop.cluster.spawn(async move {
        tokio::select! {
            () = until.notified() => {}
            () = run_pods(client, &namespace) => {}
        }
    });
    Kubelet(ended)
}

async fn run_pods(client: Client, namespace: &str) {
    let api = Api::<Pod>::namespaced(client, namespace);
    let mut looks = tokio::time::interval(INTERVAL);
    loop {
        looks.tick().await;
        // A pod that is deleted meanwhile is no fault.
        for pod in api.list(&ListParams::default()).await.into_iter().flatten() {
            let name = pod.name_any();
            if pod.metadata.deletion_timestamp.is_some() {
                let _ = api.delete(&name, &DeleteParams::default().grace_period(0)).await;
                continue;
            }
            let conditions = pod.status.iter().flat_map(|it| it.conditions.iter().flatten());
            // The controller of nodes takes it away from pods of a node without a Lease.
            if conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True") {
                continue;
            }
            if pod.spec.is_some_and(|it| it.node_name.is_none()) {
                let target = json!({"apiVersion": "v1", "kind": "Node", "name": NODE});
                let binding = json!({"metadata": {"name": name}, "target": target});
                let params = PostParams::default();
                let _: Result<Value, _> =
                    api.create_subresource("binding", &name, &params, &binding).await;
            }
            let ready = json!([{"type": "Ready", "status": "True"}]);
            let status = json!({"status": {"phase": "Running", "conditions": ready}});
            let _ = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
        }
    }
}
