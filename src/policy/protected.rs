//! Protected namespaces, which podgate never judges: one list for webhook selectors, the engine, the audit and scans.

use std::sync::Arc;

/// The namespaces of the cluster itself. Names rather than labels, because a tenant can set labels. (The label
/// `kubernetes.io/metadata.name`, which webhook selectors use, cannot be changed.)
const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-node-lease", "kube-public"];

/// The names of protected namespaces: those of the cluster itself, and those that an admin adds.
#[derive(Clone, Debug)]
pub struct Protected(Arc<[String]>);

impl Default for Protected {
    fn default() -> Self {
        Self(SYSTEM_NAMESPACES.map(str::to_owned).into())
    }
}

impl Protected {
    /// The namespaces of the cluster itself, then these, without duplicates.
    pub fn with(more: impl IntoIterator<Item = String>) -> Self {
        let mut names = SYSTEM_NAMESPACES.map(str::to_owned).to_vec();
        for name in more {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Self(names.into())
    }

    /// The same list with one more name.
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
