//! Watches a rollout, and ends the repair one way or the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::rollout::{self, Verdict};
use super::super::transaction::{Stepped, Target};
use super::{ATTEMPTS, State, TAKE_BACK, Tried, Work, keys, name};
use crate::api::RemediationState;
use crate::leader::claim::WriteError;
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;
use crate::policy::record::{Record, TemplateState};

impl Work {
    /// Looks how far a rollout is, and ends the repair one way or the other.
    pub(super) async fn watch(
        &self,
        state: &mut State,
        target: &Target,
        wanting: &BTreeMap<PolicyKey, Arc<Policy>>,
    ) -> Result<(), WriteError> {
        let Some(record) = state.in_flight.get(target).cloned() else { return Ok(()) };
        let requested_by = keys(&record);
        let Some(object) = self.transactions.get(target).await? else {
            state.in_flight.remove(target);
            state.ledger.forget(&target.key);
            return Ok(());
        };
        if record.state == RemediationState::RolledBack {
            if self.transactions.clear(target, &object, &record).await?
                && let Stepped::Done(_) = self.transactions.settle(target, &object, record).await?
            {
                state.in_flight.remove(target);
            }
            return Ok(());
        }
        match record.template(&object) {
            TemplateState::Repaired => {}
            TemplateState::Reverted => return self.undone(state, target, &object, &record).await,
            TemplateState::Other => {
                tracing::info!(workload = %name(target), "somebody else changed the template; it is theirs");
                self.transactions.forget(target, &object).await?;
                state.in_flight.remove(target);
                state.ledger.forget(&target.key);
                return Ok(());
            }
        }
        let crash = self.transactions.crash(target, &object, &record).await?;
        let deleting =
            requested_by.iter().filter_map(|key| wanting.get(key)?.origin.as_ref()?.deleting);
        let held = deleting.map(|it| it.as_second() + TAKE_BACK).min();
        let now = Timestamp::now();
        let over = now >= record.deadline || held.is_some_and(|until| now.as_second() >= until);
        match rollout::judge(target.kind, &object, crash, over, record.available) {
            Verdict::Underway(progress) => {
                let message = format!("rolling out: {progress}");
                state.ledger.report(
                    &target.key,
                    RemediationState::RollingOut,
                    message,
                    None,
                    requested_by,
                );
                Ok(())
            }
            Verdict::Good(why) => self.repaired(state, target, &object, &record, &why).await,
            Verdict::Worse(why) => self.take_back(state, target, &object, &record, why).await,
        }
    }

    pub(super) async fn repaired(
        &self,
        state: &mut State,
        target: &Target,
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
        if let Stepped::Done(_) = self.transactions.settle(target, object, settled).await? {
            let requested_by = keys(record);
            state.in_flight.remove(target);
            state.ledger.ended(&requested_by, false);
            state.ledger.report(
                &target.key,
                RemediationState::Repaired,
                message.clone(),
                None,
                requested_by,
            );
            self.metrics.step("repaired");
            self.notice(target, record, "Repaired", &message, false);
        }
        Ok(())
    }

    pub(super) async fn take_back(
        &self,
        state: &mut State,
        target: &Target,
        object: &serde_json::Value,
        record: &Record,
        why: String,
    ) -> Result<(), WriteError> {
        let requested_by = keys(record);
        let message = format!("taken back: {why}");
        match self.transactions.roll_back(target, object, record, message.clone()).await? {
            Stepped::Done(back) => {
                // Until no pod of it stands in the way.
                state.in_flight.insert(target.clone(), back);
                let tried = Tried { taken_back: Some(message.clone()), ..Tried::of(record) };
                state.tried.insert(target.clone(), tried);
                state.ledger.ended(&requested_by, true);
                state.ledger.report(
                    &target.key,
                    RemediationState::RolledBack,
                    message.clone(),
                    None,
                    requested_by,
                );
                self.metrics.step("rolled_back");
                self.notice(target, record, "RolledBack", &message, true);
            }
            // The next look shows what it is now.
            Stepped::Changed => {}
            Stepped::Refused(refusal) => {
                let message = format!("cannot be {message}; the API server says: {refusal}");
                if state.ledger.report(
                    &target.key,
                    RemediationState::RollingOut,
                    message.clone(),
                    None,
                    requested_by,
                ) {
                    self.notice(target, record, "RollbackRefused", &message, true);
                }
            }
        }
        Ok(())
    }

    /// Somebody undid a repair: it is tried again, but not for ever.
    pub(super) async fn undone(
        &self,
        state: &mut State,
        target: &Target,
        object: &serde_json::Value,
        record: &Record,
    ) -> Result<(), WriteError> {
        let requested_by = keys(record);
        let conflict = record.attempts >= ATTEMPTS;
        let (next, reason, message) = if conflict {
            let message = format!(
                "undone {ATTEMPTS} times by somebody else: repair it where it comes from, with podgate fix"
            );
            (RemediationState::Conflict, "RemediationConflict", message)
        } else {
            let message = format!(
                "undone by somebody else, {} of {ATTEMPTS} times; it is tried again",
                record.attempts
            );
            (RemediationState::Undone, "RepairUndone", message)
        };
        state.tried.insert(target.clone(), Tried::of(record));
        let settled = Record { state: next, message: message.clone(), ..record.clone() };
        if let Stepped::Done(_) = self.transactions.settle(target, object, settled).await? {
            state.in_flight.remove(target);
            // Its turn may be at the next look: the cooldown has the say.
            state.looked.remove(&target.key);
            state.ledger.report(&target.key, next, message.clone(), None, requested_by);
            self.metrics.step(if conflict { "conflict" } else { "undone" });
            self.notice(target, record, reason, &message, true);
        }
        Ok(())
    }
}
