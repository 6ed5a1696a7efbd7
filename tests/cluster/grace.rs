//! Part of `make test`: a policy that enforces after a grace (`spec.graceUntil`), with the real controllers and the real
//! scheduler. There is no kubelet; [`node`] stands in for it.

mod checked;
mod controllers;
mod drained;
mod node;
mod revisions;
mod rollouts;
mod templates;
mod tenants;

use kube::api::{Api, DynamicObject};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Namespace, Rejection};
use crate::support::control_plane::Options;
use crate::support::manifests::{pod, workload};
use crate::support::suite::{Suite, World};
use crate::support::{audit, eventually, review};

/// In order, because `podgate drain-check --all` checks the whole cluster.
pub fn suite() -> Suite {
    let cluster = World::new(start);
    Suite::in_order()
        .sharing(&cluster, drained::TRIALS)
        .sharing(&cluster, rollouts::TRIALS)
        .sharing(&cluster, tenants::TRIALS)
        .sharing(&cluster, templates::TRIALS)
        .sharing(&cluster, controllers::TRIALS)
        .sharing(&cluster, revisions::TRIALS)
}

/// The end of a grace that lasts, and of one that has ended.
const LASTS: &str = "2099-01-01T00:00:00Z";
const ENDED: &str = "2020-01-01T00:00:00Z";

/// A user whom podgate takes for a controller.
const QUEUE: &str = "queue-controller";

fn start() -> Cluster {
    let options = Options { audit: Some(audit::POLICY), scheduler: true, ..Options::default() };
    let cluster = Cluster::start_with(options, &["--controller-user", QUEUE]);
    node::create(&cluster);
    checked::let_jane_read(&cluster);
    cluster
}

/// Enforces rules with this end of the grace, and waits until that is in force.
fn enforce(shop: &Namespace<'_>, rules: &Value, grace_until: &str) {
    let mut spec =
        json!({"enforcementMode": "enforce", "forbidLatestTag": true, "graceUntil": grace_until});
    spec.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    shop.policy("own", &spec);
    let mut pod = workload(Kind::Pod, pod("canary"));
    pod["metadata"]["ownerReferences"] = json!([owner(Kind::ReplicaSet, "canary", "none")]);
    let mut review = review::create(&shop.name, &pod);
    let user = "system:serviceaccount:kube-system:replicaset-controller";
    review["request"]["userInfo"]["username"] = json!(user);
    let expected = if grace_until == LASTS { "grace" } else { "deny" };
    eventually("the grace to be in force", || {
        let annotations = &shop.cluster.podgate.review(&review)["auditAnnotations"];
        if annotations["decision"] == expected { Ok(()) } else { Err(annotations.to_string()) }
    });
}

/// A reference to a controlling owner.
fn owner(kind: Kind, name: &str, uid: &str) -> Value {
    let names = kind.names();
    json!({
        "apiVersion": names.api_version(), "kind": names.kind, "name": name, "uid": uid, "controller": true,
    })
}

/// An object of a kind with this name, which its pods' label `app` has too.
fn named(kind: Kind, name: &str, pod: Value) -> Value {
    let mut object = workload(kind, pod);
    let labels = json!({"app": name});
    object["metadata"]["name"] = json!(name);
    match kind {
        Kind::Pod => object["metadata"]["labels"] = labels,
        Kind::CronJob => {
            object["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"] = labels;
        }
        Kind::Job => object["spec"]["template"]["metadata"]["labels"] = labels,
        _ => {
            object["spec"]["template"]["metadata"]["labels"] = labels.clone();
            let selector = &mut object["spec"]["selector"];
            match kind {
                Kind::ReplicationController => *selector = labels,
                _ => selector["matchLabels"] = labels,
            }
        }
    }
    object
}

/// A tenant: a user with the role `admin` in a namespace.
struct Tenant<'n, 'c> {
    shop: &'n Namespace<'c>,
    kubeconfig: std::path::PathBuf,
}

impl<'n, 'c> Tenant<'n, 'c> {
    fn of(shop: &'n Namespace<'c>) -> Self {
        let kubeconfig = shop.cluster.plane.kubeconfig_in("tina", &[]);
        shop.kubectl(&["create", "rolebinding", "tina", "--clusterrole=admin", "--user=tina"]).ok();
        let may = ["auth", "can-i", "create", "pods", "--as=tina"];
        eventually("the tenant's role", || shop.kubectl(&may).result());
        Self { shop, kubeconfig }
    }

    /// Grants what the role `admin` does not have.
    fn gets(&self, verbs: &str, resource: &str) {
        let name = resource.split('.').next().unwrap().replace('/', "-");
        let (verbs, of) = (format!("--verb={verbs}"), format!("--resource={resource}"));
        self.shop.kubectl(&["create", "role", &name, &verbs, &of]).ok();
        let role = format!("--role={name}");
        self.shop.kubectl(&["create", "rolebinding", &name, &role, "--user=tina"]).ok();
    }

    /// kubectl as the tenant; what it prints if it succeeds, or its error, both with warnings.
    fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        let (done, output) = self.shop.kubectl(args).by(self.kubeconfig.clone()).output();
        if done { Ok(output) } else { Err(output) }
    }

    /// Creates an object.
    fn create(&self, object: &Value) -> Result<String, String> {
        self.create_as(&[], object)
    }

    /// The same with arguments, such as the user to act as.
    fn create_as(&self, args: &[&str], object: &Value) -> Result<String, String> {
        let args = [&["create", "-f", "-"], args].concat();
        let create = self.shop.kubectl(&args).by(self.kubeconfig.clone());
        let (done, output) = create.given(object).output();
        if done { Ok(output) } else { Err(output) }
    }
}

/// Asserts that podgate denied what kubectl tried; returns the denial without warnings.
fn denied(tried: Result<String, String>) -> Rejection {
    let error = tried.expect_err("podgate admitted it");
    let lines: Vec<_> = error.lines().filter(|it| !it.starts_with("Warning: ")).collect();
    Rejection::new(lines.join("\n"))
}

/// The creations and updates that the API server refused this user, by the request's path.
fn refused(cluster: &Cluster, user: &str, path: &str) -> usize {
    let events = cluster.plane.requests_about(path);
    let by_user = |it: &&Value| audit::user(it) == user && it["responseStatus"]["code"] == 403;
    events.iter().filter(by_user).count()
}

/// The service account of one of Kubernetes' controllers.
fn account(controller: &str) -> String {
    format!("system:serviceaccount:kube-system:{controller}")
}

/// An object as the API server has it.
fn current(shop: &Namespace<'_>, kind: Kind, name: &str) -> DynamicObject {
    let api: Api<DynamicObject> = shop.api(kind);
    shop.cluster.wait(api.get(name)).unwrap()
}
