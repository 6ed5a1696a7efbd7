//! What the leader does about workloads that break policies with remediation: one after another, no faster than the
//! policies, the budget and the breaker of [`super::ledger`] allow, and each watched until it is done or taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use tokio::sync::{mpsc, watch};

use super::gitops;
use super::ledger::{Counts, Ledger};
use super::plan::{self, Plan, Repair};
use super::record::{Asker, Record, Template};
use super::rollout::{self, Rollout};
use super::transaction::{Order, Stepped, Target, Transactions};
use crate::api::{
    ClusterDevOpsPolicy, DevOpsPolicy, DevOpsPolicyStatus, GitOps, RemediationMode, RemediationState,
    RemediationStatus,
};
use crate::clusters::claim::WriteError;
use crate::metrics::RemediationMetrics;
use crate::policy::compile::Policy;
use crate::policy::picture::{Notice, NoticeAbout, PolicyKey, WorkloadKey, label};
use crate::policy::policy_set::PolicySet;

/// How often it is looked at what is under way, and whether something may begin.
const LOOK: Duration = Duration::from_secs(1);
/// How long what was found of a workload holds, if nobody says otherwise.
const FRESH: Duration = Duration::from_secs(30);
/// How often a patch that somebody undoes is tried.
const ATTEMPTS: u32 = 3;
/// How long a policy that is deleted waits for its repairs, and when what is not done by then is taken back.
const HELD: i64 = 60;
const TAKE_BACK: i64 = 45;

/// Whose remediation may write.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Allowed {
    /// Nobody's: whatever a policy says, patches are proposed.
    #[default]
    None,
    ClusterPolicies,
    AllPolicies,
}

impl Allowed {
    fn allows(self, policy: &Policy) -> bool {
        match self {
            Self::None => false,
            Self::ClusterPolicies => policy.scope.namespace().is_none(),
            Self::AllPolicies => true,
        }
    }
}

/// Which workloads break which policies, by policy and namespace, as the audit has it now.
#[derive(Clone, Default)]
pub struct Violating(Arc<Mutex<BTreeMap<(PolicyKey, String), Vec<Arc<WorkloadKey>>>>>);

impl Violating {
    /// What breaks a policy in a namespace now; nothing where it is empty.
    pub fn tell(&self, policy: PolicyKey, namespace: String, workloads: Vec<Arc<WorkloadKey>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if workloads.is_empty() {
            all.remove(&(policy, namespace));
        } else {
            all.insert((policy, namespace), workloads);
        }
    }

    /// The policies that each workload breaks.
    fn by_workload(&self) -> BTreeMap<Arc<WorkloadKey>, BTreeSet<PolicyKey>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for ((policy, _), workloads) in &*all {
            for workload in workloads {
                found.entry(Arc::clone(workload)).or_default().insert(policy.clone());
            }
        }
        found
    }
}

/// What policies' statuses tell of remediation; none of a policy without it.
pub type Statuses = BTreeMap<PolicyKey, RemediationStatus>;

/// The leader's work.
pub struct Work {
    pub transactions: Transactions,
    pub policies: watch::Receiver<Option<Arc<PolicySet>>>,
    pub violating: Violating,
    pub allowed: Allowed,
    pub metrics: RemediationMetrics,
    pub statuses: watch::Sender<Arc<Statuses>>,
    pub notices: mpsc::Sender<Notice>,
}

/// What it has on its mind.
#[derive(Default)]
struct State {
    in_flight: BTreeMap<Target, Record>,
    ledger: Ledger,
    /// What was looked at, when, for whom.
    looked: BTreeMap<WorkloadKey, (Instant, BTreeSet<Asker>)>,
    /// How often a template was tried, where the workload's own record is lost.
    tried: BTreeMap<Target, (String, u32)>,
}

impl Work {
    /// Repairs until it is dropped.
    pub async fn run(mut self) {
        let mut state = State::default();
        let mut resumed = false;
        loop {
            let policies = self.policies.borrow_and_update().clone();
            if let Some(policies) = policies {
                let round = self.round(&mut state, &policies, &mut resumed);
                match round.await {
                    Ok(()) => {}
                    Err(WriteError::NotLeading) => return,
                    Err(WriteError::Api(error)) => {
                        tracing::warn!(%error, "remediation is held up; it is tried again");
                    }
                }
                self.tell_statuses(&state, &policies);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn round(
        &self,
        state: &mut State,
        policies: &PolicySet,
        resumed: &mut bool,
    ) -> Result<(), WriteError> {
        let wanting = wanting(policies);
        if self.allowed != Allowed::None && !*resumed {
            // What an earlier leader began, and what somebody began by hand.
            for (target, record) in self.transactions.in_flight().await? {
                tracing::info!(workload = %name(&target), "goes on with a repair that was under way");
                state.in_flight.insert(target, record);
            }
            *resumed = true;
        }
        for policy in wanting.values() {
            self.know(state, policy).await?;
        }
        for target in state.in_flight.keys().cloned().collect::<Vec<_>>() {
            self.watch(state, &target, &wanting).await?;
        }
        self.hold(state, policies).await?;
        let violating = self.violating.by_workload();
        for (key, broken) in &violating {
            let askers = broken.iter().filter_map(|it| wanting.get(it)).collect::<Vec<_>>();
            let askers: Vec<_> = askers.into_iter().filter(|it| !deleted(it)).cloned().collect();
            if !askers.is_empty() {
                self.consider(state, key, &askers).await?;
            }
        }
        let wanted = |target: &Target| {
            let broken = violating.get(&target.key);
            broken.is_some_and(|broken| broken.iter().any(|it| wanting.contains_key(it)))
        };
        state.ledger.keep(wanted);
        state.looked.retain(|key, _| violating.contains_key(key));
        self.metrics.in_flight(state.in_flight.len());
        Ok(())
    }

    /// Learns how often a policy's repairs came to what, before anything is done for it.
    async fn know(&self, state: &mut State, policy: &Policy) -> Result<(), WriteError> {
        let key = policy.key();
        let generation = policy.origin.as_ref().map_or(0, |it| it.generation);
        if state.ledger.counts(policy).is_some() {
            return Ok(());
        }
        let (api, _) = self.api(&key);
        let found = api.get_opt(&key.1).await?;
        let status = found.and_then(|it| it.data.get("status").cloned()).unwrap_or_default();
        let status: DevOpsPolicyStatus = serde_json::from_value(status).unwrap_or_default();
        let told = status.remediation.filter(|it| it.generation == Some(generation));
        let counts = told.map_or_else(Counts::default, |it| Counts {
            generation,
            repaired: it.repaired,
            rolled_back: it.rolled_back,
        });
        state.ledger.count(key, Counts { generation, ..counts });
        Ok(())
    }

    /// Looks how far a rollout is, and ends the repair one way or the other.
    async fn watch(
        &self,
        state: &mut State,
        target: &Target,
        wanting: &BTreeMap<PolicyKey, Arc<Policy>>,
    ) -> Result<(), WriteError> {
        let Some(record) = state.in_flight.get(target).cloned() else { return Ok(()) };
        let askers = keys(&record);
        let Some(object) = self.transactions.get(target).await? else {
            state.in_flight.remove(target);
            state.ledger.forget(target);
            return Ok(());
        };
        match record.template(&object) {
            Template::Repaired => {}
            Template::Reverted => return self.undone(state, target, &object, &record).await,
            Template::Other => {
                tracing::info!(workload = %name(target), "somebody else changed the template; it is theirs");
                self.transactions.forget(target, &object).await?;
                state.in_flight.remove(target);
                state.ledger.forget(target);
                return Ok(());
            }
        }
        let kind = target.kind();
        let (progress, worse) = match rollout::rollout(kind, &object) {
            Rollout::Complete => {
                return self.repaired(state, target, &object, &record, "every pod is new and available").await;
            }
            Rollout::Failed(why) => (String::new(), Some(why)),
            Rollout::Underway { updated, available, wanted } => {
                let progress = format!("{updated} of {wanted} pods are new, {available} available");
                let crash = self.transactions.crash(target, &object, &record).await?;
                (progress, crash)
            }
        };
        let deleting = askers.iter().filter_map(|key| wanting.get(key)?.origin.as_ref()?.deleting);
        let held = deleting.map(|it| it.as_second() + TAKE_BACK).min();
        let now = Timestamp::now();
        let over = now >= record.deadline || held.is_some_and(|until| now.as_second() >= until);
        let worse = match worse {
            None if over => {
                let after = rollout::available(kind, &object);
                let all_new = matches!(rollout::rollout(kind, &object), Rollout::Underway { updated, wanted, .. } if updated >= wanted);
                if all_new && after >= record.available {
                    let why = format!("no worse than before: {after} pods are available, as were {}", record.available);
                    return self.repaired(state, target, &object, &record, &why).await;
                }
                Some(format!("its rollout did not end in time: {progress}"))
            }
            worse => worse,
        };
        match worse {
            None => {
                let message = format!("rolling out: {progress}");
                state.ledger.tell(target, RemediationState::RollingOut, message, None, askers);
                Ok(())
            }
            Some(why) => self.take_back(state, target, &object, &record, why).await,
        }
    }

    async fn repaired(
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
            let askers = keys(record);
            state.in_flight.remove(target);
            state.ledger.ended(&askers, false);
            state.ledger.tell(target, RemediationState::Repaired, message.clone(), None, askers);
            self.metrics.step("repaired");
            self.notice(target, record, "Repaired", message, false);
        }
        Ok(())
    }

    async fn take_back(
        &self,
        state: &mut State,
        target: &Target,
        object: &serde_json::Value,
        record: &Record,
        why: String,
    ) -> Result<(), WriteError> {
        let askers = keys(record);
        let message = format!("taken back: {why}");
        match self.transactions.roll_back(target, object, record, message.clone()).await? {
            Stepped::Done(_) => {
                state.in_flight.remove(target);
                state.ledger.ended(&askers, true);
                state.ledger.tell(target, RemediationState::RolledBack, message.clone(), None, askers);
                self.metrics.step("rolled_back");
                self.notice(target, record, "RolledBack", message, true);
            }
            // The next look shows what it is now.
            Stepped::Changed => {}
            Stepped::Refused(refusal) => {
                let message = format!("cannot be {message}; the API server says: {refusal}");
                if state.ledger.tell(target, RemediationState::RollingOut, message.clone(), None, askers) {
                    self.notice(target, record, "RollbackRefused", message, true);
                }
            }
        }
        Ok(())
    }

    /// Somebody undid a repair: it is tried again, but not for ever.
    async fn undone(
        &self,
        state: &mut State,
        target: &Target,
        object: &serde_json::Value,
        record: &Record,
    ) -> Result<(), WriteError> {
        let askers = keys(record);
        let conflict = record.attempts >= ATTEMPTS;
        let (next, reason, message) = if conflict {
            let message = format!("undone {ATTEMPTS} times by somebody else: repair it where it comes from, with podgate fix");
            (RemediationState::Conflict, "RemediationConflict", message)
        } else {
            let message = format!("undone by somebody else, {} of {ATTEMPTS} times; it is tried again", record.attempts);
            (RemediationState::Undone, "RepairUndone", message)
        };
        state.tried.insert(target.clone(), (record.before.clone(), record.attempts));
        let settled = Record { state: next, message: message.clone(), ..record.clone() };
        if let Stepped::Done(_) = self.transactions.settle(target, object, settled).await? {
            state.in_flight.remove(target);
            state.ledger.tell(target, next, message.clone(), None, askers);
            self.metrics.step(if conflict { "conflict" } else { "undone" });
            self.notice(target, record, reason, message, true);
        }
        Ok(())
    }

    /// Plans for a workload, and begins what may begin.
    async fn consider(
        &self,
        state: &mut State,
        key: &Arc<WorkloadKey>,
        policies: &[Arc<Policy>],
    ) -> Result<(), WriteError> {
        let applying = |it: &&Arc<Policy>| it.repair.mode == RemediationMode::Apply;
        let may: Vec<_> =
            policies.iter().filter(applying).filter(|it| self.allowed.allows(it)).cloned().collect();
        let proposes = may.is_empty();
        let by = if proposes { policies.to_vec() } else { may };
        let askers: BTreeSet<_> = by.iter().filter_map(|it| asker(it)).collect();
        let fresh = state.looked.get(&**key).is_some_and(|(at, seen)| at.elapsed() < FRESH && *seen == askers);
        let kind = plan::repaired_kind(&key.kind);
        let target = Target::new(kind.clone().unwrap_or(plan::KINDS[0]), (**key).clone());
        if fresh || state.in_flight.contains_key(&target) {
            return Ok(());
        }
        let of: BTreeSet<_> = by.iter().map(|it| it.key()).collect();
        state.looked.insert((**key).clone(), (Instant::now(), askers.clone()));
        let kind = match kind {
            Ok(kind) => kind,
            Err(refusal) => {
                state.ledger.tell(&target, RemediationState::Refused, refusal.to_string(), None, of);
                return Ok(());
            }
        };
        let Some(object) = self.transactions.get(&target).await? else { return Ok(()) };
        let record = Record::of(&object);
        let attempts = match self.before(state, &target, &object, record.as_ref(), &askers).await? {
            Some(attempts) => attempts,
            None => return Ok(()),
        };
        let set = PolicySet::new(by.iter().cloned(), Arc::default());
        let repair = match plan::plan(kind, &object, &set, Timestamp::now()) {
            Plan::Nothing => {
                state.ledger.forget(&target);
                return Ok(());
            }
            Plan::Refused(refusal) => {
                state.ledger.tell(&target, RemediationState::Refused, refusal.to_string(), None, of);
                return Ok(());
            }
            Plan::Patch(repair) => repair,
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
            if state.ledger.tell(&target, RemediationState::Proposed, why.clone(), patch, of) {
                let note = format!("podgate would put in what {} ask for; {why}", rules(&repair));
                self.notice_of(&target, &by, "RemediationProposed", note, false);
            }
            return Ok(());
        }
        self.begin(state, &target, &object, &repair, &by, attempts).await
    }

    /// How often the same repair was tried before; `None` where it is not to be tried now.
    async fn before(
        &self,
        state: &mut State,
        target: &Target,
        object: &serde_json::Value,
        record: Option<&Record>,
        askers: &BTreeSet<Asker>,
    ) -> Result<Option<u32>, WriteError> {
        let before = super::record::fingerprint(object);
        let lost = state.tried.get(target).filter(|(known, _)| *known == before);
        let lost = lost.map_or(0, |(_, attempts)| *attempts);
        let Some(record) = record else { return Ok(Some(lost)) };
        let same = record.policies.iter().cloned().collect::<BTreeSet<_>>() == *askers;
        let reverted = record.template(object) == Template::Reverted;
        match record.state {
            // Begun by hand, or by a leader that was killed before this one knew of it.
            RemediationState::RollingOut => {
                state.in_flight.insert(target.clone(), record.clone());
                Ok(None)
            }
            RemediationState::RolledBack | RemediationState::Conflict if reverted && same => {
                let (message, of) = (record.message.clone(), keys(record));
                state.ledger.tell(target, record.state, message, None, of);
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

    async fn begin(
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
        if attempts >= ATTEMPTS {
            waits = Some(format!("undone {ATTEMPTS} times by somebody else: repair it where it comes from, with podgate fix"));
        }
        if let Rollout::Underway { updated, wanted, .. } = rollout::rollout(target.kind(), object)
            && updated < wanted
        {
            waits = waits.or_else(|| Some("it waits for a rollout that is under way".to_owned()));
        }
        if let Some(why) = waits {
            let now = if attempts >= ATTEMPTS { RemediationState::Conflict } else { RemediationState::Proposed };
            let patch = serde_json::to_string(&repair.operations).ok();
            state.ledger.tell(target, now, why, patch, of);
            // It may be its turn at the next look.
            state.looked.remove(&target.key);
            return Ok(());
        }
        let timeout = by.iter().map(|it| it.repair.timeout).max().unwrap_or_default();
        let order = Order {
            policies: by.iter().filter_map(|it| asker(it)).collect(),
            timeout: Duration::from_secs(timeout.into()),
            attempts: attempts + 1,
        };
        match self.transactions.begin(target, object, repair, order).await? {
            Stepped::Done(record) => {
                let message = format!("repairing what {} ask for", rules(repair));
                state.ledger.began(namespace, &of);
                state.ledger.tell(target, RemediationState::RollingOut, message.clone(), None, of);
                self.metrics.step("begun");
                self.notice(target, &record, "Repairing", message, false);
                state.in_flight.insert(target.clone(), record);
            }
            Stepped::Changed => drop(state.looked.remove(&target.key)),
            Stepped::Refused(why) => {
                let message = format!("the API server does not admit the patch: {why}");
                state.ledger.tell(target, RemediationState::Refused, message, None, of);
            }
        }
        Ok(())
    }

    /// Holds policies that may repair until what is in flight is done, and lets go of those that need not be held.
    async fn hold(&self, state: &State, policies: &PolicySet) -> Result<(), WriteError> {
        if self.allowed == Allowed::None {
            return Ok(());
        }
        for policy in policies.policies() {
            let Some(origin) = &policy.origin else { continue };
            let key = policy.key();
            let busy = state.in_flight.values().any(|record| keys(record).contains(&key));
            let over = origin.deleting.is_some_and(|it| Timestamp::now().as_second() >= it.as_second() + HELD);
            let applies = policy.repair.mode == RemediationMode::Apply && self.allowed.allows(policy);
            let hold = match origin.deleting {
                Some(_) => busy && !over,
                None => applies || busy,
            };
            // None is put on what is being deleted.
            if hold == origin.held || (hold && origin.deleting.is_some()) {
                continue;
            }
            let (api, resource) = self.api(&key);
            match super::finalizer::set(&self.transactions.claim, &api, &resource, &key.1, hold).await {
                Ok(()) => {}
                // It changed, or is gone.
                Err(error) if matches!(error.code(), Some(404 | 409)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn api(&self, (namespace, _): &PolicyKey) -> (Api<DynamicObject>, ApiResource) {
        let client = self.transactions.client.clone();
        if let Some(namespace) = namespace {
            let resource = ApiResource::erase::<DevOpsPolicy>(&());
            (Api::namespaced_with(client, namespace, &resource), resource)
        } else {
            let resource = ApiResource::erase::<ClusterDevOpsPolicy>(&());
            (Api::all_with(client, &resource), resource)
        }
    }

    fn tell_statuses(&self, state: &State, policies: &PolicySet) {
        let wanting = wanting(policies);
        let statuses: Statuses =
            wanting.iter().map(|(key, policy)| (key.clone(), state.ledger.status(policy))).collect();
        self.statuses.send_if_modified(|known| {
            let news = **known != statuses;
            if news {
                *known = Arc::new(statuses);
            }
            news
        });
    }

    /// Tells the owner of a workload, and those of the policies.
    fn notice(&self, target: &Target, record: &Record, reason: &'static str, note: String, warning: bool) {
        let policies = record.policies.iter().map(|it| (it.policy.clone(), it.uid.clone()));
        self.tell(target, policies, reason, &note, warning);
    }

    fn notice_of(&self, target: &Target, by: &[Arc<Policy>], reason: &'static str, note: String, warning: bool) {
        let policies = by.iter().filter_map(|it| asker(it)).map(|it| (it.policy, it.uid));
        self.tell(target, policies, reason, &note, warning);
    }

    fn tell(
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
            about: NoticeAbout::Policy { key: key_of(&policy), uid },
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

/// The policies that want workloads repaired, or that are held because they did.
fn wanting(policies: &PolicySet) -> BTreeMap<PolicyKey, Arc<Policy>> {
    let wanting = policies.policies().iter().filter(|it| it.repair.mode != RemediationMode::Off);
    wanting.map(|policy| (policy.key(), Arc::clone(policy))).collect()
}

fn deleted(policy: &Policy) -> bool {
    policy.origin.as_ref().is_some_and(|it| it.deleting.is_some())
}

fn asker(policy: &Policy) -> Option<Asker> {
    let origin = policy.origin.as_ref()?;
    let (uid, generation) = (origin.uid.clone(), origin.generation);
    Some(Asker { policy: label(&policy.key()), uid, generation })
}

/// The key of a policy from its label; no part of one has a slash.
fn key_of(label: &str) -> PolicyKey {
    match label.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
        None => (None, label.to_owned()),
    }
}

fn keys(record: &Record) -> BTreeSet<PolicyKey> {
    record.policies.iter().map(|it| key_of(&it.policy)).collect()
}

fn rules(repair: &Repair) -> String {
    repair.rules.iter().copied().collect::<Vec<_>>().join(", ")
}

/// As people call it.
pub fn name(target: &Target) -> String {
    let WorkloadKey { namespace, kind, name } = &target.key;
    format!("{kind} {namespace}/{name}")
}
