//! What the leader does about workloads that break policies with remediation: one after another, no faster than the
//! policies, the budget and the breaker of [`super::ledger`] allow, and each watched until it is done or taken back.

mod begin;
mod believe;
mod follow;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::ledger::{Counts, Ledger};
use super::plan::Repair;
use super::transaction::{Target, Transactions};
use crate::api::{DevOpsPolicyStatus, RemediationMode};
use crate::leader::claim::WriteError;
use crate::metrics::RemediationMetrics;
use crate::policies;
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Notice, ObservedRemediation, WorkloadKey};
use crate::policy::policy_set::PolicySet;
use crate::policy::record::{PolicyRef, Record};

/// How often it is looked at what is under way, and whether something may begin.
const LOOK: Duration = Duration::from_secs(1);
/// How long what was found of a workload holds, if nobody says otherwise.
const FRESH: Duration = Duration::from_secs(30);
/// The most workloads that are read in a round: however many break policies, the API server is asked no more than that.
const LOOKS: usize = 20;
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

type Broken = BTreeMap<(PolicyKey, String), Vec<Arc<WorkloadKey>>>;

/// Which workloads break which policies, by policy and namespace, as the audit has it now.
#[derive(Clone, Default)]
pub struct Violating(Arc<Mutex<Broken>>);

impl Violating {
    /// What breaks a policy in a namespace now; nothing where it is empty.
    pub fn set(&self, policy: PolicyKey, namespace: String, workloads: Vec<Arc<WorkloadKey>>) {
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

/// What policies' statuses tell of remediation.
pub type Statuses = BTreeMap<PolicyKey, ObservedRemediation>;

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
    /// How many workloads may still be read in this round, and which was the last: the next have their turn first.
    looks: usize,
    last: Option<Arc<WorkloadKey>>,
    /// What was looked at, when, for whom.
    looked: BTreeMap<WorkloadKey, (Instant, BTreeSet<PolicyRef>)>,
    /// How often a template was tried, and for whom, where the workload's own record is lost.
    tried: BTreeMap<Target, Tried>,
}

/// What is remembered of a workload's last try.
struct Tried {
    /// The template before, as a hash of it.
    before: String,
    requested_by: BTreeSet<PolicyRef>,
    attempts: u32,
    /// Why it was taken back, if it was.
    taken_back: Option<String>,
}

impl Tried {
    fn of(record: &Record) -> Self {
        let requested_by = record.policies.iter().cloned().collect();
        let (before, attempts) = (record.before.clone(), record.attempts);
        Self { before, requested_by, attempts, taken_back: None }
    }
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
                self.publish_statuses(&state, &policies);
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
            // What an earlier leader began.
            for (target, object) in self.transactions.in_flight().await? {
                match self.believed(&target, &object, policies) {
                    Ok(record) => {
                        tracing::info!(workload = %name(&target), "goes on with a repair that was under way");
                        state.in_flight.insert(target, record);
                    }
                    Err(why) => {
                        tracing::warn!(workload = %name(&target), %why, "is labelled as being repaired, and is left alone");
                    }
                }
            }
            *resumed = true;
        }
        for policy in wanting.values() {
            self.know(state, policy).await?;
        }
        // What the API server does not do for one workload, such as by a webhook that is down, holds up no other.
        for target in state.in_flight.keys().cloned().collect::<Vec<_>>() {
            let watched = self.watch(state, &target, &wanting).await;
            unless_leading_is_over(watched, &target)?;
        }
        self.hold(state, policies).await?;
        let violating = self.violating.by_workload();
        state.looks = LOOKS;
        let (done, next): (Vec<_>, Vec<_>) =
            violating.iter().partition(|(key, _)| state.last.as_ref().is_some_and(|it| *key <= it));
        for (key, broken) in next.into_iter().chain(done) {
            let requested_by = broken.iter().filter_map(|it| wanting.get(it)).collect::<Vec<_>>();
            let requested_by: Vec<_> =
                requested_by.into_iter().filter(|it| !deleted(it)).cloned().collect();
            if !requested_by.is_empty() && state.looks > 0 {
                self.consider(state, key, &requested_by, policies).await?;
            }
        }
        let wanted = |workload: &WorkloadKey| {
            let broken = violating.get(workload);
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
        if state.ledger.knows(policy) {
            return Ok(());
        }
        let (api, _) = policies::api(self.transactions.client.clone(), key.namespace.as_deref());
        let found = api.get_opt(&key.name).await?;
        let status = found.and_then(|it| it.data.get("status").cloned()).unwrap_or_default();
        let status: DevOpsPolicyStatus = serde_json::from_value(status).unwrap_or_default();
        let status = status.remediation.filter(|it| it.generation == Some(generation));
        let counts = status.map_or_else(Counts::default, |it| Counts {
            generation,
            repaired: it.repaired,
            rolled_back: it.rolled_back,
        });
        state.ledger.count(key, Counts { generation, ..counts });
        Ok(())
    }

    /// Holds policies that may repair until what is in flight is done, and lets go of those that need not be held.
    async fn hold(&self, state: &State, policies: &PolicySet) -> Result<(), WriteError> {
        for policy in policies.policies() {
            let Some(origin) = &policy.origin else { continue };
            let key = policy.key();
            let busy = state.in_flight.values().any(|record| keys(record).contains(&key));
            let over = origin
                .deleting
                .is_some_and(|it| Timestamp::now().as_second() >= it.as_second() + HELD);
            let applies =
                policy.repair.mode == RemediationMode::Apply && self.allowed.allows(policy);
            let hold = match origin.deleting {
                Some(_) => busy && !over,
                None => applies || busy,
            };
            // None is put on what is being deleted.
            if hold == origin.held || (hold && origin.deleting.is_some()) {
                continue;
            }
            let (api, resource) =
                policies::api(self.transactions.client.clone(), key.namespace.as_deref());
            match super::finalizer::set(&self.transactions.claim, &api, &resource, &key.name, hold)
                .await
            {
                Ok(()) => {}
                // It changed, or is gone.
                Err(error) if matches!(error.code(), Some(404 | 409)) => {}
                // Where nobody's remediation may write, the right to may be gone with it.
                Err(error) if self.allowed == Allowed::None && error.code() == Some(403) => {
                    tracing::warn!(policy = %policy.label, %error, "cannot let go of a policy that was held; podgate policy release can");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// An error of the API server's is one workload's, and tried again at a later look; that of the Lease is the end.
fn unless_leading_is_over(done: Result<(), WriteError>, target: &Target) -> Result<(), WriteError> {
    match done {
        Err(WriteError::Api(error)) => {
            tracing::warn!(workload = %name(target), %error, "a repair is held up; it is tried again");
            Ok(())
        }
        done => done,
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

fn keys(record: &Record) -> BTreeSet<PolicyKey> {
    record.policies.iter().map(|it| PolicyKey::of_label(&it.policy)).collect()
}

fn rules(repair: &Repair) -> String {
    repair.rules.iter().copied().collect::<Vec<_>>().join(", ")
}

/// As people call it.
pub fn name(target: &Target) -> String {
    let WorkloadKey { namespace, kind, name } = &target.key;
    format!("{kind} {namespace}/{name}")
}
