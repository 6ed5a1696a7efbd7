//! What a tenant asks for is denied in the grace of a policy as ever.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::{LASTS, Tenant, denied, enforce, named, node, owner};
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::manifests::{APPLIED, pod, probed_pod};
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    a_tenants_new_violations_are_denied_under_grace,
    a_tenant_who_names_a_controlling_owner_is_denied_under_grace,
    a_tenant_whose_user_is_named_like_a_controller_is_denied_under_grace,
    an_end_that_no_clock_reaches_is_refused,
];

fn a_tenants_new_violations_are_denied_under_grace(cluster: &Cluster) {
    let shop = cluster.namespace("tenant");
    shop.create(&named(Kind::Deployment, "old", pod("nginx"))).unwrap();
    shop.create(&named(Kind::CronJob, "old", pod("nginx"))).unwrap();
    let old = node::until(&shop, "the pod of old", |pods| pods.len() == 1).remove(0);
    enforce(&shop, &json!({"podSecurity": "baseline"}), LASTS);
    let tina = Tenant::of(&shop);
    for kind in APPLIED {
        let new = tina.create(&named(kind, "new", pod("nginx")));
        denied(new).because(&["forbidLatestTag", "image is \"nginx\""]);
        tina.kubectl(&["get", kind.names().resource, "new"]).unwrap_err();
    }
    let made = tina.kubectl(&["create", "job", "new", "--from=cronjob/old"]);
    denied(made).because(&["Job tenant", "image is \"nginx\""]);

    let changed = json!({"spec": {"template": {"spec": {"hostPID": true}}}}).to_string();
    let changed = tina.kubectl(&["patch", "deployment", "old", "-p", &changed]);
    let changed = denied(changed).because(&["breaks 1 rule", "spec.template.spec.hostPID"]);
    assert!(
        !changed.message.contains("image is"),
        "the old violation is kept: {}",
        changed.message
    );

    tina.gets("get,patch", "pods/ephemeralcontainers");
    let debug = |name: &str, image: &str| {
        let container = json!({"name": name, "image": image});
        let patch = json!({"spec": {"ephemeralContainers": [container]}}).to_string();
        let args = ["patch", "pod", &old.name, "--subresource=ephemeralcontainers", "-p", &patch];
        tina.kubectl(&args)
    };
    eventually("the permission, and a good container", || debug("fine", "busybox:1.37"));
    denied(debug("bad", "busybox")).because(&["breaks 1 rule", "image is \"busybox\""]);
}

fn a_tenant_who_names_a_controlling_owner_is_denied_under_grace(cluster: &Cluster) {
    let shop = cluster.namespace("owned");
    let deployment = shop.create(&named(Kind::Deployment, "old", pod("nginx"))).unwrap();
    let old = node::until(&shop, "the pod of old", |pods| pods.len() == 1).remove(0);
    let replica_set = old.controller.strip_prefix("ReplicaSet/").unwrap();
    let uid = super::current(&shop, Kind::ReplicaSet, replica_set).metadata.uid.unwrap();
    enforce(&shop, &json!({}), LASTS);
    let tina = Tenant::of(&shop);
    let none = "00000000-0000-4000-8000-000000000000";
    let of_old = deployment.metadata.uid.unwrap();
    for (kind, owner) in [
        (Kind::ReplicaSet, owner(Kind::Deployment, "made-up", none)),
        (Kind::ReplicaSet, owner(Kind::Deployment, "old", &of_old)),
        (Kind::Pod, owner(Kind::ReplicaSet, "made-up", none)),
        (Kind::Pod, owner(Kind::ReplicaSet, replica_set, &uid)),
        (Kind::Job, owner(Kind::CronJob, "made-up", none)),
    ] {
        let owned = |pod: Value| {
            let mut object = named(kind, "new", pod);
            object["metadata"]["ownerReferences"] = json!([owner]);
            object
        };
        denied(tina.create(&owned(pod("nginx")))).because(&["image is \"nginx\""]);
        // The reference alone is no reason.
        shop.accepts(&owned(probed_pod("nginx:1.29")));
    }
}

/// A tenant has service accounts of any name, and acts as each of them.
fn a_tenant_whose_user_is_named_like_a_controller_is_denied_under_grace(cluster: &Cluster) {
    let shop = cluster.namespace("named");
    let old = shop.create(&named(Kind::ReplicaSet, "old", pod("nginx"))).unwrap();
    enforce(&shop, &json!({}), LASTS);
    let tina = Tenant::of(&shop);
    let name = "replicaset-controller";
    tina.kubectl(&["create", "serviceaccount", name]).unwrap();
    let account = format!("--serviceaccount={}:{name}", shop.name);
    tina.kubectl(&["create", "rolebinding", name, "--clusterrole=edit", &account]).unwrap();
    let user = format!("--as=system:serviceaccount:{}:{name}", shop.name);
    let may = ["auth", "can-i", "create", "pods", &user];
    eventually("the account's role", || shop.kubectl(&may).result());
    let mut copy = named(Kind::Pod, "old-1", pod("nginx"));
    let uid = old.metadata.uid.unwrap();
    copy["metadata"]["ownerReferences"] = json!([owner(Kind::ReplicaSet, "old", &uid)]);
    denied(tina.create_as(&[&user], &copy)).because(&["image is \"nginx\""]);
}

fn an_end_that_no_clock_reaches_is_refused(cluster: &Cluster) {
    let shop = cluster.namespace("ends");
    let policy = |end: &str| {
        json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy", "metadata": {"name": "own"},
            "spec": {"forbidLatestTag": true, "graceUntil": end},
        })
    };
    for end in ["9999-12-31T23:59:59Z", "2027-02-30T00:00:00Z", "tomorrow", ""] {
        let message = shop.kubectl(&["create", "-f", "-"]).given(&policy(end)).fails();
        assert!(message.contains("graceUntil"), "{end:?}: {message}");
    }
    for end in ["9999-12-30T22:00:00Z", "1970-01-01T00:00:00Z"] {
        shop.kubectl(&["apply", "-f", "-"]).given(&policy(end)).ok();
    }
}
