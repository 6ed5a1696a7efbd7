//! Asks the policies. Every door comes through here.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use super::compile::Policy;
use super::policy_set::{Plan, Question};
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

impl Finding<'_> {
    /// The rule, or `RULE/CHECK`.
    pub fn id(&self) -> Cow<'static, str> {
        self.breach.id(self.rule)
    }
}

/// What the policies say of a pod.
#[derive(Default)]
pub struct Judgement<'p> {
    pub violations: Vec<Finding<'p>>,
    /// Violations that their own policy lets pass. They count as none.
    pub exempt: Vec<Exempt<'p>>,
}

/// A violation, and which of its policy's exemptions lets it pass.
pub struct Exempt<'p> {
    pub finding: Finding<'p>,
    /// Its place in `spec.exemptions`.
    pub exemption: usize,
}

/// What the spec rules find. Exemptions that have expired by `now` let nothing pass.
pub fn judge<'p>(plan: &'p Plan, subject: &Subject<'_>, now: Timestamp) -> Judgement<'p> {
    collect(&plan.spec_questions, subject, now, |check, breaches| check(subject, breaches))
}

/// What the status rules find in a running pod; `subject` is the same pod, for exemptions.
pub fn judge_running<'p>(
    plan: &'p Plan,
    subject: &Subject<'_>,
    pod: &RunningPod<'_>,
    now: Timestamp,
) -> Judgement<'p> {
    collect(&plan.status_questions, subject, now, |check, breaches| check(pod, breaches))
}

fn collect<'p, Check>(
    questions: &'p [Question<Check>],
    subject: &Subject<'_>,
    now: Timestamp,
    ask: impl Fn(&Check, &mut Vec<Breach>),
) -> Judgement<'p> {
    let mut judgement = Judgement::default();
    let mut breaches = Vec::new();
    for Question { rule, check, askers, .. } in questions {
        ask(check, &mut breaches);
        for breach in breaches.drain(..).map(Arc::new) {
            for policy in askers {
                let severity = policy.severity(rule, &breach);
                let exemption = policy
                    .exemptions
                    .iter()
                    .position(|exemption| exemption.covers(rule, &breach, subject, now));
                let finding = Finding { policy, rule, severity, breach: Arc::clone(&breach) };
                match exemption {
                    None => judgement.violations.push(finding),
                    Some(exemption) => judgement.exempt.push(Exempt { finding, exemption }),
                }
            }
        }
    }
    judgement
}
