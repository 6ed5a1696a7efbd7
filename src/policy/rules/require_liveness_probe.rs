//! Requires a liveness probe on every container that serves.
//!
//! Without one, a process that hangs is never restarted: the kubelet sees that
//! it runs, and nothing else.
//! Pods that run to completion, init containers and ephemeral ones need none.

use super::super::rule::{Breach, Phase, Rule};
use super::super::workload::Subject;
use super::probe;
use crate::api::Severity;

pub static RULE: Rule = Rule {
    id: "requireLivenessProbe",
    severity: Severity::Medium,
    phase: Phase::Spec(|spec| spec.require_liveness_probe?.then(|| Box::new(check) as _)),
    source: include_str!("require_liveness_probe.rs"),
};

fn check(subject: &Subject<'_>, breaches: &mut Vec<Breach>) {
    probe::require(subject, "livenessProbe", |it| it.liveness_probe.is_some(), breaches);
}
