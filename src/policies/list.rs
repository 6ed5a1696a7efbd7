//! The policies of a cluster, listed once.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DeserializeGuard;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy};
use crate::clusters::{Cluster, ClusterError};
use crate::findings::{Fault, FaultKind};
use crate::manifests::canonical::content_hash;
use crate::policy::compile::Policy;
use crate::policy::scope::Scope;

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
                read.fault("the DevOpsPolicies", "cannot be read");
            }
            for namespace in namespaces {
                if read.namespaced(cluster, Some(namespace)).await? == Listed::Forbidden {
                    read.fault(
                        namespace,
                        "its policies cannot be read, so it is judged without them",
                    );
                }
            }
        }
        if read.cluster_wide(cluster).await? == Listed::Forbidden {
            let message = "cannot be read, so everything is judged without them";
            read.fault("the ClusterDevOpsPolicies", message);
        }
        Ok(read)
    }

    /// Lists the `DevOpsPolicies` of a namespace, or of all.
    async fn namespaced(
        &mut self,
        cluster: &Cluster,
        namespace: Option<&str>,
    ) -> Result<Listed, ClusterError> {
        self.add::<DevOpsPolicy>(cluster, namespace, "DevOpsPolicy", |policy| {
            let scope = Scope::Namespace(policy.namespace().unwrap_or_default());
            Policy::compile(scope, policy.name_any(), &policy.spec)
                .map_err(|error| error.to_string())
        })
        .await
    }

    /// Lists the `ClusterDevOpsPolicies`.
    async fn cluster_wide(&mut self, cluster: &Cluster) -> Result<Listed, ClusterError> {
        self.add::<ClusterDevOpsPolicy>(cluster, None, "ClusterDevOpsPolicy", |policy| {
            Policy::compile_cluster(policy.name_any(), &policy.spec)
                .map_err(|error| error.to_string())
        })
        .await
    }

    async fn add<K>(
        &mut self,
        cluster: &Cluster,
        namespace: Option<&str>,
        kind: &'static str,
        compile: impl Fn(K) -> Result<Policy, String>,
    ) -> Result<Listed, ClusterError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Send,
    {
        let mut objects = Vec::new();
        let listed = cluster.list::<K>(namespace, None, |json| {
            let hash = content_hash(&serde_json::from_str::<Value>(json).unwrap_or_default());
            objects.push((serde_json::from_str::<DeserializeGuard<K>>(json), hash));
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
            let name = match object.namespace() {
                Some(namespace) => format!("{kind} {namespace}/{}", object.name_any()),
                None => format!("{kind} {}", object.name_any()),
            };
            self.hashes.insert(name.clone(), hash);
            let origin = super::origin(object.meta());
            let policy = object.0.map_err(|error| error.to_string()).and_then(&compile);
            match policy {
                Ok(mut policy) => {
                    policy.origin = Some(origin);
                    self.policies.push(Arc::new(policy));
                }
                Err(error) => self.unusable.push(Unusable { name, error }),
            }
        }
        Ok(Listed::Complete)
    }

    fn fault(&mut self, place: &str, message: &str) {
        let fault = Fault {
            place: place.to_owned(),
            message: message.to_owned(),
            kind: FaultKind::Cluster,
        };
        self.faults.push(fault);
    }
}
