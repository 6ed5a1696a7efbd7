//! Requires a readiness probe on every container that serves.
//!
//! Without one, a pod gets traffic from the moment it starts, before it can
//! answer, and a rollout goes on past new pods that never will.
//! Pods that run to completion, init containers and ephemeral ones need none.

use super::super::rule::{Breach, Phase, Rule};
use super::super::workload::Subject;
use super::probe;
use crate::api::Severity;

pub static RULE: Rule = Rule {
    id: "requireReadinessProbe",
    severity: Severity::Low,
    phase: Phase::Spec(|spec| spec.require_readiness_probe?.then(|| Box::new(check) as _)),
    source: include_str!("require_readiness_probe.rs"),
};

fn check(subject: &Subject<'_>, breaches: &mut Vec<Breach>) {
    probe::require(subject, "readinessProbe", |it| it.readiness_probe.is_some(), breaches);
}
