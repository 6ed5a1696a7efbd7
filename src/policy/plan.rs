//! The plan of the checks in a namespace: those of all policies that cover it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::compile::{Enabled, Policy};
use super::document::Document;
use super::rule::{Rule, SpecCheck, StatusCheck};
use crate::cel::wanted::Wanted;

/// The checks of all policies that cover a namespace, each once: ten policies with the same rule and parameters cost
/// one check of the pod.
#[derive(Default)]
pub struct EvaluationPlan {
    policies: Vec<Arc<Policy>>,
    /// The policies with `mutate`, in the order in which they change a pod.
    pub(super) mutating: Vec<Arc<Policy>>,
    reads_documents: bool,
    /// What its rules read of the whole pod.
    wanted: Wanted,
    pub(super) spec_checks: Vec<SharedCheck<SpecCheck>>,
    pub(super) status_checks: Vec<SharedCheck<StatusCheck>>,
}

/// A check, and the policies that share it.
pub(super) struct SharedCheck<Check> {
    pub rule: &'static Rule,
    pub check: Arc<Check>,
    pub policies: Vec<Arc<Policy>>,
}

impl fmt::Debug for EvaluationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.policies.iter().map(|policy| &policy.label)).finish()
    }
}

impl EvaluationPlan {
    /// `policies` are in display order.
    pub(super) fn new(policies: Vec<Arc<Policy>>) -> Self {
        Self {
            mutating: policies.iter().filter(|it| it.injector.is_some()).cloned().collect(),
            reads_documents: policies.iter().any(|policy| policy.reads_documents()),
            wanted: Document::wanted(policies.iter().flat_map(|policy| &policy.reads)),
            spec_checks: shared(&policies, |policy| &policy.spec_checks),
            status_checks: shared(&policies, |policy| &policy.status_checks),
            policies,
        }
    }

    /// The policies in display order: those of namespaces by namespace and name, then cluster policies by name.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// Whether a rule reads the whole pod (`Subject::document`).
    pub fn reads_documents(&self) -> bool {
        self.reads_documents
    }

    /// What of the whole pod a document must hold for its rules.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

/// The checks of policies. Those with the same rule and parameters are one.
fn shared<Check>(
    policies: &[Arc<Policy>],
    checks: impl Fn(&Policy) -> &[Enabled<Check>],
) -> Vec<SharedCheck<Check>> {
    let mut shared: Vec<SharedCheck<Check>> = Vec::new();
    let mut places = HashMap::new();
    for policy in policies {
        for Enabled { rule, parameters, check } in checks(policy) {
            let place = *places.entry((rule.id, parameters)).or_insert(shared.len());
            if let Some(same) = shared.get_mut(place) {
                same.policies.push(Arc::clone(policy));
            } else {
                let (check, policies) = (Arc::clone(check), vec![Arc::clone(policy)]);
                shared.push(SharedCheck { rule, check, policies });
            }
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DevOpsPolicySpec;
    use crate::policy::scope::Scope;

    #[test]
    fn policies_with_the_same_check_share_it() {
        let compile = |name: &str, restarts| {
            let spec = DevOpsPolicySpec {
                forbid_latest_tag: Some(true),
                max_restart_count: Some(restarts),
                ..DevOpsPolicySpec::default()
            };
            let scope = Scope::Namespace("shop".to_owned());
            Arc::new(Policy::compile(scope, name.to_owned(), &spec).unwrap())
        };
        let plan = EvaluationPlan::new(vec![compile("a", 3), compile("b", 3), compile("c", 5)]);
        assert_eq!(plan.spec_checks.len(), 1);
        assert_eq!(plan.spec_checks[0].policies.len(), 3);
        let asked: Vec<_> = plan.status_checks.iter().map(|it| it.policies.len()).collect();
        assert_eq!(asked, [2, 1]);
    }
}
