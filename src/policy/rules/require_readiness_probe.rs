//! Requires a readiness probe on every container that serves.
//!
//! Without one, a pod gets traffic from the moment it starts, before it can
//! answer, and a rollout goes on past new pods that never will.
//! An app container or a native sidecar that runs on counts as serving, whether or not it declares a port. Containers that
//! run to completion need none, by their own `restartPolicy` and `restartPolicyRules` before their pod's; nor do init
//! containers that are no sidecars, and ephemeral ones. A port is proposed only where the container declares it; a worker
//! that listens nowhere can be probed by a command, or be exempt.

use super::super::rule::{Phase, Rule, examples};
use super::probe;
use crate::api::Severity;

pub static RULE: Rule = Rule {
    id: "requireReadinessProbe",
    severity: Severity::Low,
    phase: Phase::Spec(|spec| {
        if spec.require_readiness_probe != Some(true) {
            return Ok(None);
        }
        let default = spec.default_probe.clone();
        Ok(Some(Box::new(move |subject, breaches| {
            probe::require(
                subject,
                "readinessProbe",
                |it| it.readiness_probe.is_some(),
                default.as_ref(),
                breaches,
            );
        })))
    }),
    reads: &["defaultProbe"],
    checks: &[],
    reads_document: false,
    source: include_str!("require_readiness_probe.rs"),
    examples: examples!("requireReadinessProbe", "fail", "fixed"),
};
