//! From findings to one decision: the strictest policy wins, and an update is not denied for violations that the object
//! had before.

use std::collections::HashSet;

use jiff::Timestamp;

use super::compile::Policy;
use super::engine::Finding;
use super::inherited::{Before, Inherited};
use crate::api::{Effect, EnforcementMode};

/// The outcome of a review.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    Allow,
    Warn,
    /// Admitted, with warnings, only because a policy is in its grace.
    Grace,
    Deny,
}

impl Outcome {
    /// The name used in metrics, logs and audit annotations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Grace => "grace",
            Self::Deny => "deny",
        }
    }
}

/// The findings by their effect, worst first.
pub struct Decision<'p> {
    pub denied: Vec<Finding<'p>>,
    /// Those that would deny, were their policies not in their grace.
    pub graced: Vec<Finding<'p>>,
    pub warned: Vec<Finding<'p>>,
    pub recorded: Vec<Finding<'p>>,
    /// The policies that would deny in the mode `enforce` without grace, and do not, each once, by label.
    pub would_deny: Vec<&'p Policy>,
}

impl<'p> Decision<'p> {
    pub fn outcome(&self) -> Outcome {
        if !self.denied.is_empty() {
            Outcome::Deny
        } else if !self.graced.is_empty() {
            Outcome::Grace
        } else if !self.warned.is_empty() {
            Outcome::Warn
        } else {
            Outcome::Allow
        }
    }

    /// The violations of every policy, whatever its mode.
    pub fn all(&self) -> impl Iterator<Item = &Finding<'p>> {
        self.denied.iter().chain(&self.graced).chain(&self.warned).chain(&self.recorded)
    }
}

/// Sorts findings into denied, graced, warned and recorded, by their policies' modes and graces at this time.
pub fn decide<'p>(findings: Vec<Finding<'p>>, before: &Before<'_>, now: Timestamp) -> Decision<'p> {
    let (denied, graced, warned, recorded) = Default::default();
    let mut decision = Decision { denied, graced, warned, recorded, would_deny: Vec::new() };
    for Effected { finding, effect, would_deny } in effects(findings, before, now) {
        if would_deny {
            decision.would_deny.push(finding.policy);
        }
        match effect {
            Effect::Deny => decision.denied.push(finding),
            Effect::Grace => decision.graced.push(finding),
            Effect::Warn => decision.warned.push(finding),
            Effect::Audit => decision.recorded.push(finding),
        }
    }
    let Decision { denied, graced, warned, recorded, would_deny } = &mut decision;
    if !would_deny.is_empty() {
        let denying: HashSet<_> = denied.iter().map(|it| it.policy.label.as_str()).collect();
        let only = would_deny.drain(..).filter(|policy| !denying.contains(policy.label.as_str()));
        *would_deny = each_once(only.collect());
    }
    for findings in [denied, graced, warned, recorded] {
        worst_first(findings);
    }
    decision
}

/// These policies by label, each once.
pub fn each_once(mut policies: Vec<&Policy>) -> Vec<&Policy> {
    policies.sort_unstable_by(|one, other| one.label.cmp(&other.label));
    policies.dedup_by(|one, other| one.label == other.label);
    policies
}

/// A finding with its effect.
pub struct Effected<'p> {
    pub finding: Finding<'p>,
    pub effect: Effect,
    /// Whether it would deny in the mode `enforce` without grace, and does not.
    pub would_deny: bool,
}

/// The effect of each finding, by its policy's mode and grace at this time. The order stays.
pub fn effects<'p>(
    findings: Vec<Finding<'p>>,
    before: &Before<'_>,
    now: Timestamp,
) -> impl Iterator<Item = Effected<'p>> {
    Inherited::of(findings, before).into_iter().map(move |(finding, inherited)| {
        let policy = finding.policy;
        let denies = finding.severity <= policy.deny_severity && inherited != Inherited::Always;
        let in_grace = policy.in_grace(now) && inherited == Inherited::InGrace;
        let effect = match policy.mode {
            EnforcementMode::Audit => Effect::Audit,
            EnforcementMode::Enforce if denies && in_grace => Effect::Grace,
            EnforcementMode::Enforce if denies => Effect::Deny,
            EnforcementMode::Warn | EnforcementMode::Enforce => Effect::Warn,
        };
        Effected { finding, effect, would_deny: denies && effect != Effect::Deny }
    })
}

/// Sorts findings by severity and rule, for display. Stable: within one severity and rule, policies and containers keep
/// their order.
pub fn worst_first(findings: &mut [Finding<'_>]) {
    findings.sort_by(|a, b| (a.severity, a.rule.id).cmp(&(b.severity, b.rule.id)));
}

#[cfg(test)]
mod tests {
    use super::super::engine::judge;
    use super::super::inherited::Old;
    use super::super::object::Object;
    use super::super::rule::Breach;
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

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

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
        judge(set.covering(Some("shop")).unwrap(), &subject, NOW).violations
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
            let decision = decide(findings(&policies, "nginx"), &Before::Nothing, NOW);
            assert_eq!(decision.outcome(), outcome);
            assert_eq!(decision.all().count(), 2 * policies.len());
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
            let decision = decide(findings(policies, "nginx"), before, NOW);
            decision.would_deny.iter().map(|it| it.name.clone()).collect::<Vec<_>>()
        };
        let all = set(&[Audit, Warn, Enforce]);
        assert_eq!(would_deny(&all, &Before::Nothing), ["audit", "warn"], "each of them once");
        assert!(would_deny(&all, &Before::SameTemplate).is_empty());
        let asked = |_: &Breach| panic!("these breaches hold the value found");
        let before = |image| Old { findings: findings(&all, image), same: &asked };
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
        let decision = decide(findings(&policies, "nginx"), &Before::SameTemplate, NOW);
        assert_eq!(decision.outcome(), Outcome::Warn);
        assert_eq!(decision.warned.len(), 2);
    }

    #[test]
    fn an_updated_pod_is_denied_for_its_new_violations_only() {
        let policies = set(&[EnforcementMode::Enforce]);
        let same = |_: &Breach| panic!("these breaches hold the value found");
        let before = Before::Pod(Old { findings: findings(&policies, "nginx"), same: &same });
        assert_eq!(decide(findings(&policies, "nginx"), &before, NOW).outcome(), Outcome::Warn);

        let decision = decide(findings(&policies, "redis"), &before, NOW);
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
                let before = Before::Pod(Old { findings: found(), same: &asked });
                let decision = decide(found(), &before, NOW);
                assert_eq!(decision.outcome(), outcome);
                assert_eq!(decision.denied.len(), usize::from(!same));
                let new = Before::Pod(Old { findings: Vec::new(), same: &asked });
                assert_eq!(decide(found(), &new, NOW).denied.len(), 2, "it was not there before");
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
        let before = Before::Pod(Old { findings: findings(&policies, "nginx"), same: &same });
        assert_eq!(decide(findings(&other, "nginx"), &before, NOW).outcome(), Outcome::Deny);
    }

    /// A policy whose grace ends so many seconds after [`NOW`].
    fn gracious(mode: EnforcementMode, seconds: i64) -> PolicySet {
        let mut policy = policy(mode);
        policy.grace_until = Some(Timestamp::from_second(seconds).unwrap());
        PolicySet::new([Arc::new(policy)], Arc::default())
    }

    fn names(findings: &[Finding<'_>]) -> Vec<&'static str> {
        findings.iter().map(|it| it.rule.id).collect()
    }

    #[test]
    fn until_its_grace_ends_a_policy_does_not_deny_what_a_controller_creates() {
        let before = Before::OwnersTemplate;
        for (seconds, outcome) in [
            (1, Outcome::Grace),
            (0, Outcome::Deny),
            (-1, Outcome::Deny),
            (253_402_207_200, Outcome::Grace),
        ] {
            let policies = gracious(EnforcementMode::Enforce, seconds);
            let decision = decide(findings(&policies, "nginx"), &before, NOW);
            assert_eq!(decision.outcome(), outcome, "{seconds}");
            let in_grace = outcome == Outcome::Grace;
            let found = if in_grace { &decision.graced } else { &decision.denied };
            assert_eq!(names(found), ["forbidLatestTag", "requireReadinessProbe"]);
            assert_eq!(decision.would_deny.len(), usize::from(in_grace), "once, if it denies not");
            let new = decide(findings(&policies, "nginx"), &Before::Nothing, NOW);
            assert_eq!(new.outcome(), Outcome::Deny, "its maker is no controller");
            assert!(new.graced.is_empty() && new.would_deny.is_empty());
        }
    }

    #[test]
    fn grace_changes_nothing_for_other_policies_modes_and_severities() {
        use EnforcementMode::{Audit, Enforce, Warn};
        let decision = |policies: &PolicySet| {
            let decision = decide(findings(policies, "nginx"), &Before::OwnersTemplate, NOW);
            (decision.outcome(), decision.would_deny.len())
        };
        for (mode, outcome) in [(Audit, Outcome::Allow), (Warn, Outcome::Warn)] {
            assert_eq!(decision(&gracious(mode, 1)), (outcome, 1));
        }
        let mut mild = policy(Enforce);
        mild.grace_until = Some(Timestamp::MAX);
        mild.deny_severity = Severity::High;
        let mild = PolicySet::new([Arc::new(mild)], Arc::default());
        let found = decide(findings(&mild, "nginx"), &Before::OwnersTemplate, NOW);
        assert_eq!(names(&found.graced), ["forbidLatestTag"]);
        assert_eq!(names(&found.warned), ["requireReadinessProbe"]);
        let mut graced = policy(Enforce);
        graced.name = "graced".to_owned();
        graced.label = "shop/graced".to_owned();
        graced.grace_until = Some(Timestamp::MAX);
        let both = [Arc::new(graced), Arc::new(policy(Enforce))];
        let both = PolicySet::new(both, Arc::default());
        assert_eq!(decision(&both), (Outcome::Deny, 1), "the other policy denies");
    }

    #[test]
    fn under_grace_a_changed_template_is_denied_for_its_new_violations_only() {
        let policies = gracious(EnforcementMode::Enforce, 1);
        let same = |_: &Breach| panic!("these breaches hold the value found");
        let before = |image| Old { findings: findings(&policies, image), same: &same };
        let decide =
            |image| decide(findings(&policies, image), &Before::Template(before("nginx")), NOW);
        let kept = decide("nginx");
        assert_eq!((kept.outcome(), kept.graced.len()), (Outcome::Grace, 2));
        assert_eq!(kept.would_deny.len(), 1, "without grace it would be judged whole");
        assert_eq!(
            decide("docker.io/library/nginx:latest").outcome(),
            Outcome::Grace,
            "the same image"
        );
        let new = decide("redis");
        assert_eq!(
            (names(&new.denied), names(&new.graced)),
            (vec!["forbidLatestTag"], vec!["requireReadinessProbe"])
        );
        assert!(new.would_deny.is_empty(), "it denies");

        let ended = gracious(EnforcementMode::Enforce, 0);
        let before = Old { findings: findings(&ended, "nginx"), same: &same };
        let decision = super::decide(findings(&ended, "nginx"), &Before::Template(before), NOW);
        assert_eq!((decision.denied.len(), decision.graced.len()), (2, 0));
    }
}
