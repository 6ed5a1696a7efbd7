//! Asks the policies. Every door comes through here.

use std::sync::Arc;

use super::policy_set::{Plan, Policy, Question};
use super::rule::{Breach, Rule, RunningPod};
use super::workload::Subject;
use crate::api::Severity;

/// A violation: which policy's rule was broken, and how.
pub struct Finding<'p> {
    pub policy: &'p Policy,
    pub rule: &'static Rule,
    pub severity: Severity,
    /// Shared by all policies that asked the same.
    pub breach: Arc<Breach>,
}

/// What the spec rules find.
pub fn judge<'p>(plan: &'p Plan, subject: &Subject<'_>) -> Vec<Finding<'p>> {
    collect(&plan.spec_questions, |check, breaches| check(subject, breaches))
}

/// What the status rules find.
pub fn judge_running<'p>(plan: &'p Plan, pod: &RunningPod<'_>) -> Vec<Finding<'p>> {
    collect(&plan.status_questions, |check, breaches| check(pod, breaches))
}

fn collect<Check>(
    questions: &[Question<Check>],
    ask: impl Fn(&Check, &mut Vec<Breach>),
) -> Vec<Finding<'_>> {
    let mut findings = Vec::new();
    let mut breaches = Vec::new();
    for question in questions {
        ask(&question.check, &mut breaches);
        for breach in breaches.drain(..).map(Arc::new) {
            findings.extend(question.askers.iter().map(|(policy, severity)| Finding {
                policy,
                rule: question.rule,
                severity: *severity,
                breach: Arc::clone(&breach),
            }));
        }
    }
    findings
}
