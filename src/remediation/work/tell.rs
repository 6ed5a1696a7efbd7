//! Publishes the state of repairs: policy statuses, Events, the log.

use std::sync::Arc;

use super::super::transaction::Target;
use super::{State, Statuses, Work, name};
use crate::api::RemediationMode;
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Notice, NoticeAbout, ObservedRemediation};
use crate::policy::policy_set::PolicySet;
use crate::policy::record::{PolicyRef, Record};

impl Work {
    pub(super) fn publish_statuses(&self, state: &State, policies: &PolicySet) {
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

    /// Publishes an Event on the workload, and one on each policy.
    pub(super) fn notice(
        &self,
        target: &Target,
        record: &Record,
        reason: &'static str,
        note: &str,
        warning: bool,
    ) {
        let policies = record.policies.iter().map(|it| (it.policy.clone(), it.uid.clone()));
        self.publish(target, policies, reason, note, warning);
    }

    pub(super) fn notice_of(
        &self,
        target: &Target,
        by: &[Arc<Policy>],
        reason: &'static str,
        note: &str,
        warning: bool,
    ) {
        let policies = by.iter().filter_map(|it| PolicyRef::of(it)).map(|it| (it.policy, it.uid));
        self.publish(target, policies, reason, note, warning);
    }

    pub(super) fn publish(
        &self,
        target: &Target,
        policies: impl Iterator<Item = (String, String)>,
        reason: &'static str,
        note: &str,
        warning: bool,
    ) {
        let of = name(target);
        tracing::info!(workload = of, reason, note, "remediation");
        let on_policies = policies.map(|(policy, uid)| Notice {
            about: NoticeAbout::Policy { key: PolicyKey::of_label(&policy), uid },
            reason,
            note: format!("{of}: {note}"),
            warning,
        });
        let on_workload = Notice {
            about: NoticeAbout::Workload(target.key.clone()),
            reason,
            note: note.to_owned(),
            warning,
        };
        for notice in std::iter::once(on_workload).chain(on_policies) {
            if self.notices.try_send(notice).is_err() {
                tracing::warn!(reason, "an Event is lost: too many wait");
            }
        }
    }
}
