//! Many pods of many workloads, created fast. The owner of a workload's pods is a Deployment that is paused and wants no
//! pods, so that the pods are not garbage-collected and its controller does nothing.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

pub const PODS_OF_A_WORKLOAD: usize = 10;
/// Parallel requests.
pub const CLIENTS: usize = 16;

/// The namespace of a workload's pods.
pub fn namespace(workload: usize, namespaces: usize) -> String {
    format!("load-{}", workload % namespaces)
}

/// Creates this number of namespaces.
pub async fn namespaces(client: &Client, count: usize) {
    let names = (0..count).map(|number| namespace(number, count));
    stream::iter(names)
        .for_each_concurrent(CLIENTS, |name| async move { make_namespace(client, &name).await })
        .await;
}

/// Creates a namespace in which pods can be created.
pub async fn make_namespace(client: &Client, name: &str) {
    let api: Api<Namespace> = Api::all(client.clone());
    let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    // Pods are refused before their ServiceAccount exists.
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    while api.get_opt("default").await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates pods `p0`, `p1` and so on; `pod` is the pod of a workload, without a name.
pub async fn pods(
    client: &Client,
    namespaces: usize,
    pods: Range<usize>,
    pod: impl Fn(usize) -> Value,
) {
    let pod = &pod;
    let workloads = pods.clone().filter(|pod| pod % PODS_OF_A_WORKLOAD == 0);
    let owners: Vec<(usize, Value)> = stream::iter(workloads)
        .map(|first| async move {
            let workload = first / PODS_OF_A_WORKLOAD;
            let api: Api<Deployment> =
                Api::namespaced(client.clone(), &namespace(workload, namespaces));
            let name = format!("w{workload}");
            let mut template = pod(workload);
            template["metadata"]["labels"]["workload"] = name.clone().into();
            let object = json!({"metadata": {"name": name}, "spec": {
                "paused": true, "replicas": 0, "template": template,
                "selector": {"matchLabels": {"workload": name}},
            }});
            let object = serde_json::from_value(object).unwrap();
            let owner = api.create(&PostParams::default(), &object).await.unwrap();
            let reference = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name,
                "uid": owner.metadata.uid, "controller": true});
            (workload, reference)
        })
        .buffer_unordered(CLIENTS)
        .collect()
        .await;
    let owners: HashMap<_, _> = owners.into_iter().collect();
    let owners = &owners;
    stream::iter(pods)
        .for_each_concurrent(CLIENTS, |number| async move {
            let workload = number / PODS_OF_A_WORKLOAD;
            let mut object = pod(workload);
            object["metadata"]["name"] = format!("p{number}").into();
            object["metadata"]["ownerReferences"] = json!([owners[&workload]]);
            let api: Api<Pod> = Api::namespaced(client.clone(), &namespace(workload, namespaces));
            let object = serde_json::from_value(object).unwrap();
            api.create(&PostParams::default(), &object).await.unwrap();
        })
        .await;
}
