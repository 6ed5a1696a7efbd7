//! Which records of repairs under way the leader goes on with. Whoever may change a workload may write one.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::transaction::Target;
use super::Work;
use crate::api::{RemediationMode, RemediationState};
use crate::policy::policy_set::PolicySet;
use crate::policy::record::{InvalidRecord, Record, StartedBy, is_in_flight};

/// Why a record is left alone, as the end of a sentence about the workload.
#[derive(Debug, thiserror::Error)]
pub(super) enum Left {
    #[error("it has no record of a repair under way")]
    Nothing,
    #[error("its record is not believed: {0}")]
    InvalidRecord(#[from] InvalidRecord),
    #[error("a person repairs it by hand")]
    Person,
    #[error("its record names no policy that covers it and may have it repaired")]
    Uncovered,
}

impl Work {
    /// The record of a repair that podgate began and that is not over, for those of its policies that cover the workload
    /// still and have it repaired.
    pub(super) fn believed(
        &self,
        target: &Target,
        object: &Value,
        policies: &PolicySet,
    ) -> Result<Record, Left> {
        let underway = |record: &Record| {
            use RemediationState::{RolledBack, RollingOut};
            is_in_flight(object) && matches!(record.state, RollingOut | RolledBack)
        };
        let record = Record::of(object, Timestamp::now()).ok_or(Left::Nothing)??;
        if !underway(&record) {
            return Err(Left::Nothing);
        }
        if record.by == StartedBy::Person {
            return Err(Left::Person);
        }
        let namespace = target.key.namespace.as_str();
        let plan = policies.covering(Some(namespace)).map_err(|_| Left::Uncovered)?;
        let repairing: Vec<_> = plan
            .policies()
            .iter()
            .filter(|it| it.repair.mode == RemediationMode::Apply && self.allowed.allows(it))
            .filter(|it| record.policies.iter().any(|policy| policy.is(it)))
            .collect();
        let timeout = repairing.iter().map(|it| it.repair.timeout).max().ok_or(Left::Uncovered)?;
        // No longer than they give a rollout: it takes the place of another one.
        let deadline = record.began.checked_add(SignedDuration::from_secs(timeout.into()));
        let requested_by = record.policies.iter();
        let requested_by =
            requested_by.filter(|policy| repairing.iter().any(|it| policy.is(it))).cloned();
        Ok(Record {
            policies: requested_by.collect(),
            deadline: deadline.unwrap_or(record.deadline).min(record.deadline),
            ..record.clone()
        })
    }
}
