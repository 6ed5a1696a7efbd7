//! The policies in force, and the policies in force after the change, if one is previewed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::answer::Versions;
use crate::policy::compile::Policy;
use crate::policy::policy_set::{Namespaces, PolicySet};
use crate::policy::protected::Protected;

/// Both sets, and the policies that differ between them.
pub struct Sets {
    pub before: PolicySet,
    pub after: PolicySet,
    pub versions: Versions,
    previewed: Vec<Arc<Policy>>,
    labels: BTreeSet<String>,
    /// The labels of the previewed policies that have a version in force.
    replaced: BTreeSet<String>,
}

impl Sets {
    /// Replaces the cluster's policies of the same kind, namespace and name by the previewed ones, and adds the others.
    pub fn new(
        own: Vec<Arc<Policy>>,
        previewed: Vec<Arc<Policy>>,
        namespaces: Namespaces,
        protected: &Protected,
    ) -> Self {
        let namespaces = Arc::new(namespaces);
        let labels: BTreeSet<_> = previewed.iter().map(|it| it.label.clone()).collect();
        let replaced = own.iter().map(|it| &it.label).filter(|it| labels.contains(*it));
        let replaced = replaced.cloned().collect();
        let versions = Versions::Given;
        let others = own.iter().filter(|it| !labels.contains(&it.label));
        let after = PolicySet::new(others.chain(&previewed).cloned(), Arc::clone(&namespaces));
        let before = PolicySet::new(own, namespaces);
        let [before, after] = [before, after].map(|set| set.protecting(protected.clone()));
        Self { before, after, versions, previewed, labels, replaced }
    }

    /// The cluster's policies as they are, which nothing replaces.
    pub fn in_force(own: Vec<Arc<Policy>>, namespaces: Namespaces, protected: &Protected) -> Self {
        let mut sets = Self::new(own.clone(), Vec::new(), namespaces, protected);
        sets.versions = Versions::InForce;
        sets.labels = own.iter().map(|it| it.label.clone()).collect();
        sets.previewed = own;
        sets
    }

    pub fn previewed(&self) -> &[Arc<Policy>] {
        &self.previewed
    }

    /// Whether a policy is previewed, in either version.
    pub fn is_previewed(&self, policy: &Policy) -> bool {
        self.labels.contains(&policy.label)
    }

    /// Whether any previewed policy has a version in force.
    pub fn replaces(&self) -> bool {
        !self.replaced.is_empty()
    }

    /// Whether the policy replaces a version in force.
    pub fn replaces_version(&self, policy: &Policy) -> bool {
        self.replaced.contains(&policy.label)
    }
}
