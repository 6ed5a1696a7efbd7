//! ControllerRevisions, from which the StatefulSet controller makes pods.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::{ENDED, LASTS, Tenant, denied, enforce, named, node};
use crate::support::cluster::{Cluster, Namespace};
use crate::support::eventually;
use crate::support::manifests::probed_pod;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> =
    trials![a_revision_that_a_tenant_makes_again_with_another_template_is_denied];

const RESOURCE: &str = "controllerrevisions";

/// The only revision of the namespace.
fn revision(shop: &Namespace<'_>) -> Result<Value, String> {
    let mut list = shop.kubectl(&["get", RESOURCE, "-o", "json"]).json();
    match list["items"].as_array_mut().unwrap().as_mut_slice() {
        [one] => Ok(one.take()),
        other => Err(format!("{other:?}")),
    }
}

fn a_revision_that_a_tenant_makes_again_with_another_template_is_denied(cluster: &Cluster) {
    let shop = cluster.namespace("revised");
    shop.create(&named(Kind::StatefulSet, "db", probed_pod("nginx:1.29"))).unwrap();
    node::until(&shop, "the pod of db", |pods| pods.len() == 1);
    let (mut changed, _) = eventually("the revision", || revision(&shop));
    let name = changed["metadata"]["name"].as_str().unwrap().to_owned();
    for field in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
        changed["metadata"].as_object_mut().unwrap().remove(field);
    }
    let original = changed.clone();
    let container = &mut changed["data"]["spec"]["template"]["spec"]["containers"][0];
    container["securityContext"] = json!({"privileged": true});

    let tina = Tenant::of(&shop);
    let message = tina.create(&changed).unwrap_err();
    assert!(message.contains("cannot create resource"), "the role admin may not: {message}");
    tina.gets("create,delete", "controllerrevisions.apps");
    let may = ["auth", "can-i", "create", "controllerrevisions.apps", "--as=tina"];
    eventually("the permission", || shop.kubectl(&may).result());

    for end in [LASTS, ENDED] {
        enforce(&shop, &json!({"podSecurity": "baseline"}), end);
        tina.kubectl(&["delete", RESOURCE, &name]).unwrap();
        denied(tina.create(&changed)).because(&[
            &format!("ControllerRevision {}/{name} breaks 1 rule", shop.name),
            "data.spec.template.spec.containers[0].securityContext.privileged is true",
        ]);
        // As it was, it may be made again.
        let again = tina.create(&original);
        assert!(
            again.as_ref().is_ok() || again.as_ref().unwrap_err().contains("already exists"),
            "{again:?}"
        );
        let (kept, _) = eventually("the revision", || revision(&shop));
        assert_eq!(kept["data"], original["data"]);
    }
}
