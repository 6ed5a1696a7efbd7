//! The policies of a cluster, listed once.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::Resource;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy};
use crate::clusters::{Cluster, ClusterError};
use crate::findings::{Fault, FaultKind};
use crate::manifests::canonical::content_hash;
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;

/// The permissions that the lists need, as messages name them. The chart gives them to every authenticated user.
const OF_NAMESPACES: &str =
    "list on devopspolicies.devops.stochastic.io (the chart's policies.readableByAuthenticated)";
const OF_CLUSTER: &str = "list on clusterdevopspolicies.devops.stochastic.io (the chart's policies.readableByAuthenticated)";

/// The policies of a cluster: the usable ones, and the faults of the others.
#[derive(Default)]
pub struct ClusterPolicies {
    pub policies: Vec<Arc<Policy>>,
    /// The policies that do not compile.
    pub unusable: Vec<Unusable>,
    /// Lists of policies that could not be read.
    pub faults: Vec<Fault>,
    /// The content hash of every policy, usable or not, by its name as in [`Unusable::name`].
    pub hashes: BTreeMap<String, String>,
}

/// A policy that does not compile.
pub struct Unusable {
    /// `DevOpsPolicy NAMESPACE/NAME`, or `ClusterDevOpsPolicy NAME`.
    pub name: String,
    pub error: String,
    /// What is in force instead.
    pub in_force: Option<Arc<Policy>>,
}

/// Whether a list was allowed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Listed {
    Complete,
    Forbidden,
}

impl ClusterPolicies {
    /// Lists the `ClusterDevOpsPolicies`, and the `DevOpsPolicies` of these namespaces. With `everywhere`, it lists
    /// those of the whole cluster, and of each namespace only if that is forbidden.
    ///
    /// # Errors
    /// The API server does not answer. A forbidden list is a fault in the result, not an error.
    pub async fn read(
        cluster: &Cluster,
        everywhere: bool,
        namespaces: impl Iterator<Item = &str> + Clone,
    ) -> Result<Self, ClusterError> {
        let mut read = Self::default();
        if !everywhere || read.namespaced(cluster, None).await? == Listed::Forbidden {
            if everywhere && namespaces.clone().next().is_none() {
                let message = format!("cannot be read; that needs {OF_NAMESPACES}");
                read.faults.push(Fault::cluster("the DevOpsPolicies", message));
            }
            for namespace in namespaces {
                if read.namespaced(cluster, Some(namespace)).await? == Listed::Forbidden {
                    let message = format!(
                        "its policies cannot be read, so it is judged without them; that needs {OF_NAMESPACES} there"
                    );
                    read.faults.push(Fault::cluster(namespace, message));
                }
            }
        }
        let all = read.add::<ClusterDevOpsPolicy>(cluster, None, "ClusterDevOpsPolicy");
        if all.await? == Listed::Forbidden {
            let message = format!(
                "cannot be read, so everything is judged without them; that needs {OF_CLUSTER}"
            );
            read.faults.push(Fault::cluster("the ClusterDevOpsPolicies", message));
        }
        Ok(read)
    }

    /// Lists the `DevOpsPolicies` of a namespace, or of all.
    async fn namespaced(
        &mut self,
        cluster: &Cluster,
        namespace: Option<&str>,
    ) -> Result<Listed, ClusterError> {
        self.add::<DevOpsPolicy>(cluster, namespace, "DevOpsPolicy").await
    }

    async fn add<K: Resource<DynamicType = ()>>(
        &mut self,
        cluster: &Cluster,
        namespace: Option<&str>,
        kind: &'static str,
    ) -> Result<Listed, ClusterError> {
        let mut objects = Vec::new();
        let listed = cluster.list::<K>(namespace, None, |json| {
            let hash = content_hash(&serde_json::from_str::<Value>(json).unwrap_or_default());
            objects.push((serde_json::from_str::<DynamicObject>(json), hash));
        });
        match listed.await {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(Listed::Forbidden),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                if self.faults.iter().all(|fault| fault.place != kind) {
                    let message = ClusterError::NotServed(kind).to_string();
                    let (place, kind) = (kind.to_owned(), FaultKind::NotServed);
                    self.faults.push(Fault { place, message, kind });
                }
            }
            Err(error) => return Err(cluster.explain(error)),
        }
        for (object, hash) in objects {
            let object = object.map_err(|error| cluster.explain(kube::Error::SerdeError(error)))?;
            let name = PolicyKey::of(&object).to_string();
            self.hashes.insert(name.clone(), hash);
            match super::in_force(&object) {
                (Some(policy), None) => self.policies.push(policy),
                (in_force, fault) => {
                    let error = fault.map(|it| it.message).unwrap_or_default();
                    self.unusable.push(Unusable { name, error, in_force });
                }
            }
        }
        Ok(Listed::Complete)
    }
}
