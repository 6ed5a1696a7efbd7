//! Test helpers: the breaches of a rule for a policy field and a pod.

use super::super::object::Object;
use super::super::pod_status::RunningPod;
use super::super::rule::{Breach, Phase, Rule};
use super::super::subject::Subject;
use super::super::workload::Kind;
use crate::api::DevOpsPolicySpec;

/// A policy with one field set.
pub fn enabled(field: &str, value: &str) -> DevOpsPolicySpec {
    serde_json::from_str(&format!(r#"{{"{field}": {value}}}"#)).unwrap()
}

/// The breaches of a spec rule for a pod's spec.
pub fn breaches(rule: &Rule, policy: &DevOpsPolicySpec, spec: &str) -> Vec<Breach> {
    pod_breaches(rule, policy, &format!(r#"{{"spec": {spec}}}"#))
}

/// The breaches of a spec rule for a whole pod.
pub fn pod_breaches(rule: &Rule, policy: &DevOpsPolicySpec, pod: &str) -> Vec<Breach> {
    let Phase::Spec(compile) = rule.phase else { panic!("{} is a status rule", rule.id) };
    let object: Object = serde_json::from_str(pod).unwrap();
    let subject = Subject::of(Kind::Pod, &object).unwrap();
    let mut found = Vec::new();
    if let Some(check) = compile(policy).unwrap() {
        check(&subject, &mut found);
    }
    found
}

/// The breaches of a status rule for a running pod.
pub fn status_breaches(
    rule: &Rule,
    policy: &DevOpsPolicySpec,
    pod: &RunningPod<'_>,
) -> Vec<Breach> {
    let Phase::Status(compile) = rule.phase else { panic!("{} is a spec rule", rule.id) };
    let mut found = Vec::new();
    if let Some(check) = compile(policy).unwrap() {
        check(pod, &mut found);
    }
    found
}
