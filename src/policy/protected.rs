//! The namespaces that are left alone: one list for the selectors of webhooks, the engine, the audit, the score and scans.

use std::sync::Arc;

/// The cluster's own, which podgate never judges. Names, not labels, because a tenant can set a label (Kubernetes sets
/// `kubernetes.io/metadata.name` itself, and nobody can change it).
const OF_THE_CLUSTER: [&str; 3] = ["kube-system", "kube-node-lease", "kube-public"];

/// Namespaces by their exact names: the cluster's own, and those an admin adds.
#[derive(Clone, Debug)]
pub struct Protected(Arc<[String]>);

impl Default for Protected {
    fn default() -> Self {
        Self(OF_THE_CLUSTER.map(str::to_owned).into())
    }
}

impl Protected {
    /// Those of the cluster and these, each once, in this order.
    pub fn with(more: impl IntoIterator<Item = String>) -> Self {
        let mut names = OF_THE_CLUSTER.map(str::to_owned).to_vec();
        for name in more {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Self(names.into())
    }

    /// The same, and this one.
    #[must_use]
    pub fn and(&self, name: &str) -> Self {
        Self::with(self.0.iter().cloned().chain([name.to_owned()]))
    }

    pub fn contains(&self, namespace: &str) -> bool {
        self.0.iter().any(|name| name == namespace)
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }
}
