//! The policies that there are: from objects of a cluster, as its events come ([`watch`]) or once ([`list`]), or from files
//! ([`files`]).

pub mod files;
mod index;
pub mod list;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};

use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy};
use crate::policy::in_force::PolicyFault;
use crate::policy::key::PolicyKey;
use crate::policy::policy_set::PolicySet;

/// Where the set in force stands, to be swapped whole by what learns of policies
/// and read by what judges; `None` until they are first known.
pub type Policies = Arc<ArcSwapOption<PolicySet>>;

/// The policies of a namespace, or the cluster's own where none is named, whichever kind they are; nothing is sent.
pub fn api(client: Client, namespace: Option<&str>) -> (Api<DynamicObject>, ApiResource) {
    if let Some(namespace) = namespace {
        let resource = ApiResource::erase::<DevOpsPolicy>(&());
        (Api::namespaced_with(client, namespace, &resource), resource)
    } else {
        let resource = ApiResource::erase::<ClusterDevOpsPolicy>(&());
        (Api::all_with(client, &resource), resource)
    }
}

/// The policies whose newest version is no good.
pub type Faults = Arc<BTreeMap<PolicyKey, PolicyFault>>;
