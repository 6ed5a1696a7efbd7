//! Decides which records of repairs in flight the leader resumes. A record
//! proves nothing by itself: anyone who may update a workload can write one.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::transaction::RepairTarget;
use super::Work;
use crate::api::{RemediationMode, RemediationState};
use crate::policy::policy_set::PolicySet;
use crate::policy::record::{InvalidRecord, Record, StartedBy, is_in_flight};

/// Why a workload's repair is not resumed, as the second half of a sentence about the workload.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotResumable {
    #[error("it has no record of a repair in flight")]
    Nothing,
    #[error("its record is not believed: {0}")]
    InvalidRecord(#[from] InvalidRecord),
    #[error("a person repairs it by hand")]
    Person,
    #[error("its record names no policy that covers it and may repair it")]
    Uncovered,
}

impl Work {
    /// The record of a repair that podgate began and that has not ended, reduced
    /// to those of its policies that still cover the workload and may repair it.
    ///
    /// # Errors
    /// The reason why the repair is not resumed.
    pub(super) fn resumable(
        &self,
        target: &RepairTarget,
        object: &Value,
        policies: &PolicySet,
    ) -> Result<Record, NotResumable> {
        let underway = |record: &Record| {
            use RemediationState::{RolledBack, RollingOut};
            is_in_flight(object) && matches!(record.state, RollingOut | RolledBack)
        };
        let record = Record::of(object, Timestamp::now()).ok_or(NotResumable::Nothing)??;
        if !underway(&record) {
            return Err(NotResumable::Nothing);
        }
        if record.by == StartedBy::Person {
            return Err(NotResumable::Person);
        }
        let namespace = target.key.namespace.as_str();
        let plan = policies.covering(Some(namespace)).map_err(|_| NotResumable::Uncovered)?;
        let repairing: Vec<_> = plan
            .policies()
            .iter()
            .filter(|it| it.repair.mode == RemediationMode::Apply && self.allowed.allows(it))
            .filter(|it| record.policies.iter().any(|policy| policy.is(it)))
            .collect();
        let timeout =
            repairing.iter().map(|it| it.repair.timeout).max().ok_or(NotResumable::Uncovered)?;
        // At most the policies' own timeout, since this rollout counts against their limit on concurrent ones.
        let deadline = record.began.checked_add(SignedDuration::from_secs(timeout.into()));
        let policies = record.policies.iter();
        let policies = policies.filter(|policy| repairing.iter().any(|it| policy.is(it))).cloned();
        Ok(Record {
            policies: policies.collect(),
            deadline: deadline.unwrap_or(record.deadline).min(record.deadline),
            ..record.clone()
        })
    }
}
