//! Policies at admission: edits, selectors, custom rules, exemptions, from the first review on.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::admission::enforce;
use crate::support::cluster::Cluster;
use crate::support::control_plane::seconds;
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Trials, trials};
use crate::support::wire::{Run, Write};
use crate::support::{eventually, review};

pub const TRIALS: Trials<Cluster> = trials![
    a_policy_edit_comes_into_force_and_its_deletion_too,
    a_cluster_policy_judges_the_namespaces_it_selects_from_their_first_pod_on,
    a_custom_cel_rule_denies_with_its_own_message_and_an_error_is_no_pass,
    an_exemption_lets_its_workload_pass_from_the_deployment_to_the_pod,
];

fn a_policy_edit_comes_into_force_and_its_deletion_too(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let latest = workload(Kind::Pod, pod("nginx"));
    let created = shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop.rejects(&latest);
    let edited =
        shop.policy("baseline", &json!({"enforcementMode": "audit", "forbidLatestTag": true}));
    shop.accepts(&latest);
    let back = shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop.rejects(&latest);
    println!(
        "in force after: creation {}, edits {} and {} (under 2 s is expected)",
        seconds(created),
        seconds(edited),
        seconds(back)
    );
    let (deleted, printed) = shop.kubectl(&["delete", "devopspolicy", "baseline"]).output();
    assert!(deleted, "{printed}");
    let ((), gone) = eventually("the deleted policy to be out of force", || {
        let (admitted, printed) =
            shop.kubectl(&["run", "web", "--image=nginx", "--dry-run=server"]).output();
        if admitted { Ok(()) } else { Err(printed) }
    });
    println!("out of force after: deletion {}", seconds(gone));
}

fn a_cluster_policy_judges_the_namespaces_it_selects_from_their_first_pod_on(cluster: &Cluster) {
    let labels = json!({"tenant": "selected"});
    let mut spec = enforce(&json!({"forbidLatestTag": true}));
    spec["namespaceSelector"] = json!({"matchLabels": labels});
    cluster.cluster_policy("tenants", &spec);
    let latest = workload(Kind::Pod, pod("nginx"));
    let first = cluster.labelled_namespace("tenant", &labels);
    eventually("the policy to be in force", || {
        let answer = cluster.podgate.review(&review::create(&first.name, &latest));
        if answer["allowed"] == false { Ok(()) } else { Err(answer.to_string()) }
    });
    // podgate learns the labels of a new namespace after its first pod is created: the review waits for them.
    for _ in 0..5 {
        let fresh = cluster.labelled_namespace("tenant", &labels);
        fresh.rejects(&latest).because(&["forbidLatestTag (high) · policy tenants"]);
    }
    cluster.namespace("other").accepts(&latest);
    spec["excludeNamespaces"] = json!([first.name]);
    cluster.cluster_policy("tenants", &spec);
    eventually("the namespace to be excluded", || {
        let answer = cluster.podgate.review(&review::create(&first.name, &latest));
        if answer["allowed"] == true { Ok(()) } else { Err(answer.to_string()) }
    });
}

fn a_custom_cel_rule_denies_with_its_own_message_and_an_error_is_no_pass(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy(
        "own",
        &enforce(&json!({
            "forbidLatestTag": true,
            "contact": "#platform",
            "variables": [{"name": "names", "expression": "object.spec.containers.map(c, c.name)"}],
            "validations": [
                {"name": "no-debug", "expression": "!('debug' in variables.names)", "message": "a debug container stays out"},
                {"name": "priority", "expression": "object.spec.priorityClassName != 'high' || namespaceObject.metadata.name == 'vip'", "message": "high priority is for vip"},
            ],
        })),
    );
    let named = |name: &str, priority: Value| {
        let mut spec = json!({"containers": [{"name": name, "image": "nginx:1.29"}]});
        spec["priorityClassName"] = priority;
        workload(Kind::Deployment, spec)
    };
    shop.accepts(&named("web", json!("low")));
    shop.rejects(&named("debug", json!("low"))).because(&[
        "validations/no-debug (medium)",
        "a debug container stays out",
        "learn more: podgate explain validations/no-debug",
        "contact: #platform",
    ]);
    shop.rejects(&named("web", json!("high"))).because(&["high priority is for vip"]);
    shop.rejects(&named("web", Value::Null)).because(&[
        "could not be decided: there is no field \"priorityClassName\"; test it first with has()",
    ]);
}

fn an_exemption_lets_its_workload_pass_from_the_deployment_to_the_pod(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let exempting = |expires_at: &str| {
        let exemption = json!({
            "rules": ["forbidLatestTag"], "kinds": ["Deployment"], "names": ["web"],
            "reason": "the vendor has no tags", "owner": "team cart", "expiresAt": expires_at,
        });
        enforce(&json!({"forbidLatestTag": true, "exemptions": [exemption]}))
    };
    shop.policy("baseline", &exempting("2999-01-01T00:00:00Z"));
    shop.create(&workload(Kind::Deployment, pod("nginx"))).unwrap();
    shop.awaits("its pod", Kind::Deployment, "web", |it| it.data["status"]["replicas"] == 1);
    shop.rejects(&workload(Kind::StatefulSet, pod("nginx")));
    shop.policy("baseline", &exempting("2020-01-01T00:00:00Z"));
    // A dry run, because a template that was admitted once counts as existing.
    let another = json!({"spec": {"template": {"spec": pod("redis")}}});
    eventually("the exemption to expire", || {
        let reply = shop.write(Run::Dry, Write::StrategicPatch, Kind::Deployment, "web", &another);
        reply.verdict().err().map(drop).ok_or_else(|| "the write was admitted".to_owned())
    });
}
