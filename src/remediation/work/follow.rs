//! Follows the rollout of a repair in flight until the repair is done, rolled back or undone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::ledger::RepairEnd;
use super::super::rollout::{self, Deadline, RolloutVerdict};
use super::super::transaction::{RepairTarget, StepOutcome};
use super::{ATTEMPTS, LastAttempt, ROLL_BACK, Work, WorkState, keys, name};
use crate::api::RemediationState;
use crate::leader::claim::WriteError;
use crate::policy::compile::Policy;
use crate::policy::event::EventReason;
use crate::policy::key::PolicyKey;
use crate::policy::record::{Record, TemplateState};

impl Work {
    /// Reads a rollout's progress, and ends the repair where it is done, worse than before, or undone.
    pub(super) async fn follow(
        &self,
        state: &mut WorkState,
        target: &RepairTarget,
        wanting: &BTreeMap<PolicyKey, Arc<Policy>>,
    ) -> Result<(), WriteError> {
        let Some(record) = state.in_flight.get(target).cloned() else { return Ok(()) };
        let policies = keys(&record);
        let Some(object) = self.transactions.get(target).await? else {
            state.in_flight.remove(target);
            state.ledger.forget(&target.key);
            return Ok(());
        };
        if record.state == RemediationState::RolledBack {
            if self.transactions.delete_stuck_pods(target, &object, &record).await?
                && let StepOutcome::Done(_) =
                    self.transactions.settle(target, &object, record).await?
            {
                state.in_flight.remove(target);
            }
            return Ok(());
        }
        match record.template(&object) {
            TemplateState::Repaired => {}
            TemplateState::Reverted => return self.undone(state, target, &object, &record).await,
            TemplateState::Other => {
                tracing::info!(workload = %name(target), "somebody else changed the template; its repair ends");
                self.transactions.forget(target, &object).await?;
                state.in_flight.remove(target);
                state.ledger.forget(&target.key);
                return Ok(());
            }
        }
        let crash = self.transactions.crash(target, &object, &record).await?;
        let deleting =
            policies.iter().filter_map(|key| wanting.get(key)?.origin.as_ref()?.deleting);
        let held = deleting.map(|it| it.as_second() + ROLL_BACK).min();
        let now = Timestamp::now();
        let passed = now >= record.deadline || held.is_some_and(|until| now.as_second() >= until);
        let deadline = if passed { Deadline::Passed } else { Deadline::Ahead };
        match rollout::judge(target.kind, &object, crash, deadline, record.available) {
            RolloutVerdict::Underway(progress) => {
                let (message, now) =
                    (format!("rolling out: {progress}"), RemediationState::RollingOut);
                state.ledger.report(&target.key, now, message, None, policies);
                Ok(())
            }
            RolloutVerdict::Good(why) => self.repaired(state, target, &object, &record, &why).await,
            RolloutVerdict::Worse(why) => {
                self.roll_back(state, target, &object, &record, why).await
            }
        }
    }

    async fn repaired(
        &self,
        state: &mut WorkState,
        target: &RepairTarget,
        object: &serde_json::Value,
        record: &Record,
        why: &str,
    ) -> Result<(), WriteError> {
        let message = format!("repaired {}: {why}", record.rules.join(", "));
        let settled = Record {
            state: RemediationState::Repaired,
            message: message.clone(),
            ..record.clone()
        };
        if let StepOutcome::Done(_) = self.transactions.settle(target, object, settled).await? {
            let (policies, now) = (keys(record), RemediationState::Repaired);
            state.in_flight.remove(target);
            state.ledger.ended(&policies, RepairEnd::Repaired);
            state.ledger.report(&target.key, now, message.clone(), None, policies);
            self.metrics.step("repaired");
            self.notice(target, record, EventReason::Repaired, &message);
        }
        Ok(())
    }

    async fn roll_back(
        &self,
        state: &mut WorkState,
        target: &RepairTarget,
        object: &serde_json::Value,
        record: &Record,
        why: String,
    ) -> Result<(), WriteError> {
        let policies = keys(record);
        let message = format!("taken back: {why}");
        match self.transactions.roll_back(target, object, record, message.clone()).await? {
            StepOutcome::Done(back) => {
                // The repair stays in flight until none of its stuck pods is left.
                state.in_flight.insert(target.clone(), back);
                let attempt =
                    LastAttempt { rolled_back: Some(message.clone()), ..LastAttempt::of(record) };
                state.attempts.insert(target.clone(), attempt);
                state.ledger.ended(&policies, RepairEnd::RolledBack);
                let now = RemediationState::RolledBack;
                state.ledger.report(&target.key, now, message.clone(), None, policies);
                self.metrics.step("rolled_back");
                self.notice(target, record, EventReason::RolledBack, &message);
            }
            // The next round reads it again.
            StepOutcome::Changed => {}
            StepOutcome::Refused(refusal) => {
                let message = format!("cannot be {message}; the API server says: {refusal}");
                let now = RemediationState::RollingOut;
                if state.ledger.report(&target.key, now, message.clone(), None, policies) {
                    self.notice(target, record, EventReason::RollbackRefused, &message);
                }
            }
        }
        Ok(())
    }

    /// Handles a repair that somebody undid: it is tried again, at most [`ATTEMPTS`] times.
    pub(super) async fn undone(
        &self,
        state: &mut WorkState,
        target: &RepairTarget,
        object: &serde_json::Value,
        record: &Record,
    ) -> Result<(), WriteError> {
        let policies = keys(record);
        let conflict = record.attempts >= ATTEMPTS;
        let (next, reason, message) = if conflict {
            let message = format!(
                "undone {ATTEMPTS} times by somebody else: change it in its repository, with podgate fix"
            );
            (RemediationState::Conflict, EventReason::RemediationConflict, message)
        } else {
            let message = format!(
                "undone by somebody else, {} of {ATTEMPTS} times; it is tried again",
                record.attempts
            );
            (RemediationState::Undone, EventReason::RepairUndone, message)
        };
        state.attempts.insert(target.clone(), LastAttempt::of(record));
        let settled = Record { state: next, message: message.clone(), ..record.clone() };
        if let StepOutcome::Done(_) = self.transactions.settle(target, object, settled).await? {
            state.in_flight.remove(target);
            // The next round reads it again; the cooldown decides when it is repaired again.
            state.read.remove(&target.key);
            state.ledger.report(&target.key, next, message.clone(), None, policies);
            self.metrics.step(if conflict { "conflict" } else { "undone" });
            self.notice(target, record, reason, &message);
        }
        Ok(())
    }
}
