//! Plans for a workload that breaks policies, and begins what may begin.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::super::gitops;
use super::super::plan::{self, Repair, RepairPlan};
use super::super::rollout::{self, Rollout};
use super::super::transaction::{Order, Stepped, Target};
use super::{ATTEMPTS, FRESH, State, Tried, Work, keys, rules};
use crate::api::{GitOps, RemediationMode, RemediationState};
use crate::leader::claim::WriteError;
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;
use crate::policy::observed::WorkloadKey;
use crate::policy::policy_set::PolicySet;
use crate::policy::record::{PolicyRef, Record, StartedBy, TemplateState, fingerprint};

impl Work {
    /// Plans for a workload, and begins what may begin.
    pub(super) async fn consider(
        &self,
        state: &mut State,
        key: &Arc<WorkloadKey>,
        policies: &[Arc<Policy>],
        all: &PolicySet,
    ) -> Result<(), WriteError> {
        let applying = |it: &&Arc<Policy>| it.repair.mode == RemediationMode::Apply;
        let may: Vec<_> = policies
            .iter()
            .filter(applying)
            .filter(|it| self.allowed.allows(it))
            .cloned()
            .collect();
        let proposes = may.is_empty();
        let by = if proposes { policies.to_vec() } else { may };
        let requested_by: BTreeSet<_> = by.iter().filter_map(|it| PolicyRef::of(it)).collect();
        let fresh = state
            .looked
            .get(&**key)
            .is_some_and(|(at, seen)| at.elapsed() < FRESH && *seen == requested_by);
        let of: BTreeSet<_> = by.iter().map(|it| it.key()).collect();
        let target = match plan::repaired_kind(&key.kind) {
            Ok(kind) => Target::new(kind, (**key).clone()),
            Err(why) => {
                state.ledger.report(key, RemediationState::Refused, why.to_string(), None, of);
                return Ok(());
            }
        };
        if fresh || state.in_flight.contains_key(&target) {
            return Ok(());
        }
        state.looked.insert((**key).clone(), (Instant::now(), requested_by.clone()));
        (state.looks, state.last) = (state.looks.saturating_sub(1), Some(Arc::clone(key)));
        let planned = self.plan_for(state, &target, &by, proposes, policies, all).await;
        if let Err(WriteError::Api(error)) = &planned {
            // Another workload's turn is not held up by it.
            let message = format!("held up, and tried again: {error}");
            state.ledger.report(key, RemediationState::Refused, message, None, of);
            return Ok(());
        }
        planned
    }

    async fn plan_for(
        &self,
        state: &mut State,
        target: &Target,
        by: &[Arc<Policy>],
        proposes: bool,
        policies: &[Arc<Policy>],
        all: &PolicySet,
    ) -> Result<(), WriteError> {
        let key = &target.key;
        let of: BTreeSet<_> = by.iter().map(|it| it.key()).collect();
        let requested_by: BTreeSet<_> = by.iter().filter_map(|it| PolicyRef::of(it)).collect();
        let Some(object) = self.transactions.get(target).await? else { return Ok(()) };
        // One that is not believed is none, and is written over.
        let record = Record::of(&object, Timestamp::now()).and_then(Result::ok);
        if let Ok(record) = self.believed(target, &object, all) {
            // Begun by a leader that was killed before this one knew of it.
            state.in_flight.insert(target.clone(), record);
            return Ok(());
        }
        let tried = self.before(state, target, &object, record.as_ref(), &requested_by).await?;
        let Some(attempts) = tried else { return Ok(()) };
        let set = PolicySet::new(by.iter().cloned(), Arc::default());
        let repair = match plan::plan(target.kind, &object, &set, Timestamp::now()) {
            RepairPlan::Nothing => {
                match record.filter(|it| it.state == RemediationState::Repaired) {
                    // Older pods are on their way out, or others were put into the new ones.
                    Some(record) => {
                        let (state_of, message) = (record.state, record.message);
                        state.ledger.report(key, state_of, message, None, of);
                    }
                    None => state.ledger.forget(key),
                }
                return Ok(());
            }
            RepairPlan::Refused(refusal) => {
                state.ledger.report(key, RemediationState::Refused, refusal.to_string(), None, of);
                return Ok(());
            }
            RepairPlan::Patch(repair) => repair,
        };
        let tool = gitops::manager(&object);
        let proposal = if proposes {
            Some(if policies.iter().any(|it| it.repair.mode == RemediationMode::Apply) {
                "this cluster lets no such policy write (the chart's value remediation); apply it by hand, with podgate remediate apply".to_owned()
            } else {
                "its policy only plans; apply it by hand, with podgate remediate apply".to_owned()
            })
        } else {
            tool.filter(|_| by.iter().any(|it| it.repair.gitops == GitOps::Propose)).map(|tool| {
                format!("{tool} manages it: change it where it comes from, with podgate fix")
            })
        };
        if let Some(why) = proposal {
            let patch = serde_json::to_string(&repair.operations).ok();
            if state.ledger.report(key, RemediationState::Proposed, why.clone(), patch, of) {
                let note = format!("podgate would put in what {} ask for; {why}", rules(&repair));
                self.notice_of(target, by, "RemediationProposed", &note, false);
            }
            return Ok(());
        }
        self.begin(state, target, &object, &repair, by, attempts).await
    }

    /// How often the same repair was tried before; `None` where it is not to be tried now.
    pub(super) async fn before(
        &self,
        state: &mut State,
        target: &Target,
        object: &serde_json::Value,
        record: Option<&Record>,
        requested_by: &BTreeSet<PolicyRef>,
    ) -> Result<Option<u32>, WriteError> {
        let before = fingerprint(object);
        let lost = state
            .tried
            .get(target)
            .filter(|it| it.before == before && it.requested_by == *requested_by);
        if let (None, Some(why)) = (record, lost.and_then(|it| it.taken_back.clone())) {
            let of = requested_by.iter().map(|it| PolicyKey::of_label(&it.policy)).collect();
            state.ledger.report(&target.key, RemediationState::RolledBack, why, None, of);
            return Ok(None);
        }
        let lost = lost.map_or(0, |it| it.attempts);
        let Some(record) = record else { return Ok(Some(lost)) };
        let same = record.policies.iter().cloned().collect::<BTreeSet<_>>() == *requested_by;
        let reverted = record.template(object) == TemplateState::Reverted;
        match record.state {
            RemediationState::RolledBack | RemediationState::Conflict if reverted && same => {
                let (message, of) = (record.message.clone(), keys(record));
                state.ledger.report(&target.key, record.state, message, None, of);
                Ok(None)
            }
            RemediationState::Repaired if reverted && same => {
                self.undone(state, target, object, record).await?;
                state.looked.remove(&target.key);
                Ok(None)
            }
            RemediationState::Undone if reverted && same => Ok(Some(record.attempts.max(lost))),
            _ => Ok(Some(lost)),
        }
    }

    pub(super) async fn begin(
        &self,
        state: &mut State,
        target: &Target,
        object: &serde_json::Value,
        repair: &Repair,
        by: &[Arc<Policy>],
        attempts: u32,
    ) -> Result<(), WriteError> {
        let of: BTreeSet<_> = by.iter().map(|it| it.key()).collect();
        let in_flight = |key: &PolicyKey| {
            state.in_flight.values().filter(|record| keys(record).contains(key)).count()
        };
        let namespace = &target.key.namespace;
        let mut waits = state.ledger.hindrance(namespace, by.iter().map(AsRef::as_ref), in_flight);
        // Else it might be gone before what is begun for it has ended.
        if by.iter().any(|it| it.origin.as_ref().is_none_or(|origin| !origin.held)) {
            waits = Some("it waits until its policy is held (finalizer)".to_owned());
        }
        if attempts >= ATTEMPTS {
            waits = Some(format!(
                "undone {ATTEMPTS} times by somebody else: repair it where it comes from, with podgate fix"
            ));
        }
        if let Rollout::Underway { updated, wanted, .. } = rollout::rollout(target.kind, object)
            && updated < wanted
        {
            waits = waits.or_else(|| Some("it waits for a rollout that is under way".to_owned()));
        }
        if let Some(why) = waits {
            let now = if attempts >= ATTEMPTS {
                RemediationState::Conflict
            } else {
                RemediationState::Proposed
            };
            let patch = serde_json::to_string(&repair.operations).ok();
            let is_new = state.ledger.report(&target.key, now, why.clone(), patch, of);
            if is_new && now == RemediationState::Conflict {
                // Somebody replaces the whole object, so that its record is lost each time.
                self.metrics.step("conflict");
                self.notice_of(target, by, "RemediationConflict", &why, true);
            }
            // It may be its turn at the next look.
            state.looked.remove(&target.key);
            return Ok(());
        }
        let timeout = by.iter().map(|it| it.repair.timeout).max().unwrap_or_default();
        let order = Order {
            policies: by.iter().filter_map(|it| PolicyRef::of(it)).collect(),
            by: StartedBy::Podgate,
            timeout: Duration::from_secs(timeout.into()),
            attempts: attempts + 1,
        };
        match self.transactions.begin(target, object, repair, order).await? {
            Stepped::Done(record) => {
                let message = format!("repairing what {} ask for", rules(repair));
                state.ledger.began(namespace, &of);
                state.ledger.report(
                    &target.key,
                    RemediationState::RollingOut,
                    message.clone(),
                    None,
                    of,
                );
                self.metrics.step("begun");
                self.notice(target, &record, "Repairing", &message, false);
                state.tried.insert(target.clone(), Tried::of(&record));
                state.in_flight.insert(target.clone(), record);
            }
            Stepped::Changed => drop(state.looked.remove(&target.key)),
            Stepped::Refused(why) => {
                let message = format!("the API server does not admit the patch: {why}");
                state.ledger.report(&target.key, RemediationState::Refused, message, None, of);
            }
        }
        Ok(())
    }
}
