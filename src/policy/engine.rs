//! Asks the policies. Every door comes through here.

use super::policy_set::Policy;
use super::rule::{Breach, Rule, RunningPod};
use super::workload::Subject;
use crate::api::Severity;

/// A violation: which policy's rule was broken, and how.
pub struct Finding<'p> {
    pub policy: &'p Policy,
    pub rule: &'static Rule,
    pub severity: Severity,
    pub breach: Breach,
}

/// What the spec rules of these policies find.
pub fn judge<'p>(
    policies: impl Iterator<Item = &'p Policy>,
    subject: &Subject<'_>,
) -> Vec<Finding<'p>> {
    let mut findings = Vec::new();
    let mut breaches = Vec::new();
    for policy in policies {
        for enabled in &policy.spec_checks {
            (enabled.check)(subject, &mut breaches);
            findings.extend(breaches.drain(..).map(|breach| Finding {
                policy,
                rule: enabled.rule,
                severity: enabled.severity,
                breach,
            }));
        }
    }
    findings
}

/// What the status rules of these policies find.
pub fn judge_running<'p>(
    policies: impl Iterator<Item = &'p Policy>,
    pod: &RunningPod<'_>,
) -> Vec<Finding<'p>> {
    let mut findings = Vec::new();
    let mut breaches = Vec::new();
    for policy in policies {
        for enabled in &policy.status_checks {
            (enabled.check)(pod, &mut breaches);
            findings.extend(breaches.drain(..).map(|breach| Finding {
                policy,
                rule: enabled.rule,
                severity: enabled.severity,
                breach,
            }));
        }
    }
    findings
}
