//! From findings to one decision: the strictest policy wins, and what was there
//! before is not held against an update.

use std::collections::HashSet;

use super::engine::Finding;
use crate::api::EnforcementMode;

/// What becomes of the request.
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

/// What an update inherits from the object it changes.
pub enum Before<'a> {
    /// Nothing: the object is new, or its template changed, and a changed
    /// template is judged whole because its new pods would be refused anyway.
    Nothing,
    /// The whole template: it did not change, so labels, scale and finalizers
    /// must not be held up by it.
    SameTemplate,
    /// These violations of the old pod: a running pod can hardly be mended, so
    /// only new ones deny.
    Violations(Vec<Finding<'a>>),
}

/// The findings, each under what it leads to, worst first.
pub struct Decision<'p> {
    pub denied: Vec<Finding<'p>>,
    pub warned: Vec<Finding<'p>>,
    pub recorded: Vec<Finding<'p>>,
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

/// Sorts findings by what their policy's mode makes of them.
pub fn decide<'p>(findings: Vec<Finding<'p>>, before: &Before<'_>) -> Decision<'p> {
    let old: HashSet<_> = match before {
        Before::Violations(old) => old.iter().map(identity).collect(),
        Before::Nothing | Before::SameTemplate => HashSet::new(),
    };
    let inherited = |finding: &Finding<'_>| {
        matches!(before, Before::SameTemplate) || old.contains(&identity(finding))
    };
    let mut decision = Decision { denied: Vec::new(), warned: Vec::new(), recorded: Vec::new() };
    for finding in findings {
        match finding.policy.mode {
            EnforcementMode::Audit => decision.recorded.push(finding),
            EnforcementMode::Enforce
                if finding.severity <= finding.policy.deny_severity && !inherited(&finding) =>
            {
                decision.denied.push(finding);
            }
            EnforcementMode::Warn | EnforcementMode::Enforce => decision.warned.push(finding),
        }
    }
    for findings in [&mut decision.denied, &mut decision.warned, &mut decision.recorded] {
        worst_first(findings);
    }
    decision
}

/// The order in which people read findings. Stable: within one severity and rule, policies and containers keep the order
/// in which they were judged.
pub fn worst_first(findings: &mut [Finding<'_>]) {
    findings.sort_by(|a, b| (a.severity, a.rule.id).cmp(&(b.severity, b.rule.id)));
}

/// What makes two violations of one pod the same over time. Paths stay: the API server takes no container out of a pod, and
/// new ones come last.
fn identity<'f>(finding: &'f Finding<'_>) -> (&'static str, &'f str, [Option<&'f str>; 3]) {
    let breach = &finding.breach;
    let parts = [breach.check.as_deref(), breach.container.as_deref(), breach.value.as_deref()];
    (finding.rule.id, &breach.path, parts)
}

#[cfg(test)]
mod tests {
    use super::super::engine::judge;
    use super::super::object::Object;
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::super::compile::{Policy, Scope};
    use super::super::policy_set::PolicySet;
    use super::super::workload::{Kind, Subject};
    use super::*;
    use crate::api::DevOpsPolicySpec;

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
    fn an_unchanged_template_is_warned_about_but_never_denied() {
        let policies = set(&[EnforcementMode::Enforce]);
        let decision = decide(findings(&policies, "nginx"), &Before::SameTemplate);
        assert_eq!(decision.outcome(), Outcome::Warn);
        assert_eq!(decision.warned.len(), 2);
    }

    #[test]
    fn an_updated_pod_is_denied_for_its_new_violations_only() {
        let policies = set(&[EnforcementMode::Enforce]);
        let before = Before::Violations(findings(&policies, "nginx"));
        assert_eq!(decide(findings(&policies, "nginx"), &before).outcome(), Outcome::Warn);

        let decision = decide(findings(&policies, "redis"), &before);
        assert_eq!(decision.outcome(), Outcome::Deny);
        assert_eq!(decision.denied.len(), 1);
        assert_eq!(decision.denied[0].breach.value.as_deref(), Some("redis"));
    }
}
