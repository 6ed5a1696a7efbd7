//! Requires a liveness probe on every container that serves.
//!
//! Without one, a process that hangs is never restarted: the kubelet sees only that it runs.
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
    id: "requireLivenessProbe",
    severity: Severity::Medium,
    phase: Phase::Spec(|spec| {
        if spec.require_liveness_probe != Some(true) {
            return Ok(None);
        }
        let default = spec.default_probe.clone();
        Ok(Some(Box::new(move |subject, breaches| {
            probe::require(
                subject,
                "livenessProbe",
                |it| it.liveness_probe.is_some(),
                default.as_ref(),
                breaches,
            );
        })))
    }),
    reads: &["defaultProbe"],
    checks: &[],
    reads_document: false,
    vap: Form::Cel(|spec| match spec.require_liveness_probe {
        Some(true) => vec![probe::in_cel("livenessProbe", spec.default_probe.as_ref())],
        _ => Vec::new(),
    }),
    comment: module_comment!("require_liveness_probe.rs"),
    examples: examples!("requireLivenessProbe", "fail", "fixed"),
};
