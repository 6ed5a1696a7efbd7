//! Dry runs decide as real ones do, and leave no trace.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::admission::enforce;
use crate::support::cluster::{Cluster, Namespace};
use crate::support::manifests::{in_pod, pod, workload};
use crate::support::suite::{Trials, trials};
use crate::support::wire::{Reply, Run, Write, unversioned};

pub const TRIALS: Trials<Cluster> = trials![a_dry_run_changes_nothing,];

/// The test that every kind gets, under its name.
pub fn of_each_kind() -> impl Iterator<Item = (String, impl FnOnce(&Cluster) + Send)> {
    Kind::ALL.into_iter().map(|kind| {
        let name = format!(
            "{}::a_dry_run_of_a_{}_is_told_what_a_real_one_is",
            module_path!(),
            kind.names().kind
        );
        (name, move |cluster: &Cluster| dry_as_real(cluster, kind))
    })
}

/// A namespace that denies floating images and warns of missing probes and limits.
fn denying_and_warning(cluster: &Cluster) -> Namespace<'_> {
    let shop = cluster.namespace("shop");
    let limits = json!(["cpu", "memory"]);
    let advice = json!({
        "enforcementMode": "warn", "requireReadinessProbe": true, "requireResourceLimits": limits,
    });
    shop.policy("advice", &advice);
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop
}

fn dry_as_real(cluster: &Cluster, kind: Kind) {
    let shop = denying_and_warning(cluster);
    // The dry run comes first, because the real write changes the object.
    let both = |write: Write, at: &str, body: &Value| {
        let [dry, real] = [Run::Dry, Run::Real].map(|run| shop.write(run, write, kind, at, body));
        assert_eq!((dry.code, dry.message()), (real.code, real.message()), "{write:?} {body}");
        assert_eq!(dry.warnings, real.warnings, "{write:?} {body}");
        assert!(has_warning(&real), "{real:?}");
        real
    };
    let (bad, good) = (workload(kind, pod("nginx")), workload(kind, pod("nginx:1.29")));
    both(Write::Post, "", &bad).rejection().because(&[".image is \"nginx\""]);
    both(Write::Apply, "web", &bad).rejection();
    both(Write::Post, "", &good).object();

    let labels = json!({"metadata": {"labels": {"team": "cart"}}});
    both(Write::MergePatch, "web", &labels).object();
    if kind == Kind::Job {
        // Its template cannot change.
        return;
    }
    let image = |image: &str| {
        in_pod(kind, json!({"spec": {"containers": [{"name": "web", "image": image}]}}))
    };
    both(Write::StrategicPatch, "web", &image("nginx")).rejection();
    both(Write::Apply, "web", &bad).rejection();
    let mut replaced = unversioned(shop.get(kind, "web"));
    let at = format!("/{}/containers/0/image", kind.names().spec_path.replace('.', "/"));
    *replaced.pointer_mut(&at).unwrap() = json!("nginx");
    both(Write::Put, "web", &replaced).rejection();
    let operations = json!([{"op": "replace", "path": at, "value": "nginx"}]);
    both(Write::JsonPatch, "web", &operations).rejection();
    both(Write::StrategicPatch, "web", &image("nginx:1.28")).object();
}

fn has_warning(reply: &Reply) -> bool {
    reply.warnings.iter().any(|it| it.contains("podgate: requireResourceLimits (medium) web"))
}

fn a_dry_run_changes_nothing(cluster: &Cluster) {
    let shop = denying_and_warning(cluster);
    let policies = format!("/apis/devops.stochastic.io/v1/namespaces/{}/devopspolicies", shop.name);
    let events = format!("/apis/events.k8s.io/v1/namespaces/{}/events", shop.name);
    let everything = || {
        let kinds = Kind::ALL.map(|kind| shop.path(kind, ""));
        let lists = kinds.iter().chain([&policies, &events]).map(|path| cluster.get(path));
        // The list's own version moves with every write to the cluster.
        let mut lists: Vec<_> = lists.map(|mut list| list["items"].take()).collect();
        // The audit may write the status of a policy at any time.
        for policy in lists[kinds.len()].as_array_mut().unwrap() {
            *policy = json!([policy["metadata"]["uid"], policy["spec"]]);
        }
        lists
    };
    // Allows updates to be tried, too.
    shop.write(
        Run::Real,
        Write::Post,
        Kind::PodTemplate,
        "",
        &workload(Kind::PodTemplate, pod("nginx:1.29")),
    )
    .object();
    let before = everything();
    let mut denied = 0;
    for kind in Kind::ALL {
        for (image, name) in [("nginx", "denied"), ("nginx:1.29", "admitted")] {
            for write in [Write::Post, Write::Apply] {
                let mut object = workload(kind, pod(image));
                object["metadata"]["name"] = json!(name);
                let at = if write == Write::Post { "" } else { name };
                let reply = shop.write(Run::Dry, write, kind, at, &object);
                assert_eq!(reply.admitted(), name == "admitted", "{}", reply.message());
                denied += i32::from(!reply.admitted());
            }
        }
    }
    let image = |image: &str| {
        let change = json!({"spec": {"containers": [{"name": "web", "image": image}]}});
        let change = in_pod(Kind::PodTemplate, change);
        shop.write(Run::Dry, Write::StrategicPatch, Kind::PodTemplate, "web", &change)
    };
    image("nginx").rejection();
    image("nginx:1.28").object();
    assert_eq!(denied, 18);
    assert_eq!(everything(), before);
}
