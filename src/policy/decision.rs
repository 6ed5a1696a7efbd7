//! From findings to one decision: the strictest policy wins, and an update is not denied for violations that the object
//! had before.

use std::collections::HashSet;

use super::compile::Policy;
use super::engine::Finding;
use super::rule::Breach;
use crate::api::EnforcementMode;

/// The outcome of a review.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    Allow,
    Warn,
    Deny,
}

impl Outcome {
    /// The name used in metrics, logs and audit annotations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// Which violations an update inherits from the old object. Inherited violations warn instead of deny.
pub enum Before<'a> {
    /// None: the object is new, or its template changed. A changed template is judged whole, because its new pods would
    /// be denied anyway.
    Nothing,
    /// All: the template did not change, so changes of labels, scale or finalizers must not be denied for it.
    SameTemplate,
    /// Those of the old pod: most fields of a pod cannot be changed, so only new violations deny.
    Pod(OldPod<'a>),
}

/// A pod before an update.
pub struct OldPod<'a> {
    /// Its violations, exempt or not: a pod that was created under an exemption must accept other changes even if the
    /// exemption has expired, or matches an owner that the change removes.
    pub findings: Vec<Finding<'a>>,
    /// Whether all fields that a breach was made from are unchanged. Called if the breach does not hold the value
    /// found.
    pub same: &'a dyn Fn(&Breach) -> bool,
}

impl OldPod<'_> {
    fn had(&self, finding: &Finding<'_>, known: &HashSet<FindingKey<'_>>) -> bool {
        let Breach { reads, undecided, .. } = &*finding.breach;
        let holds_its_value = reads.is_none() && !undecided;
        known.contains(&finding_key(finding)) && (holds_its_value || (self.same)(&finding.breach))
    }
}

/// The findings by their effect, worst first.
pub struct Decision<'p> {
    pub denied: Vec<Finding<'p>>,
    pub warned: Vec<Finding<'p>>,
    pub recorded: Vec<Finding<'p>>,
    /// The policies in the modes `audit` and `warn` that would deny in the mode `enforce`, each once.
    pub would_deny: Vec<&'p Policy>,
}

impl Decision<'_> {
    pub fn outcome(&self) -> Outcome {
        if !self.denied.is_empty() {
            Outcome::Deny
        } else if !self.warned.is_empty() {
            Outcome::Warn
        } else {
            Outcome::Allow
        }
    }

    /// Violations of every policy, whatever its mode.
    pub fn violations(&self) -> usize {
        self.denied.len() + self.warned.len() + self.recorded.len()
    }
}

/// Sorts findings into denied, warned and recorded, by their policies' modes.
pub fn decide<'p>(findings: Vec<Finding<'p>>, before: &Before<'_>) -> Decision<'p> {
    let known: HashSet<_> = match before {
        Before::Pod(old) => old.findings.iter().map(finding_key).collect(),
        Before::Nothing | Before::SameTemplate => HashSet::new(),
    };
    let inherited = |finding: &Finding<'_>| match before {
        Before::Nothing => false,
        Before::SameTemplate => true,
        Before::Pod(old) => old.had(finding, &known),
    };
    let severe_and_new = |finding: &Finding<'_>| {
        finding.severity <= finding.policy.deny_severity && !inherited(finding)
    };
    let (denied, warned, recorded) = (Vec::new(), Vec::new(), Vec::new());
    let mut decision = Decision { denied, warned, recorded, would_deny: Vec::new() };
    for finding in findings {
        let Finding { policy, .. } = finding;
        if policy.mode != EnforcementMode::Enforce
            && !decision.would_deny.iter().any(|it| it.label == policy.label)
            && severe_and_new(&finding)
        {
            decision.would_deny.push(policy);
        }
        match policy.mode {
            EnforcementMode::Audit => decision.recorded.push(finding),
            EnforcementMode::Enforce if severe_and_new(&finding) => decision.denied.push(finding),
            EnforcementMode::Warn | EnforcementMode::Enforce => decision.warned.push(finding),
        }
    }
    for findings in [&mut decision.denied, &mut decision.warned, &mut decision.recorded] {
        worst_first(findings);
    }
    decision
}

/// Sorts findings by severity and rule, for display. Stable: within one severity and rule, policies and containers keep
/// their order.
pub fn worst_first(findings: &mut [Finding<'_>]) {
    findings.sort_by(|a, b| (a.severity, a.rule.id).cmp(&(b.severity, b.rule.id)));
}

/// The policy's label, the rule's id, the path, and check, container and value if present.
pub type FindingKey<'f> = (&'f str, &'static str, &'f str, [Option<&'f str>; 3]);

/// The identity of a violation across versions of a pod. Paths are stable: the API server removes no container from a
/// pod and appends new ones. The policy is part of it because two policies may have validations with the same name.
pub fn finding_key<'f>(finding: &'f Finding<'_>) -> FindingKey<'f> {
    let breach = &finding.breach;
    let parts = [breach.check.as_deref(), breach.container.as_deref(), breach.value.as_deref()];
    (&finding.policy.label, finding.rule.id, &breach.path, parts)
}

#[cfg(test)]
mod tests {
    use super::super::engine::judge;
    use super::super::object::Object;
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::super::compile::Policy;
    use super::super::policy_set::PolicySet;
    use super::super::reads::Reads;
    use super::super::scope::Scope;
    use super::super::subject::Subject;
    use super::super::workload::Kind;
    use super::*;
    use crate::api::{DevOpsPolicySpec, Severity};

    fn policy(mode: EnforcementMode) -> Policy {
        let spec = DevOpsPolicySpec {
            enforcement_mode: Some(mode),
            forbid_latest_tag: Some(true),
            require_readiness_probe: Some(true),
            max_restart_count: Some(0),
            ..DevOpsPolicySpec::default()
        };
        let scope = Scope::Namespace("shop".to_owned());
        Policy::compile(scope, mode.as_str().to_owned(), &spec).unwrap()
    }

    fn set(modes: &[EnforcementMode]) -> PolicySet {
        PolicySet::new(modes.iter().map(|mode| Arc::new(policy(*mode))), Arc::default())
    }

    fn findings<'p>(set: &'p PolicySet, image: &str) -> Vec<Finding<'p>> {
        let json = format!(r#"{{"spec":{{"containers":[{{"name":"web","image":"{image}"}}]}}}}"#);
        let object: Object = serde_json::from_str(&json).unwrap();
        let subject = Subject::of(Kind::Pod, &object).unwrap();
        judge(set.covering(Some("shop")).unwrap(), &subject, Timestamp::UNIX_EPOCH).violations
    }

    #[test]
    fn the_strictest_policy_wins_and_the_worst_violation_comes_first() {
        use EnforcementMode::{Audit, Enforce, Warn};
        for (modes, outcome) in [
            (vec![], Outcome::Allow),
            (vec![Audit], Outcome::Allow),
            (vec![Audit, Warn], Outcome::Warn),
            (vec![Audit, Warn, Enforce], Outcome::Deny),
        ] {
            let policies = set(&modes);
            let decision = decide(findings(&policies, "nginx"), &Before::Nothing);
            assert_eq!(decision.outcome(), outcome);
            assert_eq!(decision.violations(), 2 * policies.len());
            let rules: Vec<_> = decision.denied.iter().map(|it| it.rule.id).collect();
            if outcome == Outcome::Deny {
                assert_eq!(rules, ["forbidLatestTag", "requireReadinessProbe"]);
            }
        }
    }

    #[test]
    fn a_policy_would_deny_what_it_would_deny_in_the_mode_enforce() {
        use EnforcementMode::{Audit, Enforce, Warn};
        let would_deny = |policies: &PolicySet, before: &Before<'_>| {
            let decision = decide(findings(policies, "nginx"), before);
            decision.would_deny.iter().map(|it| it.name.clone()).collect::<Vec<_>>()
        };
        let all = set(&[Audit, Warn, Enforce]);
        assert_eq!(would_deny(&all, &Before::Nothing), ["audit", "warn"], "each of them once");
        assert!(would_deny(&all, &Before::SameTemplate).is_empty());
        let asked = |_: &Breach| panic!("these breaches hold the value found");
        let before = |image| OldPod { findings: findings(&all, image), same: &asked };
        assert!(would_deny(&all, &Before::Pod(before("nginx"))).is_empty(), "it had them");
        assert_eq!(would_deny(&all, &Before::Pod(before("redis"))), ["audit", "warn"]);

        let mild = |severity| {
            let mut policy = policy(Audit);
            policy.deny_severity = severity;
            would_deny(&PolicySet::new([Arc::new(policy)], Arc::default()), &Before::Nothing)
        };
        assert_eq!(mild(Severity::High), ["audit"]);
        assert!(mild(Severity::Critical).is_empty(), "nothing found is as severe");
    }

    #[test]
    fn an_unchanged_template_is_warned_about_but_never_denied() {
        let policies = set(&[EnforcementMode::Enforce]);
        let decision = decide(findings(&policies, "nginx"), &Before::SameTemplate);
        assert_eq!(decision.outcome(), Outcome::Warn);
        assert_eq!(decision.warned.len(), 2);
    }

    #[test]
    fn an_updated_pod_is_denied_for_its_new_violations_only() {
        let policies = set(&[EnforcementMode::Enforce]);
        let same = |_: &Breach| panic!("these breaches hold the value found");
        let before = Before::Pod(OldPod { findings: findings(&policies, "nginx"), same: &same });
        assert_eq!(decide(findings(&policies, "nginx"), &before).outcome(), Outcome::Warn);

        let decision = decide(findings(&policies, "redis"), &before);
        assert_eq!(decision.outcome(), Outcome::Deny);
        assert_eq!(decision.denied.len(), 1);
        assert_eq!(decision.denied[0].breach.value.as_deref(), Some("redis"));
    }

    #[test]
    fn what_does_not_tell_what_it_found_is_inherited_if_what_it_looked_at_did_not_change() {
        let policies = set(&[EnforcementMode::Enforce]);
        let reads = Some(Arc::new(Reads::default()));
        for (reads, undecided) in [(reads, false), (None, true)] {
            let found = || {
                let mut found = findings(&policies, "nginx");
                let breach = Breach { reads: reads.clone(), undecided, ..Breach::default() };
                found[0].breach = Arc::new(breach);
                found
            };
            for (same, outcome) in [(true, Outcome::Warn), (false, Outcome::Deny)] {
                let asked = |_: &Breach| same;
                let before = Before::Pod(OldPod { findings: found(), same: &asked });
                let decision = decide(found(), &before);
                assert_eq!(decision.outcome(), outcome);
                assert_eq!(decision.denied.len(), usize::from(!same));
                let new = Before::Pod(OldPod { findings: Vec::new(), same: &asked });
                assert_eq!(decide(found(), &new).denied.len(), 2, "it was not there before");
            }
        }
    }

    #[test]
    fn a_violation_of_one_policy_is_not_inherited_from_another() {
        let policies = set(&[EnforcementMode::Enforce]);
        let spec = DevOpsPolicySpec {
            enforcement_mode: Some(EnforcementMode::Enforce),
            forbid_latest_tag: Some(true),
            ..DevOpsPolicySpec::default()
        };
        let scope = Scope::Namespace("shop".to_owned());
        let other = Policy::compile(scope, "other".to_owned(), &spec).unwrap();
        let other = PolicySet::new([Arc::new(other)], Arc::default());
        let same = |_: &Breach| true;
        let before = Before::Pod(OldPod { findings: findings(&policies, "nginx"), same: &same });
        assert_eq!(decide(findings(&other, "nginx"), &before).outcome(), Outcome::Deny);
    }
}
