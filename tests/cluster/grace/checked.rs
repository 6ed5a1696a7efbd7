//! `podgate drain-check` before the nodes are drained, and the API server's refusals afterwards.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Namespace};
use crate::support::ran::Ran;
use crate::support::{binary, eventually};

/// Runs `podgate drain-check` on these nodes as jane.
pub fn drain_check(cluster: &Cluster, nodes: &str) -> Ran {
    let kubeconfig = cluster.plane.kubeconfig("jane");
    let args = ["drain-check", nodes, "-o", "json", "--kubeconfig", kubeconfig.to_str().unwrap()];
    Ran::of(&binary::run(&args))
}

/// Lets jane read what `drain-check` reads, and nothing else.
pub fn let_jane_read(cluster: &Cluster) {
    let rules = json!([
        {"apiGroups": [""], "resources": ["nodes", "namespaces", "pods", "replicationcontrollers"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["replicasets", "statefulsets", "daemonsets"], "verbs": ["get", "list"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list"]},
        {"apiGroups": ["devops.stochastic.io"], "resources": ["*"], "verbs": ["get", "list"]},
    ]);
    let rbac = "rbac.authorization.k8s.io";
    let metadata = json!({"name": "drain-check"});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata,
            "subjects": [{"kind": "User", "name": "jane", "apiGroup": rbac}],
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "drain-check"}},
    ]});
    cluster.plane.kubectl(&["create", "-f", "-"]).given(&list).ok();
    let may = ["auth", "can-i", "list", "jobs", "--as=jane", "--all-namespaces"];
    eventually("jane's role", || cluster.plane.kubectl(&may).result());
}

/// A namespace's workloads in a check, with their number of pods in one of its fields, without those that have 0.
pub fn named_by(check: &Value, shop: &Namespace<'_>, field: &str) -> BTreeMap<String, usize> {
    let count = |it: &Value| usize::try_from(it[field].as_u64().unwrap()).unwrap();
    let name =
        |it: &Value| format!("{}/{}", it["kind"].as_str().unwrap(), it["name"].as_str().unwrap());
    let workloads = check["workloads"].as_array().unwrap().iter();
    let workloads = workloads.filter(|it| it["namespace"] == *shop.name);
    workloads.map(|it| (name(it), count(it))).filter(|(_, count)| *count > 0).collect()
}

/// The controllers that the real API server refused a pod, because of podgate.
pub fn refused_controllers(shop: &Namespace<'_>) -> BTreeSet<String> {
    let list = shop.cluster.get(&format!("/api/v1/namespaces/{}/events", shop.name));
    let events =
        list["items"].as_array().unwrap().iter().filter(|it| it["reason"] == "FailedCreate");
    let told = |event: &Value| {
        let (message, about) = (event["message"].as_str().unwrap(), &event["involvedObject"]);
        assert!(message.contains("podgate") && message.contains("denied the request"), "{message}");
        format!("{}/{}", about["kind"].as_str().unwrap(), about["name"].as_str().unwrap())
    };
    events.map(told).collect()
}
