//! What existed before the policy: it takes every change but a new violation.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::manifests::{pod, workload};
use crate::{Test, enforce};

pub const TESTS: &[Test] = &[
    (
        "a_violating_deployment_from_before_takes_labels_and_scale_but_no_violating_change",
        update_of_template,
    ),
    ("a_violating_pod_from_before_takes_labels_but_no_new_violation", update_of_pod),
];

fn update_of_template(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.create(&workload(Kind::Deployment, pod("nginx"))).unwrap();
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    let patch = |patch: Value| shop.patch(Kind::Deployment, "web", &patch);
    patch(json!({"metadata": {"labels": {"team": "cart"}}})).unwrap();
    patch(json!({"spec": {"replicas": 3}})).unwrap();
    let image = |image: &str| json!({"spec": {"template": {"spec": pod(image)}}});
    patch(image("redis"))
        .unwrap_err()
        .because(&["spec.template.spec.containers[0].image is \"redis\""]);
    // The same violation in a template that changes is judged whole.
    patch(json!({"spec": {"template": {"metadata": {"labels": {"new": "label"}}}}})).unwrap_err();
    patch(image("nginx:1.29")).unwrap();
}

fn update_of_pod(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.create(&workload(Kind::Pod, pod("nginx"))).unwrap();
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop.patch(Kind::Pod, "web", &json!({"metadata": {"labels": {"team": "cart"}}})).unwrap();
    let image = |image: &str| json!({"spec": pod(image)});
    shop.patch(Kind::Pod, "web", &image("redis")).unwrap_err().because(&["is \"redis\""]);
    shop.patch(Kind::Pod, "web", &image("nginx:1.29")).unwrap();
    shop.patch(Kind::Pod, "web", &image("nginx")).unwrap_err();
    // A debug container comes in by a subresource of its own.
    let debug = |image: &str| {
        let containers = json!([{"name": "debug", "image": image}]);
        shop.patch_ephemeral_containers(
            "web",
            &json!({"spec": {"ephemeralContainers": containers}}),
        )
    };
    debug("busybox").unwrap_err().because(&["spec.ephemeralContainers[0].image is \"busybox\""]);
    debug("busybox:1.37").unwrap();
}
