//! Requires a readiness probe on every container that serves.
//!
//! Without one, a pod receives traffic from the moment it starts, before it can answer, and a rollout continues past
//! new pods that never will.
//!
//! App containers and native sidecars count as serving, whether or not they declare a port, unless they run to
//! completion: by their own `restartPolicy` and `restartPolicyRules`, else by the pod's. Other init containers and
//! ephemeral containers need no probe. The remedy proposes only ports that the container declares. A worker without a
//! port can be probed by a command, or be exempt.

use super::super::rule::{Phase, Rule, examples, module_comment};
use super::super::vap::form::Form;
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
    vap: Form::Cel(|spec| match spec.require_readiness_probe {
        Some(true) => vec![probe::in_cel("readinessProbe", spec.default_probe.as_ref())],
        _ => Vec::new(),
    }),
    comment: module_comment!("require_readiness_probe.rs"),
    examples: examples!("requireReadinessProbe", "fail", "fixed"),
};
