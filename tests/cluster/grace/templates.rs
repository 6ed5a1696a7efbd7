//! Templates that change in the grace of a policy, and after it.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::node::{self, Running};
use super::{ENDED, LASTS, Tenant, account, denied, enforce, named, refused};
use crate::support::cluster::{Cluster, Namespace};
use crate::support::eventually;
use crate::support::manifests::{in_pod, pod, workload};
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    an_old_violator_is_restarted_and_updated_until_the_grace_ends,
    the_templates_of_every_kind_keep_what_they_violate_and_take_nothing_new,
    a_rollback_by_the_deployment_controller_brings_no_violation_back,
];

const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

/// Beside `forbidLatestTag`. The pods have no probes, whatever the version of their image.
fn rules() -> Value {
    json!({"requireLivenessProbe": true, "podSecurity": "baseline"})
}

/// kubectl's names of the workloads.
fn targets() -> Vec<String> {
    KINDS.map(|kind| format!("{}/web", kind.names().resource)).into()
}

fn an_old_violator_is_restarted_and_updated_until_the_grace_ends(cluster: &Cluster) {
    let shop = cluster.namespace("updated");
    for kind in KINDS {
        let mut object = named(kind, "web", pod("nginx:1.28"));
        let labels = json!({"app": kind.names().resource});
        object["spec"]["selector"]["matchLabels"] = labels.clone();
        object["spec"]["template"]["metadata"]["labels"] = labels;
        shop.create(&object).unwrap();
    }
    let count = 2 + node::NODES.len();
    let old = node::until(&shop, "the old pods", |pods| pods.len() == count);
    enforce(&shop, &rules(), LASTS);
    let tina = Tenant::of(&shop);
    let all = targets();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let told = [
        format!("podgate: denied from {LASTS} on (graceUntil of policy {}/own)", shop.name),
        "podgate: requireLivenessProbe (medium) web".to_owned(),
    ];

    let restarted = tina.kubectl(&[&["rollout", "restart"], &all[..]].concat()).unwrap();
    assert!(told.iter().all(|it| restarted.contains(it)), "{restarted}");
    let new = replaced(&shop, &old, "nginx:1.28");

    let updated =
        tina.kubectl(&[&["set", "image"], &all[..], &["web=nginx:1.29"]].concat()).unwrap();
    assert!(told.iter().all(|it| updated.contains(it)), "{updated}");
    replaced(&shop, &new, "nginx:1.29");

    let port = json!([{"containerPort": 80, "hostPort": 80}]);
    for target in &all {
        for (image, ports, why) in [
            ("nginx", json!([]), "image is \"nginx\""),
            ("nginx:1.30", port.clone(), "hostPort is 80"),
        ] {
            let container = json!({"name": "web", "image": image, "ports": ports});
            let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
            let patched = tina.kubectl(&["patch", target, "-p", &patch.to_string()]);
            let denied = denied(patched).because(&["breaks 1 rule", why]);
            assert!(!denied.message.contains("livenessProbe"), "{}", denied.message);
        }
    }

    enforce(&shop, &rules(), ENDED);
    for target in &all {
        for args in
            [["rollout", "restart", target].as_slice(), &["set", "image", target, "web=nginx:1.30"]]
        {
            denied(tina.kubectl(args)).because(&["requireLivenessProbe"]);
        }
    }
}

/// Waits until pods with this image have taken the place of all old ones.
fn replaced(shop: &Namespace<'_>, old: &[Running], image: &str) -> Vec<Running> {
    node::until(shop, "the new pods", |pods| {
        let is_new = |pod: &Running| old.iter().all(|it| it.uid != pod.uid) && pod.image == image;
        pods.len() == old.len() && pods.iter().all(is_new)
    })
}

fn the_templates_of_every_kind_keep_what_they_violate_and_take_nothing_new(cluster: &Cluster) {
    let shop = cluster.namespace("templates");
    // The template of a Job cannot be changed.
    let kinds = Kind::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Pod | Kind::Job));
    let kinds: Vec<_> = kinds.collect();
    for kind in &kinds {
        shop.create(&workload(*kind, pod("nginx:1.28"))).unwrap();
    }
    let patched = |kind: Kind, container: Value| {
        shop.patch(kind, "web", &in_pod(kind, json!({"spec": {"containers": [container]}})))
    };
    // A run of a CronJob needs no probes.
    let limits = json!({"requireResourceLimits": ["memory"]});
    enforce(&shop, &limits, LASTS);
    for kind in &kinds {
        patched(*kind, json!({"name": "web", "image": "nginx:1.29"})).unwrap();
        let another = json!({"name": "other", "image": "nginx:1.29"});
        let denied = patched(*kind, another).unwrap_err().because(&["breaks 1 rule", "\"other\""]);
        assert!(!denied.message.contains("\"web\""), "{}", denied.message);
        let worse = json!({"name": "web", "image": "nginx"});
        patched(*kind, worse).unwrap_err().because(&["breaks 1 rule", "image is \"nginx\""]);
    }
    enforce(&shop, &limits, ENDED);
    for kind in &kinds {
        let next = patched(*kind, json!({"name": "web", "image": "nginx:1.30"})).unwrap_err();
        next.because(&["requireResourceLimits"]);
        shop.patch(*kind, "web", &json!({"metadata": {"labels": {"team": "shop"}}})).unwrap();
    }
}

/// The annotation `deprecated.deployment.rollback.to` makes the Deployment controller write an old template into the
/// Deployment.
fn a_rollback_by_the_deployment_controller_brings_no_violation_back(cluster: &Cluster) {
    let shop = cluster.namespace("rolled");
    let versions = |name: &str, before: &str, now: &str| {
        let mut deployment = named(Kind::Deployment, name, pod(before));
        shop.create(&deployment).unwrap();
        let revision = |revision: &'static str| {
            shop.awaits("the revision", Kind::Deployment, name, |it| {
                let annotations = it.metadata.annotations.as_ref();
                annotations.and_then(|it| it.get("deployment.kubernetes.io/revision"))
                    == Some(&revision.to_owned())
            });
        };
        revision("1");
        deployment["spec"]["template"]["spec"] = pod(now);
        shop.patch(Kind::Deployment, name, &json!({"spec": deployment["spec"]})).unwrap();
        revision("2");
    };
    versions("worse", "nginx:latest", "nginx:1.29");
    versions("same", "nginx:1.28", "nginx:1.29");
    enforce(&shop, &rules(), LASTS);
    let asked = json!({"metadata": {"annotations": {"deprecated.deployment.rollback.to": "1"}}});
    for name in ["worse", "same"] {
        shop.patch(Kind::Deployment, name, &asked).unwrap();
    }
    let image = |name: &str| {
        let it = super::current(&shop, Kind::Deployment, name);
        it.data["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    };
    eventually("the rollback that keeps old violations", || {
        let image = image("same");
        if image == "nginx:1.28" { Ok(()) } else { Err(image) }
    });
    let path = format!("namespaces/{}/deployments/worse", shop.name);
    eventually("the refusal of the other rollback", || {
        let refused = refused(cluster, &account("deployment-controller"), &path);
        if refused > 0 { Ok(()) } else { Err("it was not refused".to_owned()) }
    });
    assert_eq!(image("worse"), "nginx:1.29");
}
