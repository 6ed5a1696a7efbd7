//! Plans the repair of a workload that violates policies, and begins or proposes it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::super::gitops;
use super::super::plan::{self, RepairPatch, RepairPlan};
use super::super::rollout::{self, Rollout};
use super::super::transaction::{Order, RepairTarget, StepOutcome};
use super::{ATTEMPTS, FRESH, LastAttempt, LastRead, Work, WorkState, keys, rules};
use crate::api::{GitOps, RemediationMode, RemediationState};
use crate::leader::claim::WriteError;
use crate::policy::compile::Policy;
use crate::policy::event::EventReason;
use crate::policy::key::PolicyKey;
use crate::policy::observed::WorkloadKey;
use crate::policy::policy_set::PolicySet;
use crate::policy::record::{PolicyRef, Record, StartedBy, TemplateState, fingerprint};

/// The policies that a workload is repaired for.
struct Requested {
    by: Vec<Arc<Policy>>,
    intent: Intent,
}

/// Whether the policies' patch is written.
enum Intent {
    Apply,
    /// The patch is only proposed, for this reason.
    Propose(&'static str),
}

const MAY_NOT_WRITE: &str = "this cluster lets no such policy write (the chart's value remediation); apply it by hand, with podgate remediate apply";
const ONLY_PLANS: &str = "its policy only plans; apply it by hand, with podgate remediate apply";

impl Requested {
    fn keys(&self) -> BTreeSet<PolicyKey> {
        self.by.iter().map(|it| it.key()).collect()
    }

    fn policies(&self) -> BTreeSet<PolicyRef> {
        self.by.iter().filter_map(|it| PolicyRef::of(it)).collect()
    }
}

impl Work {
    /// Plans a workload's repair, and begins or proposes it.
    pub(super) async fn consider(
        &self,
        state: &mut WorkState,
        key: &Arc<WorkloadKey>,
        policies: &[Arc<Policy>],
        all: &PolicySet,
    ) -> Result<(), WriteError> {
        let requested = self.requested(policies);
        let (of, requesting) = (requested.keys(), requested.policies());
        let fresh = state
            .read
            .get(&**key)
            .is_some_and(|last| last.at.elapsed() < FRESH && last.policies == requesting);
        let target = match plan::repaired_kind(&key.kind) {
            Ok(kind) => RepairTarget::new(kind, (**key).clone()),
            Err(why) => {
                state.ledger.report(key, RemediationState::Refused, why.to_string(), None, of);
                return Ok(());
            }
        };
        if fresh || state.in_flight.contains_key(&target) {
            return Ok(());
        }
        let read = LastRead { at: Instant::now(), policies: requesting };
        state.read.insert((**key).clone(), read);
        (state.reads, state.last) = (state.reads.saturating_sub(1), Some(Arc::clone(key)));
        let planned = self.plan_for(state, &target, &requested, all).await;
        if let Err(WriteError::Api(error)) = &planned {
            // An error for one workload does not hold up the next.
            let message = format!("held up, and tried again: {error}");
            state.ledger.report(key, RemediationState::Refused, message, None, of);
            return Ok(());
        }
        planned
    }

    /// The policies that may write, if any of a workload's policies may; else all of them, as a proposal.
    fn requested(&self, policies: &[Arc<Policy>]) -> Requested {
        let applying = |it: &&Arc<Policy>| it.repair.mode == RemediationMode::Apply;
        let may: Vec<_> = policies
            .iter()
            .filter(applying)
            .filter(|it| self.allowed.allows(it))
            .cloned()
            .collect();
        if !may.is_empty() {
            return Requested { by: may, intent: Intent::Apply };
        }
        let wants = policies.iter().any(|it| it.repair.mode == RemediationMode::Apply);
        let why = if wants { MAY_NOT_WRITE } else { ONLY_PLANS };
        Requested { by: policies.to_vec(), intent: Intent::Propose(why) }
    }

    async fn plan_for(
        &self,
        state: &mut WorkState,
        target: &RepairTarget,
        requested: &Requested,
        all: &PolicySet,
    ) -> Result<(), WriteError> {
        let (key, by, of) = (&target.key, &requested.by, requested.keys());
        let Some(object) = self.transactions.get(target).await? else { return Ok(()) };
        // A record that is not believed counts as none, and is overwritten.
        let record = Record::of(&object, Timestamp::now()).and_then(Result::ok);
        if let Ok(record) = self.resumable(target, &object, all) {
            // An earlier leader began this repair and was killed before this one listed its repairs.
            state.in_flight.insert(target.clone(), record);
            return Ok(());
        }
        let requesting = requested.policies();
        let before =
            self.attempts_before(state, target, &object, record.as_ref(), &requesting).await?;
        let Some(attempts) = before else { return Ok(()) };
        let set = PolicySet::new(by.iter().cloned(), Arc::default());
        let repair = match plan::plan(target.kind, &object, &set, Timestamp::now()) {
            RepairPlan::Nothing => {
                match record.filter(|it| it.state == RemediationState::Repaired) {
                    // The violating pods are older ones, or a webhook changed the new ones.
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
        let proposal = match requested.intent {
            Intent::Propose(why) => Some(why.to_owned()),
            Intent::Apply => gitops::manager(&object)
                .filter(|_| by.iter().any(|it| it.repair.gitops == GitOps::Propose))
                .map(|tool| {
                    format!("{tool} manages it: change it in its repository, with podgate fix")
                }),
        };
        if let Some(why) = proposal {
            let patch = serde_json::to_string(&repair.operations).ok();
            if state.ledger.report(key, RemediationState::Proposed, why.clone(), patch, of) {
                let note = format!("podgate would put in what {} ask for; {why}", rules(&repair));
                self.notice_of(target, by, EventReason::RemediationProposed, &note);
            }
            return Ok(());
        }
        self.begin(state, target, &object, &repair, by, attempts).await
    }

    /// The number of attempts at the same repair before; `None` where it must not be tried now.
    async fn attempts_before(
        &self,
        state: &mut WorkState,
        target: &RepairTarget,
        object: &serde_json::Value,
        record: Option<&Record>,
        policies: &BTreeSet<PolicyRef>,
    ) -> Result<Option<u32>, WriteError> {
        let before = fingerprint(object);
        let attempt = state.attempts.get(target);
        let attempt = attempt.filter(|it| it.before == before && it.policies == *policies);
        if let (None, Some(why)) = (record, attempt.and_then(|it| it.rolled_back.clone())) {
            let of = policies.iter().map(|it| PolicyKey::of_label(&it.policy)).collect();
            state.ledger.report(&target.key, RemediationState::RolledBack, why, None, of);
            return Ok(None);
        }
        let remembered = attempt.map_or(0, |it| it.attempts);
        let Some(record) = record else { return Ok(Some(remembered)) };
        let same = record.policies.iter().cloned().collect::<BTreeSet<_>>() == *policies;
        let reverted = record.template(object) == TemplateState::Reverted;
        match record.state {
            RemediationState::RolledBack | RemediationState::Conflict if reverted && same => {
                let (message, of) = (record.message.clone(), keys(record));
                state.ledger.report(&target.key, record.state, message, None, of);
                Ok(None)
            }
            RemediationState::Repaired if reverted && same => {
                self.undone(state, target, object, record).await?;
                state.read.remove(&target.key);
                Ok(None)
            }
            RemediationState::Undone if reverted && same => {
                Ok(Some(record.attempts.max(remembered)))
            }
            _ => Ok(Some(remembered)),
        }
    }

    async fn begin(
        &self,
        state: &mut WorkState,
        target: &RepairTarget,
        object: &serde_json::Value,
        repair: &RepairPatch,
        by: &[Arc<Policy>],
        attempts: u32,
    ) -> Result<(), WriteError> {
        let of: BTreeSet<_> = by.iter().map(|it| it.key()).collect();
        let in_flight = |key: &PolicyKey| {
            state.in_flight.values().filter(|record| keys(record).contains(key)).count()
        };
        let namespace = &target.key.namespace;
        let mut waits = state.ledger.hindrance(namespace, by.iter().map(AsRef::as_ref), in_flight);
        // Without the finalizer the policy might be deleted before its repair has ended.
        if by.iter().any(|it| it.origin.as_ref().is_none_or(|origin| !origin.held)) {
            waits = Some("it waits for the finalizer on its policy".to_owned());
        }
        if attempts >= ATTEMPTS {
            waits = Some(format!(
                "undone {ATTEMPTS} times by somebody else: change it in its repository, with podgate fix"
            ));
        }
        if let Rollout::Underway { updated, wanted, .. } = rollout::rollout(target.kind, object)
            && updated < wanted
        {
            waits = waits.or_else(|| Some("it waits for its current rollout to end".to_owned()));
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
                // Somebody replaces the whole object, and the record with it, each time.
                self.metrics.step("conflict");
                self.notice_of(target, by, EventReason::RemediationConflict, &why);
            }
            // The next round reads it again, since it may begin then.
            state.read.remove(&target.key);
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
            StepOutcome::Done(record) => {
                let message = format!("repairing what {} ask for", rules(repair));
                let now = RemediationState::RollingOut;
                state.ledger.began(namespace, &of);
                state.ledger.report(&target.key, now, message.clone(), None, of);
                self.metrics.step("begun");
                self.notice(target, &record, EventReason::Repairing, &message);
                state.attempts.insert(target.clone(), LastAttempt::of(&record));
                state.in_flight.insert(target.clone(), record);
            }
            StepOutcome::Changed => drop(state.read.remove(&target.key)),
            StepOutcome::Refused(why) => {
                let message = format!("the API server does not admit the patch: {why}");
                state.ledger.report(&target.key, RemediationState::Refused, message, None, of);
            }
        }
        Ok(())
    }
}
