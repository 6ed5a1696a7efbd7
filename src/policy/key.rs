//! The key of a policy, and its names in messages, manifests and kubectl arguments.

use std::fmt;

use kube::ResourceExt;
use serde_json::Value;

/// A policy's namespace and name. Cluster policies sort first, as in an export.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PolicyKey {
    /// `None` for a `ClusterDevOpsPolicy`.
    pub namespace: Option<String>,
    pub name: String,
}

impl PolicyKey {
    /// The key of an object of the API server.
    pub fn of(object: &impl ResourceExt) -> Self {
        Self { namespace: object.namespace(), name: object.name_any() }
    }

    /// The key of a manifest. A missing name is empty.
    pub fn of_manifest(object: &Value) -> Self {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        // A ClusterDevOpsPolicy with a namespace is left to the API server to reject.
        let namespaced = text("/kind").is_none_or(|kind| kind == "DevOpsPolicy");
        Self {
            namespace: text("/metadata/namespace").filter(|_| namespaced),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }

    /// The key of a [label](PolicyKey::label). Neither part contains a slash.
    pub fn of_label(label: &str) -> Self {
        match label.split_once('/') {
            Some((namespace, name)) => {
                Self { namespace: Some(namespace.to_owned()), name: name.to_owned() }
            }
            None => Self { namespace: None, name: label.to_owned() },
        }
    }

    /// `NAMESPACE/NAME`, or the name of a cluster policy.
    pub fn label(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The `kind` of its manifest.
    pub fn kind(&self) -> &'static str {
        if self.namespace.is_some() { "DevOpsPolicy" } else { "ClusterDevOpsPolicy" }
    }

    /// The arguments for kubectl: `devopspolicy.devops.stochastic.io/NAME -n NAMESPACE`.
    pub fn argument(&self) -> String {
        match &self.namespace {
            Some(namespace) => {
                format!("devopspolicy.devops.stochastic.io/{} -n {namespace}", self.name)
            }
            None => format!("clusterdevopspolicy.devops.stochastic.io/{}", self.name),
        }
    }
}

/// `KIND NAMESPACE/NAME`, or `KIND NAME`.
impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.label())
    }
}
