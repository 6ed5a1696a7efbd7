//! Runs the checks of policies on a pod. Admission, the audit and scans all use it.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::compile::Policy;
use super::mutation::inject;
use super::object::{MAX_ITEMS, MAX_WEIGHT};
use super::plan::{EvaluationPlan, SharedCheck};
use super::pod_status::RunningPod;
use super::rule::{Breach, Rule};
use super::subject::Subject;
use super::text::{MAX_VALUE, brief};
use crate::api::{Exemption, Severity};

/// A violation of one policy.
pub struct Finding<'p> {
    pub policy: &'p Policy,
    pub rule: &'static Rule,
    pub severity: Severity,
    /// Shared by all policies with the same check.
    pub breach: Arc<Breach>,
    /// The exemption of the policy that covered the violation until it expired.
    pub expired: Option<&'p Exemption>,
}

impl Finding<'_> {
    /// `RULE` or `RULE/CHECK`.
    pub fn id(&self) -> Cow<'static, str> {
        self.breach.id(self.rule)
    }

    /// `PATH PROBLEM; REMEDY` and, if an exemption has expired, `; exempt until DATE (OWNER, REASON)`.
    pub fn sentence(&self) -> String {
        self.breach.sentence() + &self.expiry()
    }

    /// `; exempt until DATE (OWNER, REASON)`; empty unless an exemption has expired.
    pub(super) fn expiry(&self) -> String {
        self.expired.map(told_end).unwrap_or_default()
    }
}

/// The end of an exemption, as the end of a sentence; empty if it never ends.
pub(super) fn told_end(exemption: &Exemption) -> String {
    let Exemption { owner, reason, expires_at: Some(end), .. } = exemption else {
        return String::new();
    };
    let text = |text: &str| brief(text.to_owned(), MAX_VALUE);
    format!("; exempt until {} ({}, {})", end.0.strftime("%F"), text(owner), text(reason))
}

/// The findings of all policies on a pod.
#[derive(Default)]
pub struct Judgement<'p> {
    pub violations: Vec<Finding<'p>>,
    /// Violations that their own policy exempts. They do not count.
    pub exempt: Vec<Exempt<'p>>,
}

/// An exempt violation, and the exemption of its policy.
pub struct Exempt<'p> {
    pub finding: Finding<'p>,
    /// The index in `spec.exemptions`.
    pub exemption: usize,
}

/// Runs the spec rules. Exemptions that have expired by `now` do not apply.
pub fn judge<'p>(plan: &'p EvaluationPlan, subject: &Subject<'_>, now: Timestamp) -> Judgement<'p> {
    if subject.is_too_large() {
        return judge_undecided(plan, subject, &too_large(subject), now);
    }
    collect(&plan.spec_checks, subject, now, |check, breaches| check(subject, breaches))
}

/// The same for an object that is being created, or whose template changes: judges it with the mutations of all
/// policies. `whole` returns the object behind the subject's view; it is called only if there are mutations.
pub fn judge_as_created<'p>(
    plan: &'p EvaluationPlan,
    subject: &Subject<'_>,
    whole: impl FnOnce() -> Option<Value>,
    now: Timestamp,
) -> Judgement<'p> {
    inject(plan, subject, whole, now)
        .and_then(|injected| injected.view(subject, |after| judge(plan, after, now)))
        .unwrap_or_else(|| judge(plan, subject, now))
}

/// The violation of every rule by an object that cannot be judged, with this breach.
pub fn judge_undecided<'p>(
    plan: &'p EvaluationPlan,
    subject: &Subject<'_>,
    breach: &Breach,
    now: Timestamp,
) -> Judgement<'p> {
    collect(&plan.spec_checks, subject, now, |_, breaches| breaches.push(breach.clone()))
}

/// The breach of every rule in a pod that is too large to judge: an error is not a pass.
fn too_large(subject: &Subject<'_>) -> Breach {
    Breach {
        path: subject.kind.names().spec_path.to_owned(),
        problem: format!(
            "could not be judged: it has more than {MAX_ITEMS} containers or volumes, or more than {MAX_WEIGHT} ports and \
             capabilities"
        ),
        remedy: "make it several pods".to_owned(),
        undecided: true,
        ..Breach::default()
    }
}

/// Runs the status rules on a running pod. `subject` is the same pod; exemptions match it.
pub fn judge_running<'p>(
    plan: &'p EvaluationPlan,
    subject: &Subject<'_>,
    pod: &RunningPod<'_>,
    now: Timestamp,
) -> Judgement<'p> {
    collect(&plan.status_checks, subject, now, |check, breaches| check(pod, breaches))
}

fn collect<'p, Check>(
    checks: &'p [SharedCheck<Check>],
    subject: &Subject<'_>,
    now: Timestamp,
    run: impl Fn(&Check, &mut Vec<Breach>),
) -> Judgement<'p> {
    let mut judgement = Judgement::default();
    let mut breaches = Vec::new();
    for SharedCheck { rule, check, policies, .. } in checks {
        run(check, &mut breaches);
        for breach in breaches.drain(..).map(Arc::new) {
            for policy in policies {
                // An undecided rule could hide any of its checks, so it has the severity of the worst.
                let whole = breach.undecided && breach.check.is_none();
                let worst = if whole { policy.worst_severity(rule) } else { None };
                let severity = worst.unwrap_or_else(|| policy.severity(rule, &breach));
                let exemption = policy.exemption(rule, &breach, subject, now);
                let expired = match exemption {
                    None => policy.expired_exemption(rule, &breach, subject, now),
                    Some(_) => None,
                };
                let breach = Arc::clone(&breach);
                let finding = Finding { policy, rule, severity, breach, expired };
                match exemption {
                    None => judgement.violations.push(finding),
                    Some(exemption) => judgement.exempt.push(Exempt { finding, exemption }),
                }
            }
        }
    }
    judgement
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::object::Object;
    use super::super::policy_set::PolicySet;
    use super::super::scope::{Scope, Selection};
    use super::super::workload::Kind;
    use super::*;

    const NOW: &str = "2026-06-01T00:00:00Z";

    fn policy(name: &str, spec: &Value) -> Arc<Policy> {
        let spec = serde_json::from_value(spec.clone()).unwrap();
        let scope = Scope::Cluster(Selection::default());
        Arc::new(Policy::compile(scope, name.to_owned(), &spec).unwrap())
    }

    /// The violations and exempt violations of a pod of Deployment `shop/cart`.
    fn found(policies: Vec<Arc<Policy>>) -> (Vec<String>, Vec<String>) {
        let pod = r#"{
            "metadata": {"name": "cart-5d4-x", "labels": {"pod-template-hash": "5d4"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-5d4", "controller": true}]},
            "spec": {"containers": [{"name": "web", "image": "nginx"}, {"name": "log", "image": "ghcr.io/team/log"}]}
        }"#;
        let object: Object = serde_json::from_str(pod).unwrap();
        let mut subject = Subject::of(Kind::Pod, &object).unwrap();
        subject.namespace = Some("shop");
        let set = PolicySet::new(policies, Arc::default());
        let plan = set.covering(Some("shop")).unwrap();
        let judgement = judge(plan, &subject, NOW.parse().unwrap());
        let describe = |it: &Finding<'_>| {
            let container = it.breach.container.as_deref().unwrap_or("-");
            format!("{} {} ({}) {container}", it.policy.name, it.id(), it.severity)
        };
        let exempt = judgement.exempt.iter().map(|it| describe(&it.finding)).collect();
        (judgement.violations.iter().map(describe).collect(), exempt)
    }

    fn exempting(fields: &Value) -> Value {
        let mut exemption = json!({"rules": ["forbidLatestTag"], "reason": "r", "owner": "o"});
        exemption.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"forbidLatestTag": true, "exemptions": [exemption]})
    }

    #[test]
    fn an_exemption_lets_pass_what_every_field_it_gives_matches() {
        for (fields, exempt) in [
            (json!({}), vec!["web", "log"]),
            (json!({"containers": ["w*"]}), vec!["web"]),
            (json!({"images": ["ghcr.io/*"]}), vec!["log"]),
            (json!({"images": ["ghcr.io/*"], "containers": ["web"]}), vec![]),
            (json!({"kinds": ["Deployment"]}), vec!["web", "log"]),
            (json!({"kinds": ["Deployment"], "names": ["cart"]}), vec!["web", "log"]),
            (json!({"kinds": ["Pod"], "names": ["cart"]}), vec![]),
            (json!({"names": ["cart-???-?"]}), vec!["web", "log"]),
            (json!({"kinds": ["StatefulSet"]}), vec![]),
            (json!({"namespaces": ["sh*"]}), vec!["web", "log"]),
            (json!({"namespaces": ["lab"]}), vec![]),
            (json!({"expiresAt": "2026-06-01T00:00:01Z"}), vec!["web", "log"]),
            (json!({"expiresAt": NOW}), vec![]),
            (json!({"rules": ["requireLivenessProbe"]}), vec![]),
        ] {
            let (violations, passed) = found(vec![policy("p", &exempting(&fields))]);
            assert_eq!(violations.len() + passed.len(), 2, "{fields}");
            let containers: Vec<_> = passed.iter().filter_map(|it| it.rsplit(' ').next()).collect();
            assert_eq!(containers, exempt, "{fields}");
        }
    }

    #[test]
    fn an_exemption_of_images_is_about_images_and_no_value_that_a_tenant_chose() {
        let spec = json!({
            "requiredLabels": [{"key": "pod-template-hash", "pattern": "x"}],
            "exemptions": [{"rules": ["requiredLabels"], "images": ["*5d4*"], "reason": "r", "owner": "o"}],
        });
        let (violations, exempt) = found(vec![policy("p", &spec)]);
        assert_eq!((violations.len(), exempt.len()), (1, 0), "a label's value is no image");
    }

    #[test]
    fn nothing_in_one_policy_weakens_another() {
        let mut lenient = exempting(&json!({}));
        lenient["severityOverrides"] = json!({"forbidLatestTag": "low"});
        let strict = json!({"forbidLatestTag": true, "enforcementMode": "enforce"});
        let (violations, exempt) =
            found(vec![policy("lenient", &lenient), policy("strict", &strict)]);
        assert_eq!(
            violations,
            ["strict forbidLatestTag (high) web", "strict forbidLatestTag (high) log"]
        );
        assert_eq!(exempt.len(), 2);
        assert!(exempt[0].starts_with("lenient forbidLatestTag (low)"), "{exempt:?}");
    }

    #[test]
    fn an_override_of_a_check_wins_over_one_of_its_rule_and_over_its_own_severity() {
        let validation = |name: &str| json!({"name": name, "expression": "false", "message": "m", "severity": "high"});
        let spec = json!({
            "validations": [validation("a"), validation("b"), validation("c")],
            "severityOverrides": {"validations/a": "low", "validations": "critical"},
        });
        // Without a document at hand they cannot be decided, which is a violation too.
        let (violations, _) = found(vec![policy("p", &spec)]);
        assert_eq!(
            violations,
            [
                "p validations/a (low) -",
                "p validations/b (critical) -",
                "p validations/c (critical) -"
            ]
        );
    }

    #[test]
    fn a_rules_worst_severity_is_that_of_the_worst_that_it_can_find() {
        let validation = |name: &str, severity: &str| json!({"name": name, "expression": "true", "message": "m", "severity": severity});
        let worst = |spec: &Value, id: &str| {
            let rule = super::super::registry::find(id).unwrap();
            policy("p", spec).worst_severity(rule).map(Severity::as_str)
        };
        let own = json!({"validations": [validation("a", "low"), validation("b", "high")]});
        assert_eq!(worst(&own, "validations"), Some("high"));
        assert_eq!(worst(&own, "podSecurity"), None);
        let standard =
            |overrides: Value| json!({"podSecurity": "baseline", "severityOverrides": overrides});
        assert_eq!(worst(&standard(json!({})), "podSecurity"), Some("high"));
        assert_eq!(worst(&standard(json!({"podSecurity": "low"})), "podSecurity"), Some("low"));
        let one = json!({"podSecurity": "low", "podSecurity/privileged": "critical"});
        assert_eq!(worst(&standard(one), "podSecurity"), Some("critical"));
    }

    #[test]
    fn a_pod_too_large_to_look_at_breaks_every_rule_as_badly_as_it_may() {
        let list = vec![r#"{"name": "web", "image": "nginx:1.29"}"#; 1001].join(",");
        let pod = format!(r#"{{"spec": {{"containers": [{list}]}}}}"#);
        let object: Object = serde_json::from_str(&pod).unwrap();
        let subject = Subject::of(Kind::Pod, &object).unwrap();
        let overrides = json!({"podSecurity": "low", "podSecurity/privileged": "critical"});
        let exemption = json!({"rules": ["podSecurity"], "images": ["nginx*"], "containers": ["*"], "reason": "r", "owner": "o"});
        let spec = json!({"forbidLatestTag": true, "podSecurity": "baseline", "severityOverrides": overrides, "exemptions": [exemption]});
        let set = PolicySet::new(vec![policy("p", &spec)], Arc::default());
        let judgement = judge(set.covering(None).unwrap(), &subject, NOW.parse().unwrap());
        let render =
            |it: &Finding<'_>| format!("{} ({}) {}", it.id(), it.severity, it.breach.sentence());
        let why = "spec could not be judged: it has more than 1000 containers or volumes, or more than 100000 ports and capabilities; make it several pods";
        assert_eq!(
            judgement.violations.iter().map(render).collect::<Vec<_>>(),
            [format!("forbidLatestTag (high) {why}"), format!("podSecurity (critical) {why}")]
        );
    }

    #[test]
    fn ids_that_name_nothing_refuse_the_policy() {
        let refused = |spec: &Value| {
            let spec = serde_json::from_value(spec.clone()).unwrap();
            let scope = Scope::Namespace("shop".to_owned());
            Policy::compile(scope, "p".to_owned(), &spec).err().expect("accepted").to_string()
        };
        insta::assert_snapshot!(refused(&json!({"severityOverrides": {"forbidLatestTags": "low"}})), @r#"spec.severityOverrides["forbidLatestTags"]: there is no rule "forbidLatestTags"; podgate explain lists them"#);
        insta::assert_snapshot!(refused(&json!({"severityOverrides": {"forbidLatestTag/x": "low"}})), @r#"spec.severityOverrides["forbidLatestTag/x"]: forbidLatestTag is one check; write "forbidLatestTag""#);
        insta::assert_snapshot!(refused(&exempting(&json!({"rules": ["validations/x"]}))), @r#"spec.exemptions[0].rules[0]: validations has no check "x"; it has none"#);
        insta::assert_snapshot!(refused(&exempting(&json!({"namespaces": ["shop"]}))), @"spec.exemptions[0].namespaces: only a ClusterDevOpsPolicy has more than one namespace");
    }
}
