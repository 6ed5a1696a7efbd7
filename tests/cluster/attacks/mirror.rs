//! Pods that claim to be mirror pods of a kubelet.

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::attacks::objects::enforce;
use crate::support::cluster::{Cluster, Namespace, client};
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Trials, trials};
use crate::support::wire::{Run, Write};

pub const TRIALS: Trials<Cluster> = trials![
    only_a_nodes_own_kubelet_shows_its_static_pods,
    a_pod_that_claims_to_be_a_mirror_is_judged_when_it_changes,
];

const MARK: &str = "kubernetes.io/config.mirror";

/// A mirror pod as a kubelet writes it, of a node.
fn mirror(node: &str) -> Value {
    let mut object = workload(Kind::Pod, pod("nginx"));
    object["metadata"]["annotations"] = json!({MARK: "a-hash"});
    let owner =
        json!({"apiVersion": "v1", "kind": "Node", "name": node, "uid": "u", "controller": true});
    object["metadata"]["ownerReferences"] = json!([owner]);
    object["spec"]["nodeName"] = json!(node);
    object
}

/// Creates a pod as another user, by dry run; returns the created pod or the refusal.
fn create_as(
    shop: &Namespace<'_>,
    user: &str,
    groups: &[&str],
    object: &Value,
) -> Result<Value, String> {
    let kubeconfig = shop.cluster.plane.kubeconfig_in(user, groups);
    let pods = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Pod"), "pods");
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let created = shop.cluster.wait(async {
        let client = client(&kubeconfig).await;
        let api = Api::<DynamicObject>::namespaced_with(client, &shop.name, &pods);
        api.create(&params, &object).await
    });
    created.map(|it| it.data).map_err(|error| error.to_string())
}

fn only_a_nodes_own_kubelet_shows_its_static_pods(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let rules = json!({"mutate": true, "defaultResources": {"memoryLimit": "64Mi"}});
    shop.policy("baseline", &enforce(&rules));
    let nodes: &[&str] = &["system:nodes"];
    let shown = create_as(&shop, "system:node:mirror-a", nodes, &mirror("mirror-a")).unwrap();
    let resources = &shown["spec"]["containers"][0]["resources"];
    assert_eq!(resources, &json!({}), "a running pod is not completed");

    let mut no_mark = mirror("mirror-a");
    no_mark["metadata"]["annotations"] = json!({});
    let mut no_owner = mirror("mirror-a");
    no_owner["metadata"]["ownerReferences"] = json!([]);
    let mut no_controller = mirror("mirror-a");
    no_controller["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    let mut other_owner = mirror("mirror-a");
    other_owner["metadata"]["ownerReferences"][0]["name"] = json!("mirror-b");
    let masters: &[&str] = &["system:masters"];
    for (what, user, groups, object) in [
        ("an admin", "mirror-admin", masters, mirror("mirror-a")),
        ("an admin who is called like the node", "mirror-a", masters, mirror("mirror-a")),
        ("another node's kubelet", "system:node:mirror-b", nodes, mirror("mirror-a")),
        ("a pod without the mark", "system:node:mirror-a", nodes, no_mark),
        ("a pod of nobody", "system:node:mirror-a", nodes, no_owner),
        ("an owner that does not control it", "system:node:mirror-a", nodes, no_controller),
        ("another node as its owner", "system:node:mirror-a", nodes, other_owner),
    ] {
        let refusal = create_as(&shop, user, groups, &object).expect_err(what);
        assert!(refusal.contains("forbidLatestTag (high)"), "{what}: {refusal}");
    }
}

fn a_pod_that_claims_to_be_a_mirror_is_judged_when_it_changes(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    // The garbage collector would delete a pod whose owner does not exist.
    let mut claiming = mirror("mirror-c");
    claiming["metadata"]["ownerReferences"] = json!([]);
    shop.create(&claiming).unwrap();
    shop.policy("baseline", &enforce(&json!({})));
    let patch = |patch: Value| {
        shop.write(Run::Real, Write::StrategicPatch, Kind::Pod, "web", &patch).verdict()
    };
    patch(json!({"metadata": {"labels": {"team": "cart"}}})).unwrap();
    patch(json!({"spec": pod("redis")})).unwrap_err().because(&["is \"redis\""]);
    patch(json!({"spec": pod("nginx:1.29")})).unwrap();
}
