//! Publishes the state of repairs: in policies' statuses, Events and the log.

use std::sync::Arc;

use super::super::transaction::RepairTarget;
use super::{Statuses, Work, WorkState, name};
use crate::api::RemediationMode;
use crate::policy::compile::Policy;
use crate::policy::event::EventReason;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Notice, NoticeAbout, ObservedRemediation};
use crate::policy::policy_set::PolicySet;
use crate::policy::record::{PolicyRef, Record};

impl Work {
    pub(super) fn publish_statuses(&self, state: &WorkState, policies: &PolicySet) {
        let statuses = policies.policies().iter().map(|policy| {
            let off = policy.repair.mode == RemediationMode::Off;
            let known = state.ledger.counts(policy).is_some();
            let observed = match (off, known) {
                (true, _) => ObservedRemediation::Off,
                (false, false) => ObservedRemediation::Unknown,
                (false, true) => ObservedRemediation::Status(state.ledger.status(policy)),
            };
            (policy.key(), observed)
        });
        let statuses: Statuses = statuses.collect();
        self.statuses.send_if_modified(|known| {
            let changed = **known != statuses;
            if changed {
                *known = Arc::new(statuses);
            }
            changed
        });
    }

    /// Publishes an Event on the workload, and one on each policy of its record.
    pub(super) fn notice(
        &self,
        target: &RepairTarget,
        record: &Record,
        reason: EventReason,
        note: &str,
    ) {
        self.publish(target, record.policies.iter().cloned(), reason, note);
    }

    /// Publishes an Event on the workload, and one on each policy.
    pub(super) fn notice_of(
        &self,
        target: &RepairTarget,
        policies: &[Arc<Policy>],
        reason: EventReason,
        note: &str,
    ) {
        self.publish(target, policies.iter().filter_map(|it| PolicyRef::of(it)), reason, note);
    }

    fn publish(
        &self,
        target: &RepairTarget,
        policies: impl Iterator<Item = PolicyRef>,
        reason: EventReason,
        note: &str,
    ) {
        let workload = name(target);
        tracing::info!(workload, reason = reason.as_str(), note, "remediation");
        let on_policies = policies.map(|it| Notice {
            about: NoticeAbout::Policy { key: PolicyKey::of_label(&it.policy), uid: it.uid },
            reason,
            note: format!("{workload}: {note}"),
        });
        let on_workload = Notice {
            about: NoticeAbout::Workload(target.key.clone()),
            reason,
            note: note.to_owned(),
        };
        for notice in std::iter::once(on_workload).chain(on_policies) {
            if self.notices.try_send(notice).is_err() {
                let reason = reason.as_str();
                tracing::warn!(reason, "an Event is lost: too many wait");
            }
        }
    }
}
