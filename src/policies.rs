//! The sources of policies: a watch of a cluster's objects ([`watch`]), one list of them ([`list`]), or files
//! ([`files`]).

pub mod files;
mod index;
pub mod list;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};

use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy, FINALIZER};
use crate::policy::compile::PolicyOrigin;
use crate::policy::in_force::PolicyFault;
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

/// The policies whose newest version does not compile.
pub type Faults = Arc<BTreeMap<PolicyKey, PolicyFault>>;
