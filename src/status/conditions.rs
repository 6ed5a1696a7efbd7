//! The conditions of a policy's status. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::build::PolicyState;
use super::refused;
use crate::api::{EnforcementMode, RemediationState, RemediationStatus};
use crate::policy::called::Called;
use crate::policy::text::cut;

/// The longest message that a condition takes (`metav1.Condition`).
const MAX_MESSAGE: usize = 32 * 1024;

/// The types of conditions. The first three are those of kstatus.
mod condition_type {
    pub const READY: &str = "Ready";
    pub const RECONCILING: &str = "Reconciling";
    pub const STALLED: &str = "Stalled";
    /// The policy keeps workloads from making pods.
    pub const REFUSING: &str = "Refusing";
    /// The API servers call podgate, so that a policy with the mode `enforce` does enforce.
    pub const ENFORCING: &str = "Enforcing";
    /// The API servers have the floor, and know podgate's newest beat.
    pub const FLOOR_READY: &str = "FloorReady";
    /// The floor holds all that the policy denies.
    pub const FLOOR_COMPLETE: &str = "FloorComplete";
    /// Repairs of the policy are undone by someone else.
    pub const REMEDIATION_CONFLICT: &str = "RemediationConflict";
    /// The policy's expressions read fields that no Pod has.
    pub const UNKNOWN_FIELDS: &str = "UnknownFields";
}

/// The reasons of conditions.
mod reason {
    pub const EVALUATED: &str = "Evaluated";
    pub const INVALID_SPEC: &str = "InvalidSpec";
    pub const PODS_REFUSED: &str = "PodsRefused";
    pub const COVERS_NOTHING: &str = "CoversNothing";
    pub const CALLED: &str = "Called";
    pub const NOT_CALLED: &str = "NotCalled";
    pub const KEPT: &str = "Kept";
    pub const NOT_KEPT: &str = "NotKept";
    pub const ALL_COMPILED: &str = "AllCompiled";
    pub const PARTS_MISSING: &str = "PartsMissing";
    pub const UNDONE: &str = "Undone";
    pub const NOT_IN_POD_SCHEMA: &str = "NotInPodSchema";
}

impl PolicyState {
    /// The conditions that exist only while they are true.
    pub(super) fn problem_conditions(
        &self,
        remediation: Option<&RemediationStatus>,
        current: &[Condition],
        now: Timestamp,
    ) -> Vec<Condition> {
        let workloads = remediation.into_iter().flat_map(|it| &it.workloads);
        let in_conflict = workloads.filter(|it| it.state == RemediationState::Conflict);
        let undone: Vec<_> = in_conflict.map(|it| it.workload.as_str()).collect();
        let fields = self.observed.iter().flat_map(|it| &it.policy.unknown_fields);
        let fields: Vec<_> = fields.map(ToString::to_string).collect();
        let condition = |type_, reason, message| {
            self.state_condition(type_, true, (reason, message), current, now)
        };
        let conflict = (!undone.is_empty()).then(|| {
            let undone = undone.join(", ");
            let message = format!(
                "another controller or person undoes the repairs of {undone}; change these workloads at their source"
            );
            condition(condition_type::REMEDIATION_CONFLICT, reason::UNDONE, message)
        });
        let unknown_fields = (!fields.is_empty()).then(|| {
            condition(condition_type::UNKNOWN_FIELDS, reason::NOT_IN_POD_SCHEMA, fields.join("; "))
        });
        let refusing = self.observed.as_ref().and_then(|it| {
            let message = refused::message(&it.refused, it.policy.scope.namespace())?;
            Some(condition(condition_type::REFUSING, reason::PODS_REFUSED, message))
        });
        refusing.into_iter().chain(conflict).chain(unknown_fields).collect()
    }

    /// The conditions of kstatus: `Ready`, `Reconciling` and `Stalled`. A policy that covers nothing is not stalled: it
    /// becomes ready when there is such a namespace, without a change of its spec.
    pub(super) fn conditions(&self, current: &[Condition], now: Timestamp) -> Vec<Condition> {
        let stalled = self.fault.as_ref();
        let covers_nothing = self.observed.as_ref().and_then(|it| it.covers_nothing.as_ref());
        let (reason, message) = match (stalled, covers_nothing) {
            (Some(fault), _) => {
                (reason::INVALID_SPEC, format!("{}; {}", fault.message, fault.in_force()))
            }
            (None, Some(why)) => (reason::COVERS_NOTHING, why.clone()),
            (None, None) => (reason::EVALUATED, "compiled, in force and evaluated".to_owned()),
        };
        let none = || (reason::EVALUATED, String::new());
        let explanation = || (reason, message.clone());
        let ready = stalled.is_none() && covers_nothing.is_none();
        let condition = |type_, is, because| self.state_condition(type_, is, because, current, now);
        vec![
            condition(condition_type::READY, ready, explanation()),
            condition(condition_type::RECONCILING, false, none()),
            condition(
                condition_type::STALLED,
                stalled.is_some(),
                if stalled.is_some() { explanation() } else { none() },
            ),
        ]
    }

    /// The condition `Enforcing` of a policy with the mode `enforce`, where the process sends beats. Until the beat has
    /// decided, the condition stays as an earlier leader wrote it.
    pub(super) fn enforcing(&self, current: &[Condition], now: Timestamp) -> Option<Condition> {
        let type_ = condition_type::ENFORCING;
        let (is, because) = match &self.called {
            _ if !self.enforces() => return None,
            Called::NoBeat => return None,
            Called::Undecided => return current.iter().find(|it| it.type_ == type_).cloned(),
            Called::Yes => (true, (reason::CALLED, "the API servers call podgate".to_owned())),
            Called::No(why) => {
                let message = format!("the API servers are not seen to call podgate: {why}");
                (false, (reason::NOT_CALLED, message))
            }
        };
        Some(self.state_condition(type_, is, because, current, now))
    }

    /// The conditions `FloorReady` and `FloorComplete` of a policy with the mode `enforce`, where a floor is kept. Until
    /// the floor is known, they stay as an earlier leader wrote them.
    pub(super) fn floor(&self, current: &[Condition], now: Timestamp) -> Vec<Condition> {
        let Some(kept) = self.floor.kept.as_ref().filter(|_| self.enforces()) else {
            return Vec::new();
        };
        let ready = kept.ready.as_ref().map(|ready| match ready {
            Ok(()) => {
                let is = "while podgate is away, the API servers judge by themselves";
                (true, (reason::KEPT, is.to_owned()))
            }
            Err(why) => {
                let message = format!("the API servers may not judge while podgate is away: {why}");
                (false, (reason::NOT_KEPT, message))
            }
        });
        let label = self.observed.as_ref().map(|it| &it.policy.label);
        let missing = kept.missing.as_ref().zip(label).and_then(|(all, label)| all.get(label));
        let complete = missing.map(|missing| {
            if missing.is_empty() {
                return (
                    true,
                    (reason::ALL_COMPILED, "the floor holds all that it denies".to_owned()),
                );
            }
            let message = format!("the floor does not hold {}", missing.join("; "));
            (false, (reason::PARTS_MISSING, message))
        });
        let mut conditions = Vec::new();
        for (type_, known) in
            [(condition_type::FLOOR_READY, ready), (condition_type::FLOOR_COMPLETE, complete)]
        {
            conditions.extend(match known {
                Some((is, because)) => Some(self.state_condition(type_, is, because, current, now)),
                None => current.iter().find(|it| it.type_ == type_).cloned(),
            });
        }
        conditions
    }

    /// Whether the version in force has the mode `enforce`.
    pub fn enforces(&self) -> bool {
        self.observed.as_ref().is_some_and(|it| it.policy.mode == EnforcementMode::Enforce)
    }

    /// A condition that is true or false. Its time changes only with that.
    fn state_condition(
        &self,
        type_: &str,
        is: bool,
        (reason, message): (&str, String),
        current: &[Condition],
        now: Timestamp,
    ) -> Condition {
        let status = if is { "True" } else { "False" }.to_owned();
        let known = current.iter().find(|it| it.type_ == type_ && it.status == status);
        Condition {
            type_: type_.to_owned(),
            reason: reason.to_owned(),
            message: cut(message, MAX_MESSAGE),
            observed_generation: self.generation(),
            last_transition_time: known
                .map_or(Time(now), |known| known.last_transition_time.clone()),
            status,
        }
    }
}
