//! The sources of policies: a watch of a cluster's objects ([`watch`]), one list of them ([`list`]), or files
//! ([`files`]). [`live`] reads what is in force in some namespaces.

pub mod files;
pub mod index;
pub mod list;
pub mod live;
pub mod namespaces;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use serde_json::Value;

use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy, FINALIZER};
use crate::policy::compile::{Policy, PolicyOrigin};
use crate::policy::in_force::{PolicyFault, Stored};
use crate::policy::key::PolicyKey;
use crate::policy::policy_set::PolicySet;

/// The set in force. A source swaps it whole, and reviews read it. `None` until the first set is complete.
pub type Policies = Arc<ArcSwapOption<PolicySet>>;

/// The untyped API of the `DevOpsPolicies` of a namespace or, without a namespace, of the `ClusterDevOpsPolicies`.
/// Makes no call.
pub fn api(client: Client, namespace: Option<&str>) -> (Api<DynamicObject>, ApiResource) {
    if let Some(namespace) = namespace {
        let resource = ApiResource::erase::<DevOpsPolicy>(&());
        (Api::namespaced_with(client, namespace, &resource), resource)
    } else {
        let resource = ApiResource::erase::<ClusterDevOpsPolicy>(&());
        (Api::all_with(client, &resource), resource)
    }
}

/// The identity and generation of a policy's object.
fn origin(meta: &ObjectMeta) -> PolicyOrigin {
    PolicyOrigin {
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        held: meta.finalizers.iter().flatten().any(|it| it == FINALIZER),
        deleting: meta.deletion_timestamp.as_ref().map(|it| it.0),
    }
}

/// The policy that is in force for an object, and why its newest version is not, if that is so. The result depends on the
/// object alone.
fn in_force(object: &DynamicObject) -> (Option<Arc<Policy>>, Option<PolicyFault>) {
    let origin = origin(&object.metadata);
    let PolicyKey { namespace, name } = PolicyKey::of(object);
    let stored = Stored {
        namespace: namespace.as_deref(),
        name: &name,
        spec: object.data.get("spec").unwrap_or(&Value::Null),
        last_good: object.data.pointer("/status/lastGood").and_then(Value::as_str),
    };
    let resolved = stored.resolve();
    let in_force = resolved.policy.map(|mut policy| {
        policy.origin = Some(origin.clone());
        Arc::new(policy)
    });
    let fault = resolved.fault.map(|(fault, fallback)| PolicyFault {
        origin,
        message: fault.to_string(),
        fallback,
    });
    (in_force, fault)
}

/// The policies whose newest version does not compile.
pub type Faults = Arc<BTreeMap<PolicyKey, PolicyFault>>;
