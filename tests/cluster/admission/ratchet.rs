//! Objects that are older than the policy: they accept every change except a new violation, and can always be deleted.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::admission::enforce;
use crate::support::cluster::{Cluster, Namespace, Rejection};
use crate::support::eventually;
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Trials, trials};
use crate::support::wire::{Reply, Run, Write, unversioned};

pub const TRIALS: Trials<Cluster> = trials![
    a_violating_deployment_from_before_takes_labels_and_scale_but_no_violating_change,
    a_violating_pod_from_before_takes_labels_but_no_new_violation,
    a_terminating_deployment_takes_no_violating_template_and_still_goes,
    a_terminating_pod_takes_no_new_violation_and_still_goes,
];

const HELD: &str = "example.com/held";

/// The test that every kind gets, under its name.
pub fn of_each_kind() -> impl Iterator<Item = (String, impl FnOnce(&Cluster) + Send)> {
    Kind::ALL.into_iter().map(|kind| {
        let name = format!(
            "{}::a_violating_{}_from_before_lives_on_and_goes",
            module_path!(),
            kind.names().kind
        );
        (name, move |cluster: &Cluster| lives_on_and_goes(cluster, kind))
    })
}

/// A namespace in which this object is older than the policy that it violates.
fn before_the_policy<'c>(cluster: &'c Cluster, object: &Value) -> Namespace<'c> {
    let shop = cluster.namespace("shop");
    shop.create(object).unwrap();
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop
}

fn merge(shop: &Namespace<'_>, kind: Kind, at: &str, patch: &Value) -> Reply {
    shop.write(Run::Real, Write::MergePatch, kind, at, patch)
}

fn finalizers(finalizers: &[&str]) -> Value {
    json!({"metadata": {"finalizers": finalizers}})
}

fn lives_on_and_goes(cluster: &Cluster, kind: Kind) {
    let shop = before_the_policy(cluster, &workload(kind, pod("nginx")));
    let takes = |patch: Value| {
        let reply = merge(&shop, kind, "web", &patch);
        assert!(reply.admitted(), "{patch}: {}", reply.message());
        // The write is admitted with a warning.
        let warned =
            reply.warnings.iter().any(|it| it.contains("podgate: forbidLatestTag (high) web"));
        assert!(warned, "{patch}: {:?}", reply.warnings);
    };
    takes(json!({"metadata": {"labels": {"team": "cart"}}}));
    takes(json!({"metadata": {"annotations": {"note": "moved"}}}));
    takes(finalizers(&[HELD]));
    takes(json!({"metadata": {"finalizers": null}}));
    if let Some(field) = beside_the_template(kind) {
        takes(field);
    }
    if let Some(status) = status(kind) {
        merge(&shop, kind, "web/status", &status).object();
    }
    if is_scaled(kind) {
        takes(json!({"spec": {"replicas": 3}}));
        let scaled = merge(&shop, kind, "web/scale", &json!({"spec": {"replicas": 2}})).object();
        assert_eq!(scaled["spec"]["replicas"], 2);
    }
    // Repeats the object as `kubectl replace` and `kubectl apply --server-side` do.
    let same = unversioned(shop.get(kind, "web"));
    shop.write(Run::Real, Write::Put, kind, "web", &same).object();
    let applied = workload(kind, pod("nginx"));
    shop.write(Run::Dry, Write::Apply, kind, "web", &applied).object();

    takes(finalizers(&[HELD]));
    shop.delete(kind, "web");
    assert!(!shop.get(kind, "web")["metadata"]["deletionTimestamp"].is_null());
    takes(json!({"metadata": {"finalizers": null}}));
    wait_until_gone(&shop, kind);
}

/// Waits until the object is gone.
fn wait_until_gone(shop: &Namespace<'_>, kind: Kind) {
    eventually("the object to be gone", || match shop.try_get(kind, "web") {
        Ok(object) => Err(object["metadata"].to_string()),
        Err(error) => {
            assert!(error.contains("not found"), "{error}");
            Ok(())
        }
    });
}

const fn is_scaled(kind: Kind) -> bool {
    use Kind::{Deployment, ReplicaSet, ReplicationController, StatefulSet};
    matches!(kind, Deployment | StatefulSet | ReplicaSet | ReplicationController)
}

/// A change of the spec that leaves the pod as it is.
fn beside_the_template(kind: Kind) -> Option<Value> {
    let spec = match kind {
        Kind::Pod => json!({"activeDeadlineSeconds": 86400}),
        Kind::Job => json!({"parallelism": 2}),
        Kind::CronJob => json!({"suspend": true}),
        Kind::PodTemplate => return None,
        _ => json!({"minReadySeconds": 5}),
    };
    Some(json!({"spec": spec}))
}

/// A change of the status, as a controller writes it.
fn status(kind: Kind) -> Option<Value> {
    let status = match kind {
        Kind::PodTemplate => return None,
        Kind::CronJob => json!({"lastScheduleTime": "2026-01-01T00:00:00Z"}),
        _ => json!({"conditions": [{"type": "Checked", "status": "True"}]}),
    };
    Some(json!({"status": status}))
}

fn a_violating_deployment_from_before_takes_labels_and_scale_but_no_violating_change(
    cluster: &Cluster,
) {
    let shop = before_the_policy(cluster, &workload(Kind::Deployment, pod("nginx")));
    let patch = |patch: Value| shop.patch(Kind::Deployment, "web", &patch);
    patch(json!({"metadata": {"labels": {"team": "cart"}}})).unwrap();
    patch(json!({"spec": {"replicas": 3}})).unwrap();
    let image = |image: &str| json!({"spec": {"template": {"spec": pod(image)}}});
    patch(image("redis"))
        .unwrap_err()
        .because(&["spec.template.spec.containers[0].image is \"redis\""]);
    // The same violation is denied in a template that changes.
    patch(json!({"spec": {"template": {"metadata": {"labels": {"new": "label"}}}}})).unwrap_err();
    // An unchanged template passes, whatever else the update changes.
    let mut replicas = image("nginx");
    replicas["spec"]["replicas"] = json!(2);
    patch(replicas).unwrap();
    patch(image("nginx:1.29")).unwrap();
    patch(image("nginx")).unwrap_err();
}

fn a_violating_pod_from_before_takes_labels_but_no_new_violation(cluster: &Cluster) {
    let shop = before_the_policy(cluster, &workload(Kind::Pod, pod("nginx")));
    shop.patch(Kind::Pod, "web", &json!({"metadata": {"labels": {"team": "cart"}}})).unwrap();
    let image = |image: &str| json!({"spec": pod(image)});
    shop.patch(Kind::Pod, "web", &image("redis")).unwrap_err().because(&["is \"redis\""]);
    shop.patch(Kind::Pod, "web", &image("nginx:1.29")).unwrap();
    shop.patch(Kind::Pod, "web", &image("nginx")).unwrap_err();
    // A debug container is added through its own subresource.
    debug(&shop, "busybox")
        .unwrap_err()
        .because(&["spec.ephemeralContainers[0].image is \"busybox\""]);
    debug(&shop, "busybox:1.37").unwrap();
}

/// Adds a debug container, as `kubectl debug` does.
fn debug(shop: &Namespace<'_>, image: &str) -> Result<Value, Rejection> {
    let containers = json!([{"name": "debug", "image": image}]);
    let change = json!({"spec": {"ephemeralContainers": containers}});
    let at = "web/ephemeralcontainers";
    shop.write(Run::Real, Write::StrategicPatch, Kind::Pod, at, &change).verdict()
}

fn a_terminating_deployment_takes_no_violating_template_and_still_goes(cluster: &Cluster) {
    for (image, next) in [("nginx", "redis"), ("nginx", "nginx"), ("nginx:1.29", "nginx")] {
        let mut deployment = workload(Kind::Deployment, pod(image));
        deployment["metadata"]["finalizers"] = json!([HELD]);
        let shop = before_the_policy(cluster, &deployment);
        shop.delete(Kind::Deployment, "web");
        let template = json!({"metadata": {"labels": {"new": "label"}}, "spec": pod(next)});
        shop.patch(Kind::Deployment, "web", &json!({"spec": {"template": template}}))
            .unwrap_err()
            .because(&[&format!("spec.template.spec.containers[0].image is \"{next}\"")]);
        merge(&shop, Kind::Deployment, "web", &finalizers(&[])).object();
        wait_until_gone(&shop, Kind::Deployment);
    }
}

fn a_terminating_pod_takes_no_new_violation_and_still_goes(cluster: &Cluster) {
    let mut held = workload(Kind::Pod, pod("nginx"));
    held["metadata"]["finalizers"] = json!([HELD]);
    let shop = before_the_policy(cluster, &held);
    shop.delete(Kind::Pod, "web");
    assert!(!shop.get(Kind::Pod, "web")["metadata"]["deletionTimestamp"].is_null());
    shop.patch(Kind::Pod, "web", &json!({"spec": pod("redis")}))
        .unwrap_err()
        .because(&["is \"redis\""]);
    debug(&shop, "busybox").unwrap_err().because(&["is \"busybox\""]);
    merge(&shop, Kind::Pod, "web", &finalizers(&[])).object();
    wait_until_gone(&shop, Kind::Pod);
}
