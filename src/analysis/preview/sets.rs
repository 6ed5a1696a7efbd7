//! The policies in force, and the policies in force after the change.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::answer::PreviewedPolicy;
use crate::policy::compile::Policy;
use crate::policy::policy_set::{Namespaces, PolicySet};
use crate::policy::protected::Protected;

/// Both sets, and the policies that differ between them.
pub struct Sets {
    pub before: PolicySet,
    pub after: PolicySet,
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
        let others = own.iter().filter(|it| !labels.contains(&it.label));
        let after = PolicySet::new(others.chain(&previewed).cloned(), Arc::clone(&namespaces));
        let before = PolicySet::new(own, namespaces);
        let [before, after] = [before, after].map(|set| set.protecting(protected.clone()));
        Self { before, after, previewed, labels, replaced }
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

    pub fn previewed_policies(&self) -> Vec<PreviewedPolicy> {
        let entry = |it: &Arc<Policy>| PreviewedPolicy {
            policy: it.label.clone(),
            replaces: self.replaced.contains(&it.label),
            grace_until: it.grace_until.map(Time),
        };
        self.previewed.iter().map(entry).collect()
    }
}
