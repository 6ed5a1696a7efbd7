//! Bounds how long a pod may stay Pending.
//!
//! A pod that cannot be scheduled, or whose image cannot be pulled, stays Pending and serves no traffic. A pod with a
//! scheduling gate waits on purpose, so it passes. Only the audit can check this, so it never denies.

use super::super::pod_status::RunningPod;
use super::super::rule::{Breach, Phase, Rule, examples, module_comment};
use super::super::vap::form::Form;
use crate::api::Severity;

pub static RULE: Rule = Rule {
    id: "forbidPendingDuration",
    severity: Severity::Medium,
    phase: Phase::Status(|spec| {
        let Some(seconds) = spec.forbid_pending_duration else { return Ok(None) };
        Ok(Some(Box::new(move |pod, breaches| check(pod, seconds, breaches))))
    }),
    reads: &[],
    checks: &[],
    reads_document: false,
    vap: Form::None("it is about a running pod's status, so it never denies"),
    comment: module_comment!("forbid_pending_duration.rs"),
    examples: examples!("forbidPendingDuration", "fail", "pass"),
};

fn check(pod: &RunningPod<'_>, seconds: u32, breaches: &mut Vec<Breach>) {
    if pod.phase == "Pending" && !pod.gated && pod.age_seconds > u64::from(seconds) {
        breaches.push(Breach {
            path: "status.phase".to_owned(),
            value: Some("Pending".to_owned()),
            problem: format!("is \"Pending\" for {} s, more than {seconds} s", pod.age_seconds),
            remedy: "see what it waits for: kubectl describe pod".to_owned(),
            ..Breach::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{enabled, status_breaches};
    use super::*;

    #[test]
    fn a_pod_is_late_only_past_the_limit_while_pending_and_not_gated() {
        let policy = enabled("forbidPendingDuration", "300");
        let late = |phase, gated, age_seconds| {
            let pod = RunningPod { phase, gated, age_seconds, restarts: Vec::new() };
            !status_breaches(&RULE, &policy, &pod).is_empty()
        };
        assert!(late("Pending", false, 301));
        assert!(!late("Pending", false, 300));
        assert!(!late("Pending", true, 301));
        assert!(!late("Running", false, 301));
    }
}
