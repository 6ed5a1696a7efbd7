//! Metrics of what policies decide at admission, of every replica. The series of a policy begin at 0 when it comes into
//! force, and end with it.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::family::counters;
use crate::api::{EnforcementMode, Severity};
use crate::policy::compile::Policy;
use crate::policy::decision::{Decision, each_once};
use crate::policy::policy_set::PolicySet;

/// The most validations that violations are counted for by name; those of further ones count as `validations`. Policies
/// name their validations, so without it, who may write policies decides the number of series.
const MAX_VALIDATIONS: usize = 500;
/// The rule whose checks are named by policies.
const VALIDATIONS: &str = "validations";

/// The values of the label `mode`.
const MODES: [EnforcementMode; 3] =
    [EnforcementMode::Audit, EnforcementMode::Warn, EnforcementMode::Enforce];

/// The labels of a violation: mode, `RULE` or `RULE/CHECK`, and severity.
type ViolationLabels = (&'static str, Cow<'static, str>, Severity);

/// What the policies decided on one object. It is made for each review, so it is made of runs: findings with the same
/// labels follow each other, but those of another policy may stand between them.
#[derive(Debug, Default)]
pub struct Decided {
    violations: Vec<(ViolationLabels, u64)>,
    /// Rule and severity of the violations that denied.
    denials: Vec<((&'static str, Severity), u64)>,
    /// The labels of the policies that denied, each once.
    denied: Vec<String>,
    /// The labels of the policies that would have denied, were they in the mode `enforce` and not in their grace, each
    /// once.
    would_deny: Vec<String>,
}

impl Decided {
    pub fn new(decision: &Decision<'_>) -> Self {
        let violations = decision.all().map(|it| (it.policy.mode.as_str(), it.id(), it.severity));
        let denials = decision.denied.iter().map(|it| (it.rule.id, it.severity));
        let label = |policy: &Policy| policy.label.clone();
        let denied = each_once(decision.denied.iter().map(|it| it.policy).collect());
        Self {
            violations: runs(violations),
            denials: runs(denials),
            denied: denied.into_iter().map(label).collect(),
            would_deny: decision.would_deny.iter().copied().map(label).collect(),
        }
    }
}

/// Each run of equal items as one, with its length.
fn runs<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<(T, u64)> {
    let mut runs: Vec<(T, u64)> = Vec::new();
    for item in items {
        match runs.last_mut() {
            Some((last, count)) if *last == item => *count += 1,
            _ => runs.push((item, 1)),
        }
    }
    runs
}

#[derive(Clone)]
pub(super) struct DecisionMetrics {
    denials: IntCounterVec,
    violations: IntCounterVec,
    denied: IntCounterVec,
    would_deny: IntCounterVec,
    in_force: Arc<RwLock<InForce>>,
}

/// The policies that have series. Reviews that began under older policies count nothing for others, so that no series
/// outlives its policy.
#[derive(Default)]
struct InForce {
    /// By the policies' labels.
    policies: HashMap<String, PolicyCounters>,
    /// The ids of the validations that are counted by name.
    validations: BTreeSet<String>,
}

struct PolicyCounters {
    namespace: String,
    name: String,
    denied: IntCounter,
    would_deny: IntCounter,
}

impl DecisionMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            denials: counters(
                registry,
                "podgate_admission_denials_total",
                "Violations that denied an object. A controller's retries of one pod template count once a minute.",
                &["rule", "severity"],
            )?,
            violations: counters(
                registry,
                "podgate_admission_violations_total",
                "Violations that reviews found, by the mode of their policy; retries as in \
                 podgate_admission_denials_total.",
                &["mode", "rule", "severity"],
            )?,
            denied: counters(
                registry,
                "devopspolicy_denied_total",
                "Reviews that the policy denied; retries as in podgate_admission_denials_total.",
                &["namespace", "policy"],
            )?,
            would_deny: counters(
                registry,
                "devopspolicy_would_deny_total",
                "Reviews that the policy, in the mode audit or warn or in its grace, would have denied in the mode enforce \
                 without grace; retries as in podgate_admission_denials_total.",
                &["namespace", "policy"],
            )?,
            in_force: Arc::default(),
        })
    }

    /// These policies decide reviews from now on.
    pub fn in_force(&self, set: &PolicySet) {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut in_force.policies);
        in_force.policies = set
            .policies()
            .iter()
            .map(|policy| {
                let known = before.remove(&policy.label);
                (policy.label.clone(), known.unwrap_or_else(|| self.counters(policy)))
            })
            .collect();
        for PolicyCounters { namespace, name, .. } in before.into_values() {
            // An error means that there was no such series.
            drop(self.denied.remove_label_values(&[&namespace, &name]));
            drop(self.would_deny.remove_label_values(&[&namespace, &name]));
        }
        // The last policies are those of the cluster. They come first here, so that none of a namespace takes their
        // place.
        let names = set.policies().iter().rev().flat_map(|policy| policy.validations());
        let mut validations = BTreeSet::new();
        for name in names {
            if validations.len() < MAX_VALIDATIONS {
                validations.insert(format!("{VALIDATIONS}/{name}"));
            }
        }
        for id in in_force.validations.difference(&validations) {
            for mode in MODES {
                for severity in Severity::ALL {
                    let labels = [mode.as_str(), id, severity.as_str()];
                    drop(self.violations.remove_label_values(&labels));
                }
            }
        }
        in_force.validations = validations;
    }

    fn counters(&self, policy: &Policy) -> PolicyCounters {
        let namespace = policy.scope.namespace().unwrap_or_default().to_owned();
        let name = policy.name.clone();
        let labels = [&*namespace, &*name];
        let denied = self.denied.with_label_values(&labels);
        let would_deny = self.would_deny.with_label_values(&labels);
        PolicyCounters { namespace, name, denied, would_deny }
    }

    /// Counts a decision.
    pub fn count(&self, decided: &Decided) {
        let Decided { violations, denials, denied, would_deny } = decided;
        if violations.is_empty() {
            return;
        }
        for ((rule, severity), count) in denials {
            self.denials.with_label_values(&[*rule, severity.as_str()]).inc_by(*count);
        }
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        for ((mode, rule, severity), count) in violations {
            let of_policies = rule.starts_with("validations/");
            let unnamed = of_policies && !in_force.validations.contains(&**rule);
            let rule = if unnamed { VALIDATIONS } else { rule };
            let labels = [*mode, rule, severity.as_str()];
            self.violations.with_label_values(&labels).inc_by(*count);
        }
        let counters = |label: &String| in_force.policies.get(label);
        denied.iter().filter_map(counters).for_each(|it| it.denied.inc());
        would_deny.iter().filter_map(counters).for_each(|it| it.would_deny.inc());
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::super::Metrics;
    use super::super::admission::ReviewSummary;
    use super::*;
    use crate::policy::decision::decide;
    use crate::policy::engine::judge;
    use crate::policy::inherited::Before;
    use crate::policy::object::Object;
    use crate::policy::scope::{Scope, Selection};
    use crate::policy::subject::Subject;
    use crate::policy::workload::Kind;

    fn of_shop(name: &str, spec: &Value) -> Arc<Policy> {
        policy(Scope::Namespace("shop".to_owned()), name, spec)
    }

    fn of_cluster(name: &str, spec: &Value) -> Arc<Policy> {
        policy(Scope::Cluster(Selection::default()), name, spec)
    }

    fn policy(scope: Scope, name: &str, spec: &Value) -> Arc<Policy> {
        let spec = serde_json::from_value(spec.clone()).unwrap();
        Arc::new(Policy::compile(scope, name.to_owned(), &spec).unwrap())
    }

    fn set(policies: impl IntoIterator<Item = Arc<Policy>>) -> PolicySet {
        PolicySet::new(policies, Arc::default())
    }

    /// Counts the creation of a pod of the image `nginx` in the namespace `shop`.
    fn create(metrics: &Metrics, set: &PolicySet, retry: bool) {
        let pod = r#"{"spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#;
        let object: Object = serde_json::from_str(pod).unwrap();
        let subject = Subject::of(Kind::Pod, &object).unwrap();
        let plan = set.covering(Some("shop")).unwrap();
        let found = judge(plan, &subject, Timestamp::UNIX_EPOCH).violations;
        let decision = decide(found, &Before::Nothing, Timestamp::UNIX_EPOCH);
        metrics.admission.judged(&ReviewSummary {
            webhook: "validate",
            operation: "CREATE",
            kind: "Pod",
            decision: decision.outcome().as_str(),
            decided: &Decided::new(&decision),
            retry,
            patch_operations: 0,
        });
    }

    /// The lines of `/metrics` whose name begins so.
    fn series(metrics: &Metrics, name: &str) -> Vec<String> {
        let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn a_policy_counts_from_0_what_it_denied_or_would_have_and_ends_with_its_series() {
        let metrics = Metrics::new().unwrap();
        let rules = |mode: &str| json!({"enforcementMode": mode, "forbidLatestTag": true, "requireLivenessProbe": true});
        let mut mild = rules("warn");
        mild["denySeverity"] = "critical".into();
        let all = set([
            of_shop("a", &rules("audit")),
            of_shop("w", &rules("warn")),
            of_shop("mild", &mild),
            of_cluster("e", &rules("enforce")),
        ]);
        metrics.policies.loaded(&all, 0);
        assert_eq!(series(&metrics, "devopspolicy_denied_total").len(), 4);
        assert_eq!(
            series(&metrics, r#"devopspolicy_denied_total{namespace="",policy="e"}"#),
            [r#"devopspolicy_denied_total{namespace="",policy="e"} 0"#]
        );
        create(&metrics, &all, false);
        create(&metrics, &all, true);
        insta::assert_snapshot!(series(&metrics, "devopspolicy_denied_total").join("\n"), @r#"
        devopspolicy_denied_total{namespace="",policy="e"} 1
        devopspolicy_denied_total{namespace="shop",policy="a"} 0
        devopspolicy_denied_total{namespace="shop",policy="mild"} 0
        devopspolicy_denied_total{namespace="shop",policy="w"} 0
        "#);
        insta::assert_snapshot!(series(&metrics, "devopspolicy_would_deny_total").join("\n"), @r#"
        devopspolicy_would_deny_total{namespace="",policy="e"} 0
        devopspolicy_would_deny_total{namespace="shop",policy="a"} 1
        devopspolicy_would_deny_total{namespace="shop",policy="mild"} 0
        devopspolicy_would_deny_total{namespace="shop",policy="w"} 1
        "#);
        insta::assert_snapshot!(series(&metrics, "podgate_admission_violations_total").join("\n"), @r#"
        podgate_admission_violations_total{mode="audit",rule="forbidLatestTag",severity="high"} 1
        podgate_admission_violations_total{mode="audit",rule="requireLivenessProbe",severity="medium"} 1
        podgate_admission_violations_total{mode="enforce",rule="forbidLatestTag",severity="high"} 1
        podgate_admission_violations_total{mode="enforce",rule="requireLivenessProbe",severity="medium"} 1
        podgate_admission_violations_total{mode="warn",rule="forbidLatestTag",severity="high"} 2
        podgate_admission_violations_total{mode="warn",rule="requireLivenessProbe",severity="medium"} 2
        "#);
        insta::assert_snapshot!(series(&metrics, "podgate_admission_denials_total").join("\n"), @r#"
        podgate_admission_denials_total{rule="forbidLatestTag",severity="high"} 1
        podgate_admission_denials_total{rule="requireLivenessProbe",severity="medium"} 1
        "#);
        let retries = series(&metrics, "podgate_admission_repeated_denials_total");
        assert_eq!(retries, ["podgate_admission_repeated_denials_total 1"]);

        let left = set([of_shop("a", &rules("enforce"))]);
        metrics.policies.loaded(&left, 0);
        // A review that began before.
        create(&metrics, &all, false);
        create(&metrics, &left, false);
        assert_eq!(
            series(&metrics, "devopspolicy_denied_total"),
            [r#"devopspolicy_denied_total{namespace="shop",policy="a"} 1"#]
        );
        assert_eq!(
            series(&metrics, "devopspolicy_would_deny_total"),
            [r#"devopspolicy_would_deny_total{namespace="shop",policy="a"} 2"#]
        );
    }

    #[test]
    fn a_validation_is_counted_by_its_name_while_a_policy_has_it() {
        let metrics = Metrics::new().unwrap();
        let validations = |names: &[String]| {
            let one = |name: &String| json!({"name": name, "expression": "false", "message": "m"});
            json!({"validations": names.iter().map(one).collect::<Vec<_>>()})
        };
        let counted = |set: &PolicySet| {
            metrics.policies.loaded(set, 0);
            create(&metrics, set, false);
            series(&metrics, "podgate_admission_violations_total")
        };
        let line = |rule: &str, count: u64| {
            format!(
                r#"podgate_admission_violations_total{{mode="audit",rule="{rule}",severity="medium"}} {count}"#
            )
        };
        let team = of_shop("team", &validations(&["team".to_owned()]));
        assert_eq!(counted(&set([Arc::clone(&team)])), [line("validations/team", 1)]);

        // More than are counted by name: those of the cluster come first.
        let names = |of: &str| (0..30).map(|it| format!("{of}-{it}")).collect::<Vec<_>>();
        let many = (0..20)
            .map(|it| of_cluster(&format!("c{it}"), &validations(&names(&format!("c{it}")))));
        let many = set(many.chain([team]));
        let lines = counted(&many);
        assert_eq!(lines.len(), MAX_VALIDATIONS + 1);
        assert!(lines.contains(&line("validations", 101)), "100 of the cluster and the team's");

        assert_eq!(counted(&set([])), [line("validations", 101)], "no policy has the others");
        create(&metrics, &many, false);
        let late = series(&metrics, "podgate_admission_violations_total");
        assert_eq!(late, [line("validations", 702)], "a review that began before");
    }
}
