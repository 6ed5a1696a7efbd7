//! The objects of a floor in a variant's namespace, asleep or awake, and the beat that keeps it asleep.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use podgate::policy::compile::Policy;
use podgate::policy::grace::ControllerUsers;
use podgate::policy::policy_set::PolicySet;
use podgate::policy::protected::Protected;
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::vap::floor::{EARLIEST_SECONDS, Floor};
use serde_json::{Value, json};

use crate::client::{Client, LEASES};

/// Whether podgate is heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Floored {
    Asleep,
    Awake,
}

impl Floored {
    /// The name of its Lease.
    const fn lease(self) -> &'static str {
        match self {
            Self::Asleep => "asleep",
            Self::Awake => "awake",
        }
    }
}

/// The namespace of the Leases.
pub const NAMESPACE: &str = "default";

/// The Leases of both states: one that is to be renewed, and one that was renewed long ago.
pub fn leases() -> [Value; 2] {
    let old = "2020-01-01T00:00:00.000000Z".parse().unwrap();
    [lease(Floored::Asleep, Timestamp::now()), lease(Floored::Awake, old)]
}

fn lease(state: Floored, renewed: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": state.lease(), "namespace": NAMESPACE},
        "spec": {"renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()},
    })
}

/// Renews the Lease of what sleeps, until the process ends.
pub fn beat(kubeconfig: &Path) {
    let client = Client::new(kubeconfig);
    let path = format!("{LEASES}/{NAMESPACE}/leases/{}", Floored::Asleep.lease());
    let pause = Duration::from_secs(EARLIEST_SECONDS.unsigned_abs() / 3);
    std::thread::spawn(move || {
        loop {
            let renewed = json!({"spec": lease(Floored::Asleep, Timestamp::now())["spec"]});
            // At the end there is no API server any more.
            let _ = client.try_patch(&path, &renewed.to_string());
            std::thread::sleep(pause);
        }
    });
}

/// The floor of some policies with the same spec, each an object of its own.
pub fn objects(state: Floored, namespace: &str, policies: usize, spec: &Value) -> Vec<Value> {
    let policy = |number: usize| {
        let selector = json!({
            "matchLabels": {"kubernetes.io/metadata.name": namespace},
            "matchExpressions": [{"key": format!("without-{number}"), "operator": "DoesNotExist"}],
        });
        let selector = serde_json::from_value(selector).unwrap();
        let scope = Scope::Cluster(Selection::new(Some(&selector), None).unwrap());
        let spec = serde_json::from_value(spec.clone()).unwrap();
        Arc::new(Policy::compile(scope, format!("p{number}"), &spec).unwrap())
    };
    let set = PolicySet::new((0..policies).map(policy), Arc::default());
    let floor = Floor {
        release: namespace.to_owned(),
        namespace: NAMESPACE.to_owned(),
        lease: state.lease(),
        conditions: Vec::new(),
        own_user: None,
        protected: Protected::default(),
        controllers: ControllerUsers::default(),
    };
    let judging = floor.objects(set.policies()).judging;
    assert_eq!(judging.len(), policies);
    judging.into_iter().flat_map(|it| [it.policy, it.binding]).collect()
}
