//! Updates inherit existing violations, and nothing else.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::attacks::objects::enforce;
use crate::support::cluster::{Cluster, Namespace, Rejection};
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Trials, trials};
use crate::support::wire::{Run, Write};
use crate::support::{eventually, review};

pub const TRIALS: Trials<Cluster> = trials![
    pods_that_live_by_an_exemption_are_orphaned_by_the_real_controllers,
    a_pod_that_breaks_a_validation_takes_no_worse_image_and_every_other_change,
    a_validation_is_inherited_from_its_own_policy_only,
    an_existing_pod_too_large_to_evaluate_takes_no_other_image,
];

fn patch(shop: &Namespace<'_>, name: &str, patch: &Value) -> Result<Value, Rejection> {
    shop.write(Run::Real, Write::StrategicPatch, Kind::Pod, name, patch).verdict()
}

fn with_image(image: &str) -> Value {
    json!({"spec": pod(image)})
}

/// Denies floating images, except those of an exemption.
fn exempting(fields: Option<Value>) -> Value {
    let exemptions = fields.map(|mut fields| {
        let why = json!({"rules": ["forbidLatestTag"], "reason": "the vendor has no tags", "owner": "team cart"});
        fields.as_object_mut().unwrap().extend(why.as_object().unwrap().clone());
        json!([fields])
    });
    enforce(&json!({ "exemptions": exemptions.unwrap_or(json!([])) }))
}

fn pods_that_live_by_an_exemption_are_orphaned_by_the_real_controllers(cluster: &Cluster) {
    let mut database = workload(Kind::StatefulSet, pod("nginx"));
    database["metadata"]["name"] = json!("db");
    let by_workload = json!({"kinds": ["StatefulSet"], "names": ["db"]});
    let by_name = json!({"names": ["db", "db-*"]});
    for (in_force, at_the_end, still_exempt) in [
        // Exempt by the owner that orphaning removes.
        (by_workload.clone(), Some(by_workload.clone()), false),
        // Exempt by the pod's own name, which stays.
        (by_name.clone(), Some(by_name), true),
        // By an exemption that has expired by then.
        (by_workload, None, false),
    ] {
        let shop = cluster.namespace("shop");
        shop.policy("baseline", &exempting(Some(in_force)));
        shop.create(&database).unwrap();
        let owners = || match shop.try_get(Kind::Pod, "db-0") {
            Ok(pod) => Ok(pod["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len)),
            Err(error) => Err(error),
        };
        eventually("the StatefulSet's pod", || owners().map(|count| assert_eq!(count, 1)));
        if at_the_end.is_none() {
            shop.policy("baseline", &exempting(at_the_end));
            let again = review::create(&shop.name, &database);
            eventually("the exemption to expire", || {
                let answer = cluster.podgate.review(&again);
                if answer["allowed"] == false { Ok(()) } else { Err(answer.to_string()) }
            });
        }
        let (done, output) =
            shop.kubectl(&["delete", "statefulset", "db", "--cascade=orphan"]).output();
        assert!(done, "{output}");
        eventually("the StatefulSet to be gone", || {
            let left = shop.try_get(Kind::StatefulSet, "db");
            left.err().filter(|it| it.contains("not found")).ok_or_else(|| "it is there".to_owned())
        });
        assert_eq!(owners().unwrap(), 0, "the pod is orphaned");
        patch(&shop, "db-0", &json!({"metadata": {"labels": {"team": "cart"}}})).unwrap();
        let another = patch(&shop, "db-0", &with_image("redis:latest"));
        if still_exempt {
            another.unwrap();
        } else {
            another.unwrap_err().because(&["is \"redis:latest\""]);
        }
    }
}

/// A policy with a validation, and the rule by which the canary sees that it is in force.
fn validating(name: &str, expression: &str) -> Value {
    let validation = json!({"name": name, "expression": expression, "message": "it must hold"});
    json!({"enforcementMode": "enforce", "requireReadinessProbe": true, "validations": [validation]})
}

fn probed(image: &str) -> Value {
    let mut pod = pod(image);
    pod["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 80}});
    workload(Kind::Pod, pod)
}

fn a_pod_that_breaks_a_validation_takes_no_worse_image_and_every_other_change(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let mut held = probed("nginx:1.28");
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    held["metadata"]["labels"] = json!({"tier": "gold"});
    shop.create(&held).unwrap();
    let of_images = "object.spec.containers.all(c, c.image.startsWith('ghcr.io/'))";
    shop.policy("images", &validating("images", of_images));
    let of_labels = "object.metadata.labels['tier'] == 'silver'";
    shop.policy("labels", &validating("labels", of_labels));
    let of_errors = "object.spec.containers.all(c, c.command[0] == 'x')";
    shop.policy("errors", &validating("errors", of_errors));

    let own = |change: &Value| patch(&shop, "web", change);
    own(&json!({"metadata": {"labels": {"team": "cart"}, "annotations": {"note": "moved"}}}))
        .unwrap();
    own(&json!({"spec": {"activeDeadlineSeconds": 86_400}})).unwrap();
    // A validation that was undecided, and does not read the changed field, stays undecided.
    own(&with_image("evil.example/nginx:1.29"))
        .unwrap_err()
        .because(&["breaks 1 rule", "validations/images"]);
    own(&json!({"metadata": {"labels": {"tier": "bronze"}}}))
        .unwrap_err()
        .because(&["breaks 1 rule", "validations/labels"]);
    // A debug container adds a container to the list that the validation reads.
    let containers = json!([{"name": "debug", "image": "evil.example/busybox:1"}]);
    let change = json!({"spec": {"ephemeralContainers": containers}});
    let at = "web/ephemeralcontainers";
    shop.write(Run::Dry, Write::StrategicPatch, Kind::Pod, at, &change).object();
    own(&json!({"metadata": {"finalizers": null}})).unwrap();
}

fn a_validation_is_inherited_from_its_own_policy_only(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.create(&probed("nginx:1.28")).unwrap();
    let image = "object.spec.containers[0].image";
    shop.policy(
        "a",
        &validating("own", &format!("{image} != 'nginx:1.28' || has(object.spec.none)")),
    );
    shop.policy("b", &validating("own", "!has(object.metadata.labels) || !('tier' in object.metadata.labels) || object.metadata.labels['tier'] != 'gold'"));
    patch(&shop, "web", &json!({"metadata": {"labels": {"team": "cart"}}})).unwrap();
    patch(&shop, "web", &json!({"metadata": {"labels": {"tier": "gold"}}}))
        .unwrap_err()
        .because(&["breaks 1 rule", &format!("policy {}/b", shop.name)]);
}

fn an_existing_pod_too_large_to_evaluate_takes_no_other_image(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let volumes: Value =
        (0..1_001).map(|number| json!({"name": format!("v{number}"), "emptyDir": {}})).collect();
    let mut large = workload(Kind::Pod, pod("nginx:1.28"));
    large["spec"]["volumes"] = volumes;
    large["metadata"]["finalizers"] = json!(["example.com/held"]);
    shop.create(&large).unwrap();
    shop.policy("baseline", &enforce(&json!({})));
    patch(&shop, "web", &with_image("nginx")).unwrap_err().because(&["could not be judged"]);
    patch(&shop, "web", &json!({"metadata": {"finalizers": null}})).unwrap();
}
