//! Policies, compiled, and the immutable set of them that is in force.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::PROTECTED_NAMESPACES;
use super::registry::RULES;
use super::rule::{Phase, Rule, SpecCheck, StatusCheck};
use crate::api::{DevOpsPolicySpec, EnforcementMode, Severity};

/// A policy, ready to judge.
pub struct Policy {
    /// The one namespace it judges; `None` judges all (a policy file that names none).
    pub namespace: Option<String>,
    pub name: String,
    /// `NAMESPACE/NAME`, or the name alone where it judges all namespaces.
    pub label: String,
    pub mode: EnforcementMode,
    spec_checks: Vec<Enabled<SpecCheck>>,
    status_checks: Vec<Enabled<StatusCheck>>,
}

/// A rule that a policy switched on.
struct Enabled<Check> {
    rule: &'static Rule,
    severity: Severity,
    /// The value of the rule's field: two policies that set the same one ask the same.
    parameter: String,
    check: Arc<Check>,
}

impl Policy {
    /// Makes the checks that a policy's spec asks for.
    pub fn compile(namespace: Option<String>, name: String, spec: &DevOpsPolicySpec) -> Self {
        let fields = serde_json::to_value(spec).unwrap_or_default();
        let mut spec_checks = Vec::new();
        let mut status_checks = Vec::new();
        for rule in RULES {
            let severity = rule.severity;
            let parameter = fields.get(rule.id).map(ToString::to_string).unwrap_or_default();
            match rule.phase {
                Phase::Spec(compile) => {
                    spec_checks.extend(enable(rule, severity, parameter, compile(spec)));
                }
                Phase::Status(compile) => {
                    status_checks.extend(enable(rule, severity, parameter, compile(spec)));
                }
            }
        }
        let label = namespace.as_ref().map_or_else(|| name.clone(), |it| format!("{it}/{name}"));
        Self { namespace, name, label, mode: spec.enforcement_mode, spec_checks, status_checks }
    }
}

fn enable<Check>(
    rule: &'static Rule,
    severity: Severity,
    parameter: String,
    check: Option<Check>,
) -> Option<Enabled<Check>> {
    check.map(|check| Enabled { rule, severity, parameter, check: Arc::new(check) })
}

/// What all policies that cover a namespace ask, each question once: ten
/// policies that forbid the same cost one look at the pod.
#[derive(Default)]
pub struct Plan {
    policies: Vec<Arc<Policy>>,
    pub(super) spec_questions: Vec<Question<SpecCheck>>,
    pub(super) status_questions: Vec<Question<StatusCheck>>,
}

/// A check, and the policies that ask it.
pub(super) struct Question<Check> {
    pub rule: &'static Rule,
    pub check: Arc<Check>,
    parameter: String,
    pub askers: Vec<(Arc<Policy>, Severity)>,
}

impl Plan {
    fn new(policies: Vec<Arc<Policy>>) -> Self {
        let mut plan = Self::default();
        for policy in &policies {
            ask(&mut plan.spec_questions, policy, &policy.spec_checks);
            ask(&mut plan.status_questions, policy, &policy.status_checks);
        }
        plan.policies = policies;
        plan
    }

    /// The policies, in the order in which they are told to people.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }
}

fn ask<Check>(
    questions: &mut Vec<Question<Check>>,
    policy: &Arc<Policy>,
    checks: &[Enabled<Check>],
) {
    for Enabled { rule, severity, parameter, check } in checks {
        let asker = (Arc::clone(policy), *severity);
        let same =
            questions.iter_mut().find(|it| it.rule.id == rule.id && it.parameter == *parameter);
        if let Some(question) = same {
            question.askers.push(asker);
        } else {
            let (check, parameter) = (Arc::clone(check), parameter.clone());
            questions.push(Question { rule, check, parameter, askers: vec![asker] });
        }
    }
}

/// Where the set in force stands, to be swapped whole by what learns of policies
/// and read by what judges; `None` until they are first known.
pub type Policies = Arc<ArcSwapOption<PolicySet>>;

/// All policies in force. Never changed, only replaced whole, so that a review
/// sees one state of the world from beginning to end.
#[derive(Default)]
pub struct PolicySet {
    by_namespace: HashMap<String, Plan>,
    elsewhere: Plan,
    all: Plan,
    none: Plan,
}

impl PolicySet {
    pub fn new(policies: impl IntoIterator<Item = Arc<Policy>>) -> Self {
        let mut all: Vec<_> = policies.into_iter().collect();
        // A namespace's own policies by name, then those for all namespaces.
        all.sort_by(|a, b| {
            (a.namespace.is_none(), &a.namespace, &a.name).cmp(&(
                b.namespace.is_none(),
                &b.namespace,
                &b.name,
            ))
        });
        let covering = |namespace: Option<&str>| {
            let covers = |policy: &&Arc<Policy>| {
                policy.namespace.is_none() || policy.namespace.as_deref() == namespace
            };
            Plan::new(all.iter().filter(covers).cloned().collect())
        };
        let mut by_namespace = HashMap::new();
        for namespace in all.iter().filter_map(|policy| policy.namespace.as_deref()) {
            if !by_namespace.contains_key(namespace) {
                by_namespace.insert(namespace.to_owned(), covering(Some(namespace)));
            }
        }
        Self { by_namespace, elsewhere: covering(None), all: Plan::new(all), none: Plan::default() }
    }

    pub fn len(&self) -> usize {
        self.all.policies.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the policies ask that judge a namespace's objects. An object of no
    /// known namespace could land in any, so every policy judges it; a
    /// protected namespace has none.
    pub fn covering(&self, namespace: Option<&str>) -> &Plan {
        match namespace {
            None => &self.all,
            Some(namespace) if PROTECTED_NAMESPACES.contains(&namespace) => &self.none,
            Some(namespace) => self.by_namespace.get(namespace).unwrap_or(&self.elsewhere),
        }
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
        set.covering(namespace).policies().iter().map(|policy| policy.label.clone()).collect()
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
        assert_eq!(covering(&set, None), ["lab/c", "shop/a", "every"]);
    }

    #[test]
    fn a_protected_namespace_is_judged_by_none() {
        let set = set(&[(Some("kube-system"), "a"), (None, "every")]);
        assert!(covering(&set, Some("kube-system")).is_empty());
    }
    #[test]
    fn policies_that_ask_the_same_ask_once() {
        let compile = |name: &str, restarts| {
            let spec = DevOpsPolicySpec {
                forbid_latest_tag: Some(true),
                max_restart_count: Some(restarts),
                ..DevOpsPolicySpec::default()
            };
            Arc::new(Policy::compile(Some("shop".to_owned()), name.to_owned(), &spec))
        };
        let set = PolicySet::new([compile("a", 3), compile("b", 3), compile("c", 5)]);
        let plan = set.covering(Some("shop"));
        assert_eq!(plan.spec_questions.len(), 1);
        assert_eq!(plan.spec_questions[0].askers.len(), 3);
        let asked: Vec<_> = plan.status_questions.iter().map(|it| it.askers.len()).collect();
        assert_eq!(asked, [2, 1]);
    }
}
