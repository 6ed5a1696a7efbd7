//! Updates that only some objects accept, and updates that hide behind an earlier violation.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::table::{Place, clean_pod, policy};
use crate::admission::enforce;
use crate::support::cluster::Cluster;
use crate::support::manifests::{in_pod, pod, workload};
use crate::support::wire::{Run, Write};

const RESIZE: &str = "web/resize";

/// The labels and resources of a suspended Job's template may change until it starts.
pub fn a_suspended_job_is_judged_by_what_its_template_becomes(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy("matrix", &enforce(&policy()));
    let mut job = workload(Kind::Job, clean_pod());
    job["spec"]["suspend"] = json!(true);
    job["spec"]["template"]["metadata"]["labels"]["team"] = json!("cart");
    shop.create(&job).unwrap();
    for place in [Place::InitLimit, Place::SidecarLimit, Place::AppLimit, Place::Label] {
        let job_with = |clean: bool| {
            let change = in_pod(Kind::Job, place.change(clean));
            shop.write(Run::Dry, Write::StrategicPatch, Kind::Job, "web", &change)
        };
        let path = format!("spec.template.{}", place.path());
        job_with(false).rejection().because(&["Job ", " breaks 1 rule", &path]);
        job_with(true).object();
    }
}

/// The pod-level limit applies to its containers, which have none.
pub fn a_resize_of_the_whole_pod_is_judged_in_its_containers(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy("matrix", &enforce(&policy()));
    let memory =
        |amount: &str| json!({"limits": {"memory": amount}, "requests": {"memory": amount}});
    let mut whole = workload(Kind::Pod, pod("nginx:1.29"));
    whole["metadata"]["labels"] = json!({"team": "cart"});
    whole["spec"]["resources"] = memory("64Mi");
    whole["spec"]["resources"]["requests"]["cpu"] = json!("10m");
    shop.create(&whole).unwrap();
    let resize = |amount: &str| {
        let change = json!({"spec": {"resources": memory(amount)}});
        shop.write(Run::Dry, Write::MergePatch, Kind::Pod, RESIZE, &change)
    };
    resize("0").rejection().because(&["spec.containers[0].resources.limits.memory is missing"]);
    resize("48Mi").object();
}

/// A zero CPU limit once hid a zero memory limit: same value, same container, same rule.
pub fn an_old_violation_is_no_pass_for_the_same_value_in_another_field(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let resources = |cpu: &str, memory: &str| {
        let limits = json!({"cpu": cpu, "memory": memory});
        json!({"limits": limits, "requests": {"cpu": cpu, "memory": memory}})
    };
    let mut before = pod("nginx:1.29");
    before["containers"][0]["resources"] = resources("0", "64Mi");
    shop.create(&workload(Kind::Pod, before)).unwrap();
    let rules = json!({"forbidLatestTag": true, "requireResourceLimits": ["cpu", "memory"]});
    shop.policy("matrix", &enforce(&rules));
    let resize = |cpu: &str, memory: &str| {
        let change =
            json!({"spec": {"containers": [{"name": "web", "resources": resources(cpu, memory)}]}});
        shop.write(Run::Dry, Write::StrategicPatch, Kind::Pod, RESIZE, &change)
    };
    resize("0", "48Mi").object();
    // A pod without any limit would have another QoS class, so the resize sets a CPU limit.
    resize("10m", "0")
        .rejection()
        .because(&["breaks 1 rule", "spec.containers[0].resources.limits.memory is \"0\""]);
}

/// podgate admits a mirror pod only from the kubelet of its node, and judges any other as an ordinary pod. The API
/// server does not let a running pod become a mirror pod, or stop being one.
pub fn a_pod_can_neither_become_a_mirror_pod_nor_stop_being_one(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "a-hash"}}});
    let mirroring = |kind: Kind, mut object: Value, node: &str| {
        json_patch::merge(&mut object, &in_pod(kind, mirror.clone()));
        let place = json!({"spec": {"nodeName": node}});
        json_patch::merge(&mut object, &in_pod(kind, place));
        object
    };
    let pod_on = |node: &str| mirroring(Kind::Pod, workload(Kind::Pod, pod("nginx")), node);
    let post = |kind: Kind, object: &Value| shop.write(Run::Real, Write::Post, kind, "", object);
    let merge = |name: &str, patch: &Value| {
        shop.write(Run::Real, Write::MergePatch, Kind::Pod, name, patch)
    };

    post(Kind::Pod, &pod_on("a-node")).object();
    shop.policy("matrix", &enforce(&json!({"forbidLatestTag": true})));
    let mut later = pod_on("a-node");
    later["metadata"]["name"] = json!("later");
    post(Kind::Pod, &later).rejection();
    // Templates do not create mirror pods.
    let deployment = workload(Kind::Deployment, pod("nginx"));
    post(Kind::Deployment, &mirroring(Kind::Deployment, deployment, "a-node")).rejection();
    // A mirror pod is not scheduled.
    assert!(post(Kind::Pod, &pod_on("")).message().contains("must set spec.nodeName"));

    let mut clean = pod_on("a-node");
    clean["metadata"] = json!({"name": "another"});
    clean["spec"]["containers"][0]["image"] = json!("nginx:1.29");
    post(Kind::Pod, &clean).object();
    assert!(merge("another", &mirror).message().contains("may not add mirror pod annotation"));
    let none = json!({"metadata": {"annotations": null}});
    assert!(
        merge("web", &none).message().contains("may not remove or update mirror pod annotation")
    );
}
