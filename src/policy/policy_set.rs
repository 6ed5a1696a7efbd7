//! Policies, compiled, and the immutable set of them that is in force.

use std::collections::HashMap;
use std::sync::Arc;

use super::PROTECTED_NAMESPACES;
use super::registry::RULES;
use super::rule::{Phase, Rule, SpecCheck, StatusCheck};
use crate::api::{DevOpsPolicySpec, EnforcementMode, Severity};

/// A policy, ready to judge.
pub struct Policy {
    /// The one namespace it judges; `None` judges all (a policy file that names none).
    pub namespace: Option<String>,
    pub name: String,
    pub mode: EnforcementMode,
    pub(super) spec_checks: Vec<Enabled<SpecCheck>>,
    pub(super) status_checks: Vec<Enabled<StatusCheck>>,
}

/// A rule that a policy switched on.
pub(super) struct Enabled<Check> {
    pub rule: &'static Rule,
    pub severity: Severity,
    pub check: Check,
}

impl Policy {
    /// Makes the checks that a policy's spec asks for.
    pub fn compile(namespace: Option<String>, name: String, spec: &DevOpsPolicySpec) -> Self {
        let mut spec_checks = Vec::new();
        let mut status_checks = Vec::new();
        for rule in RULES {
            let severity = rule.severity;
            match rule.phase {
                Phase::Spec(compile) => {
                    spec_checks.extend(compile(spec).map(|check| Enabled {
                        rule,
                        severity,
                        check,
                    }));
                }
                Phase::Status(compile) => {
                    status_checks.extend(compile(spec).map(|check| Enabled {
                        rule,
                        severity,
                        check,
                    }));
                }
            }
        }
        Self { namespace, name, mode: spec.enforcement_mode, spec_checks, status_checks }
    }
}

impl std::fmt::Display for Policy {
    /// `NAMESPACE/NAME`, or the name alone where it judges all namespaces.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// All policies in force. Never changed, only replaced whole, so that a review
/// sees one state of the world from beginning to end.
#[derive(Default)]
pub struct PolicySet {
    by_namespace: HashMap<String, Vec<Arc<Policy>>>,
    everywhere: Vec<Arc<Policy>>,
    len: usize,
}

impl PolicySet {
    pub fn new(policies: impl IntoIterator<Item = Arc<Policy>>) -> Self {
        let mut set = Self::default();
        for policy in policies {
            set.len += 1;
            match &policy.namespace {
                Some(namespace) => {
                    set.by_namespace.entry(namespace.clone()).or_default().push(policy);
                }
                None => set.everywhere.push(policy),
            }
        }
        for policies in set.by_namespace.values_mut().chain([&mut set.everywhere]) {
            policies.sort_by(|a, b| a.name.cmp(&b.name));
        }
        set
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The policies that judge a namespace's objects: its own by name, then
    /// those for all. An object of no known namespace could land in any, so
    /// every policy judges it; a protected namespace has none.
    pub fn covering(&self, namespace: Option<&str>) -> impl Iterator<Item = &Policy> {
        let protected = namespace.is_some_and(|it| PROTECTED_NAMESPACES.contains(&it));
        let own = namespace.and_then(|namespace| self.by_namespace.get(namespace));
        let every =
            self.by_namespace.values().take(if namespace.is_none() { usize::MAX } else { 0 });
        own.into_iter()
            .chain(every)
            .chain([&self.everywhere])
            .take(if protected { 0 } else { usize::MAX })
            .flatten()
            .map(Arc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(policies: &[(Option<&str>, &str)]) -> PolicySet {
        PolicySet::new(policies.iter().map(|(namespace, name)| {
            let spec = DevOpsPolicySpec::default();
            Arc::new(Policy::compile(namespace.map(str::to_owned), (*name).to_owned(), &spec))
        }))
    }

    fn covering(set: &PolicySet, namespace: Option<&str>) -> Vec<String> {
        set.covering(namespace).map(ToString::to_string).collect()
    }

    #[test]
    fn a_policy_judges_its_own_namespace_and_one_without_judges_all() {
        let set =
            set(&[(Some("shop"), "b"), (None, "every"), (Some("shop"), "a"), (Some("lab"), "c")]);
        assert_eq!(covering(&set, Some("shop")), ["shop/a", "shop/b", "every"]);
        assert_eq!(covering(&set, Some("empty")), ["every"]);
    }

    #[test]
    fn an_object_of_no_known_namespace_is_judged_by_every_policy() {
        let set = set(&[(Some("shop"), "a"), (None, "every"), (Some("lab"), "c")]);
        let mut names = covering(&set, None);
        names.sort();
        assert_eq!(names, ["every", "lab/c", "shop/a"]);
    }

    #[test]
    fn a_protected_namespace_is_judged_by_none() {
        let set = set(&[(Some("kube-system"), "a"), (None, "every")]);
        assert!(covering(&set, Some("kube-system")).is_empty());
    }
}
