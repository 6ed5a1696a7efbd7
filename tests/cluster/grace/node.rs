//! Nodes without a kubelet, and what a kubelet would do to their pods: start them, and end those that are deleted.

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, EvictParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Namespace};
use crate::support::eventually;

/// The nodes' names.
pub const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
/// The number of parallel requests.
const AT_A_TIME: usize = 24;

/// Creates the nodes, as kubelets would.
pub fn create(cluster: &Cluster) {
    let resources = json!({"cpu": "64", "memory": "64Gi", "pods": "500"});
    let ready = json!({"type": "Ready", "status": "True", "reason": "Test", "message": ""});
    let nodes = NODES.map(|name| {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"capacity": resources, "allocatable": resources, "conditions": [ready]},
        })
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": nodes});
    cluster.plane.kubectl(&["create", "-f", "-"]).given(&list).ok();
}

/// A pod of a workload.
#[derive(Clone, Debug)]
pub struct Running {
    pub name: String,
    pub uid: String,
    pub node: String,
    /// `KIND/NAME` of the controller.
    pub controller: String,
    /// `KIND/NAME` of the workload: of the Deployment behind a ReplicaSet.
    pub workload: String,
    pub image: String,
}

/// The pods of a namespace that run, after one turn of the kubelets.
pub fn running(shop: &Namespace<'_>) -> Vec<Running> {
    let api: Api<Pod> = Api::namespaced(shop.cluster.client.clone(), &shop.name);
    let mut list = shop.cluster.get(&format!("/api/v1/namespaces/{}/pods", shop.name));
    let pods: Vec<Value> = serde_json::from_value(list["items"].take()).unwrap();
    let is = |pod: &Value, phase: &str| pod["status"]["phase"] == phase;
    let is_deleted = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
    let is_bound = |pod: &Value| !pod["spec"]["nodeName"].is_null();
    let work = stream::iter(pods.iter().filter(|it| is_bound(it))).for_each_concurrent(
        AT_A_TIME,
        |pod| {
            let (api, name) = (api.clone(), text(&pod["metadata"]["name"]));
            async move {
                // A pod may be gone by now.
                if is_deleted(pod) {
                    drop(api.delete(&name, &DeleteParams::default().grace_period(0)).await);
                } else if is(pod, "Pending") {
                    let ready = json!({"status": {"phase": "Running", "conditions": [
                        {"type": "Ready", "status": "True", "lastTransitionTime": pod["metadata"]["creationTimestamp"]},
                    ]}});
                    let patch = Patch::Strategic(&ready);
                    drop(api.patch_status(&name, &PatchParams::default(), &patch).await);
                }
            }
        },
    );
    shop.cluster.wait(work);
    pods.iter().filter(|it| is(it, "Running") && !is_deleted(it)).map(read).collect()
}

fn read(pod: &Value) -> Running {
    let metadata = &pod["metadata"];
    let owner = &metadata["ownerReferences"][0];
    let (kind, name) = (text(&owner["kind"]), text(&owner["name"]));
    let hash = metadata["labels"]["pod-template-hash"].as_str();
    let deployment = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
    Running {
        name: text(&metadata["name"]),
        uid: text(&metadata["uid"]),
        node: text(&pod["spec"]["nodeName"]),
        workload: match deployment {
            Some(deployment) => format!("Deployment/{deployment}"),
            None => format!("{kind}/{name}"),
        },
        controller: format!("{kind}/{name}"),
        image: text(&pod["spec"]["containers"][0]["image"]),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Waits until the pods that run satisfy a condition.
pub fn until(
    shop: &Namespace<'_>,
    what: &str,
    condition: impl Fn(&[Running]) -> bool,
) -> Vec<Running> {
    let (pods, _) = eventually(what, || {
        let pods = running(shop);
        if condition(&pods) { Ok(pods) } else { Err(format!("{pods:?}")) }
    });
    pods
}

/// Evicts pods, as `kubectl drain` does. They go with the next turn of the kubelets.
pub fn evict(shop: &Namespace<'_>, pods: &[&Running]) {
    let api: Api<Pod> = Api::namespaced(shop.cluster.client.clone(), &shop.name);
    let evictions = stream::iter(pods).for_each_concurrent(AT_A_TIME, |pod| {
        let api = api.clone();
        async move {
            let evicted = api.evict(&pod.name, &EvictParams::default()).await;
            evicted.unwrap_or_else(|error| panic!("{} cannot be evicted: {error}", pod.name));
        }
    });
    shop.cluster.wait(evictions);
}
