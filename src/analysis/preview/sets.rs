//! The policies as they are in force and as they would be.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::answer::PreviewedPolicy;
use crate::policy::compile::Policy;
use crate::policy::policy_set::{Namespaces, PolicySet};
use crate::policy::protected::Protected;

/// Both sets, and what is new in the second.
pub struct Sets {
    pub before: PolicySet,
    pub after: PolicySet,
    previewed: Vec<Arc<Policy>>,
    labels: BTreeSet<String>,
    /// The labels of those that have a version in force.
    replaced: BTreeSet<String>,
}

impl Sets {
    /// Puts the previewed policies in the place of the cluster's own of the same kind, namespace and name.
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
        let others = own.iter().filter(|it| !labels.contains(&it.label));
        let after = PolicySet::new(others.chain(&previewed).cloned(), Arc::clone(&namespaces));
        let before = PolicySet::new(own, namespaces);
        let [before, after] = [before, after].map(|set| set.protecting(protected.clone()));
        Self { before, after, previewed, labels, replaced }
    }

    pub fn previewed(&self) -> &[Arc<Policy>] {
        &self.previewed
    }

    /// Whether a policy is one of them, in either version.
    pub fn is_previewed(&self, policy: &Policy) -> bool {
        self.labels.contains(&policy.label)
    }

    /// Whether there is anything to compare with.
    pub fn replaces(&self) -> bool {
        !self.replaced.is_empty()
    }

    pub fn previewed_policies(&self) -> Vec<PreviewedPolicy> {
        let entry = |it: &Arc<Policy>| PreviewedPolicy {
            policy: it.label.clone(),
            replaces: self.replaced.contains(&it.label),
        };
        self.previewed.iter().map(entry).collect()
    }
}
