//! Since when each rule of a policy denies new pods, so that a pod that breaks a rule and was made later is known to have
//! been admitted while nobody judged it.
//!
//! A time moves when what the rule demands changes, and with nothing else: not while podgate is away, and not when another
//! replica leads. The leader keeps it in `status.enforcedSince`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, TimestampRound, Unit};

use super::compile::Policy;
use super::terms::Terms;
use crate::api::EnforcementMode;

/// Since when the rules of a policy deny, and until when its grace admitted what controllers make.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Enforced {
    rules: BTreeMap<String, Since>,
    graced_until: Option<Timestamp>,
}

/// What the status of a policy records.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordedPolicy {
    pub enforced: Enforced,
    /// The slipped workloads that it lists, as it writes them.
    pub slipped: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Since {
    terms: u64,
    at: Timestamp,
}

impl Enforced {
    /// What a status records: the times of a version of the policy, and the end of its grace.
    pub fn recorded(
        terms: &Terms,
        times: &BTreeMap<String, Timestamp>,
        graced_until: Option<Timestamp>,
    ) -> Self {
        let since = |(id, terms): (&String, &u64)| {
            Some((id.clone(), Since { terms: *terms, at: *times.get(id)? }))
        };
        Self { rules: terms.iter().filter_map(since).collect(), graced_until }
    }

    /// The times of the next version of the policy, which is in force from now on. Times are whole seconds, like the
    /// creation times that they are compared with.
    #[must_use]
    pub fn next(&self, policy: &Policy, now: Timestamp) -> Self {
        if policy.mode != EnforcementMode::Enforce {
            return Self::default();
        }
        let now = next_second(now);
        let rules = policy.terms.iter().map(|(id, terms)| {
            let known = self.rules.get(id).filter(|it| it.terms == *terms);
            (id.clone(), Since { terms: *terms, at: known.map_or(now, |it| it.at) })
        });
        // A grace that was taken back has ended by now.
        let past = self.graced_until.map(|end| end.min(now));
        Self { rules: rules.collect(), graced_until: past.max(policy.grace_until) }
    }

    /// By rule and, of validations, by check.
    pub fn times(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.rules.iter().map(|(id, since)| (id.as_str(), since.at))
    }

    /// Until when the policy admitted what controllers make; `None` if it never did while it enforced.
    pub fn graced_until(&self) -> Option<Timestamp> {
        self.graced_until
    }

    /// Since when violations of a rule, or of this check of it, deny; `None` if they do not. A rule that could not be
    /// decided as a whole denies since the last of its checks does.
    pub fn since(&self, rule: &str, id: &str) -> Option<Timestamp> {
        let known = self.rules.get(id).or_else(|| self.rules.get(rule));
        let of_check = |of: &str| of.strip_prefix(rule).is_some_and(|it| it.starts_with('/'));
        let checks = || self.rules.iter().filter(|(of, _)| of_check(of)).map(|(_, it)| it.at).max();
        known.map(|it| it.at).or_else(checks)
    }
}

fn next_second(now: Timestamp) -> Timestamp {
    let round = TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Ceil);
    now.round(round).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::scope::{Scope, Selection};
    use super::*;

    fn policy(spec: &Value) -> Policy {
        let scope = Scope::Namespace("shop".to_owned());
        let mut whole = json!({
            "enforcementMode": "enforce", "forbidLatestTag": true, "podSecurity": "baseline",
            "validations": [
                {"name": "a", "expression": "true", "message": "m"},
                {"name": "b", "expression": "true", "message": "m"},
            ],
        });
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        let spec = serde_json::from_value(whole).unwrap();
        Policy::compile(scope, "own".to_owned(), &spec).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The rules whose time moves when the policy changes from one spec to the other.
    fn moved(before: &Value, after: &Value) -> Vec<String> {
        let first = Enforced::default().next(&policy(before), at(10));
        let second = first.next(&policy(after), at(20));
        second.times().filter(|(_, time)| *time == at(20)).map(|(id, _)| id.to_owned()).collect()
    }

    const ALL: [&str; 4] = ["forbidLatestTag", "podSecurity", "validations/a", "validations/b"];

    #[test]
    fn a_time_moves_with_what_its_own_rule_demands_and_with_nothing_else() {
        let none: [&str; 0] = [];
        assert_eq!(moved(&json!({}), &json!({})), none);
        let harmless = json!({"contact": "#team", "graceUntil": "2030-01-01T00:00:00Z", "remediation": {"mode": "plan"}});
        assert_eq!(moved(&json!({}), &harmless), none);
        assert_eq!(
            moved(&json!({}), &json!({"requireLivenessProbe": true})),
            ["requireLivenessProbe"]
        );
        assert_eq!(moved(&json!({}), &json!({"podSecurity": "restricted"})), ["podSecurity"]);
        assert_eq!(moved(&json!({}), &json!({"denySeverity": "critical"})), ALL);
        assert_eq!(moved(&json!({}), &json!({"mutate": true})), ALL);
        let severity = |id: &str| json!({"severityOverrides": {id: "critical"}});
        assert_eq!(moved(&json!({}), &severity("podSecurity/hostPorts")), ["podSecurity"]);
        assert_eq!(moved(&json!({}), &severity("validations/a")), ["validations/a"]);
        assert_eq!(moved(&json!({}), &severity("validations")), ["validations/a", "validations/b"]);
        let validations = json!({"validations": [
            {"name": "b", "expression": "true", "message": "m"},
            {"name": "a", "expression": "1 == 1", "message": "m"},
        ]});
        assert_eq!(moved(&json!({}), &validations), ["validations/a"], "their order is nothing");
        let variables = json!({"variables": [{"name": "v", "expression": "1"}]});
        assert_eq!(moved(&json!({}), &variables), ["validations/a", "validations/b"]);
    }

    #[test]
    fn an_exemption_that_comes_goes_or_changes_moves_the_rules_that_it_names() {
        let exempt = |rules: &Value, end: &str| json!({"exemptions": [{"rules": rules, "reason": "r", "owner": "o", "expiresAt": end}]});
        let year = "2030-01-01T00:00:00Z";
        let latest = exempt(&json!(["forbidLatestTag"]), year);
        assert_eq!(moved(&latest, &json!({})), ["forbidLatestTag"]);
        assert_eq!(
            moved(&latest, &exempt(&json!(["forbidLatestTag"]), "2029-01-01T00:00:00Z")),
            ["forbidLatestTag"]
        );
        assert_eq!(
            moved(&exempt(&json!(["podSecurity/hostPorts"]), year), &json!({})),
            ["podSecurity"]
        );
        assert_eq!(moved(&exempt(&json!(["validations/b"]), year), &json!({})), ["validations/b"]);
    }

    #[test]
    fn a_policy_that_does_not_enforce_has_no_times_and_begins_anew() {
        let first = Enforced::default().next(&policy(&json!({})), at(10));
        let audited = first.next(&policy(&json!({"enforcementMode": "audit"})), at(20));
        assert_eq!(audited, Enforced::default());
        let again = audited.next(&policy(&json!({})), at(30));
        assert!(again.times().all(|(_, time)| time == at(30)) && again.times().count() == 4);
    }

    #[test]
    fn the_selection_of_namespaces_belongs_to_what_a_rule_demands() {
        let spec = serde_json::from_value(json!({"forbidLatestTag": true})).unwrap();
        let excluding = |names: &[&str]| {
            let excluded = names.iter().map(|it| (*it).to_owned()).collect();
            let scope = Scope::Cluster(Selection::new(None, Some(excluded)).unwrap());
            Policy::compile(scope, "own".to_owned(), &spec).unwrap().terms
        };
        assert_eq!(excluding(&["lab"]), excluding(&["lab"]));
        assert_ne!(excluding(&["lab"]), excluding(&[]));
    }

    #[test]
    fn a_recorded_time_is_kept_for_the_version_that_it_was_recorded_of() {
        let old = policy(&json!({}));
        let times = ALL.map(|id| (id.to_owned(), at(10))).into();
        let recorded = Enforced::recorded(&old.terms, &times, None);
        let same = recorded.next(&old, at(20));
        assert!(same.times().all(|(_, time)| time == at(10)));
        let changed = recorded.next(&policy(&json!({"podSecurity": "restricted"})), at(20));
        assert_eq!(changed.since("podSecurity", "podSecurity/hostPorts"), Some(at(20)));
        assert_eq!(changed.since("forbidLatestTag", "forbidLatestTag"), Some(at(10)));
        assert_eq!(changed.since("requireLivenessProbe", "requireLivenessProbe"), None);
        let undecided =
            Enforced::recorded(&old.terms, &[("validations/b".to_owned(), at(5))].into(), None);
        assert_eq!(undecided.since("validations", "validations"), Some(at(5)));
    }

    #[test]
    fn a_grace_that_is_taken_back_has_ended_then_and_one_that_ended_stays() {
        let grace = |second: i64| policy(&json!({"graceUntil": at(second).to_string()}));
        let first = Enforced::default().next(&grace(100), at(10));
        assert_eq!(first.graced_until(), Some(at(100)));
        let taken_back = first.next(&policy(&json!({})), at(20));
        assert_eq!(taken_back.graced_until(), Some(at(20)));
        assert_eq!(taken_back.next(&policy(&json!({})), at(200)).graced_until(), Some(at(20)));
        assert_eq!(first.next(&grace(50), at(20)).graced_until(), Some(at(50)));
        assert_eq!(first.next(&grace(5), at(20)).graced_until(), Some(at(20)));
        assert_eq!(first.next(&grace(300), at(20)).graced_until(), Some(at(300)));
    }

    #[test]
    fn a_time_is_the_next_whole_second() {
        let now: Timestamp = "1970-01-01T00:00:10.25Z".parse().unwrap();
        let since = Enforced::default().next(&policy(&json!({})), now);
        assert_eq!(since.since("forbidLatestTag", "forbidLatestTag"), Some(at(11)));
        assert_eq!(next_second(at(11)), at(11));
    }
}
