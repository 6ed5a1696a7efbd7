//! Builds the status of a policy. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::exemptions::exemptions;
use super::{affected, refused};
use crate::api::{BundleStatus, DevOpsPolicyStatus, GracePhase, GraceStatus, TopViolation};
use crate::policy::bundles;
use crate::policy::called::Called;
use crate::policy::enforced::Enforced;
use crate::policy::floor_state::FloorState;
use crate::policy::in_force::PolicyFault;
use crate::policy::observed::{ObservedPolicy, ObservedRemediation, Violation};
use crate::policy::score::Score;
use crate::policy::text::cut;

/// The longest workload and field path of a top violation, in bytes (the CRD's limits).
const MAX_WORKLOAD: usize = 512;
const MAX_PATH: usize = 256;

/// The known state of a policy. With a fault, `observed` has the results of the version in force instead.
#[derive(Clone, Default)]
pub(super) struct PolicyState {
    pub observed: Option<ObservedPolicy>,
    pub fault: Option<PolicyFault>,
    /// The status of its remediation.
    pub remediation: ObservedRemediation,
    /// Whether the API servers call podgate.
    pub called: Called,
    /// What the floor holds.
    pub floor: FloorState,
}

impl PolicyState {
    /// The new status, given the current one. Times change only if what they are about changes.
    pub fn status(&self, current: &DevOpsPolicyStatus, now: Timestamp) -> DevOpsPolicyStatus {
        let mut status = self.observed.as_ref().map(|it| found(it, now)).unwrap_or_default();
        status.observed_generation = self.generation();
        status.conditions = self.conditions(&current.conditions, now);
        status.conditions.extend(self.enforcing(&current.conditions, now));
        status.conditions.extend(self.floor(&current.conditions, now));
        status.last_good = match (&self.observed, &self.fault) {
            (Some(observed), None) => observed.policy.text.as_deref().map(str::to_owned),
            _ => current.last_good.clone(),
        };
        status.remediation = match &self.remediation {
            ObservedRemediation::Unknown => current.remediation.clone(),
            ObservedRemediation::Off => None,
            ObservedRemediation::Status(status) => Some(status.clone()),
        };
        let problems =
            self.problem_conditions(status.remediation.as_ref(), &current.conditions, now);
        status.conditions.extend(problems);
        status.last_evaluated.clone_from(&current.last_evaluated);
        if status != *current {
            status.last_evaluated = Some(Time(now));
        }
        status
    }

    /// The generation of the newest version, evaluated or not.
    pub(super) fn generation(&self) -> Option<i64> {
        let fault = self.fault.as_ref().map(|fault| fault.origin.generation);
        fault.or_else(|| Some(self.observed.as_ref()?.policy.origin.as_ref()?.generation))
    }
}

/// The part of the status that comes from the audit.
fn found(observed: &ObservedPolicy, now: Timestamp) -> DevOpsPolicyStatus {
    let score = observed.score.as_ref();
    let namespace = observed.policy.scope.namespace();
    DevOpsPolicyStatus {
        health_score: score.map(|it| it.points.into()),
        violations: i64::try_from(observed.violations()).ok(),
        healthy: score.map(|it| it.points >= 80),
        message: Some(observed.sentence()),
        effective_mode: Some(observed.policy.mode),
        grace: grace(&observed.enforced, now),
        classification: score.map(Score::classification),
        top_violations: observed.worst.iter().map(|it| top(it, namespace)).collect(),
        refused: refused::status(&observed.refused, namespace),
        at_risk: affected::status(&observed.at_risk, namespace),
        slipped: affected::status(&observed.slipped, namespace),
        enforced_since: observed
            .enforced
            .times()
            .map(|(id, at)| (id.to_owned(), Time(at)))
            .collect(),
        lost_points: score
            .into_iter()
            .flat_map(|it| &it.lost_points)
            .map(|(rule, points)| ((*rule).to_owned(), i32::from(*points)))
            .collect(),
        bundle: observed.policy.bundle.map(|bundle| BundleStatus {
            name: bundle.as_str().to_owned(),
            version: bundles::VERSION.to_owned(),
        }),
        exemptions: exemptions(observed, now),
        ..DevOpsPolicyStatus::default()
    }
}

/// The grace of a policy that enforces.
fn grace(enforced: &Enforced, now: Timestamp) -> Option<GraceStatus> {
    let end = enforced.graced_until()?;
    let state = if now < end { GracePhase::Active } else { GracePhase::Ended };
    Some(GraceStatus { until: Time(end), state })
}

/// `namespace` is the policy's.
fn top(violation: &Violation, namespace: Option<&str>) -> TopViolation {
    let Violation { workload, fault, severity, .. } = violation;
    TopViolation {
        workload: cut(workload.label_in(namespace), MAX_WORKLOAD),
        rule: fault.id.clone(),
        severity: *severity,
        container: fault.container.clone(),
        field_path: Some(cut(fault.path.clone(), MAX_PATH)).filter(|path| !path.is_empty()),
        message: fault.message.clone(),
    }
}

#[cfg(test)]
mod tests;
