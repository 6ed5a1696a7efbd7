//! The leader's repairs of workloads that violate policies with remediation: one after another, at the pace that the
//! policies, the budget and the breaker of [`super::ledger`] allow, each followed until it is done or rolled back.

mod begin;
mod follow;
mod publish;
mod resume;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::finalizer::{self, Finalizer};
use super::ledger::{RepairCounts, RepairLedger};
use super::plan::RepairPatch;
use super::transaction::{RepairTarget, Transactions};
use crate::api::{DevOpsPolicyStatus, RemediationMode};
use crate::leader::claim::WriteError;
use crate::metrics::RemediationMetrics;
use crate::policies;
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Notice, ObservedRemediation, WorkloadKey};
use crate::policy::policy_set::PolicySet;
use crate::policy::record::{PolicyRef, Record};

/// The time between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// How long a workload that was read is not read again, unless something changes.
const FRESH: Duration = Duration::from_secs(30);
/// The most workloads read in a round, which bounds the load on the API server.
const READS: usize = 20;
/// The most attempts at a repair that somebody undoes.
const ATTEMPTS: u32 = 3;
/// The seconds that a deleted policy is held for its repairs in flight.
const HELD: i64 = 60;
/// The seconds after a policy's deletion at which its unfinished repairs are rolled back.
const ROLL_BACK: i64 = 45;

/// The policies whose remediation may write.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RemediationScope {
    /// No policy's: patches are only proposed, whatever its remediation mode.
    #[default]
    None,
    ClusterPolicies,
    AllPolicies,
}

impl RemediationScope {
    fn allows(self, policy: &Policy) -> bool {
        match self {
            Self::None => false,
            Self::ClusterPolicies => policy.scope.namespace().is_none(),
            Self::AllPolicies => true,
        }
    }
}

type ByPolicy = BTreeMap<(PolicyKey, String), Vec<Arc<WorkloadKey>>>;

/// The workloads that violate policies, by policy and namespace, as the audit last observed them.
#[derive(Clone, Default)]
pub struct Violating(Arc<Mutex<ByPolicy>>);

impl Violating {
    /// Replaces the workloads that violate a policy in a namespace.
    pub fn set(&self, policy: PolicyKey, namespace: String, workloads: Vec<Arc<WorkloadKey>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if workloads.is_empty() {
            all.remove(&(policy, namespace));
        } else {
            all.insert((policy, namespace), workloads);
        }
    }

    /// The policies that each workload violates.
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

/// The remediation part of each policy's status.
pub type Statuses = BTreeMap<PolicyKey, ObservedRemediation>;

/// The leader's repairs: inputs and outputs.
pub struct Work {
    pub transactions: Transactions,
    pub policies: watch::Receiver<Option<Arc<PolicySet>>>,
    pub violating: Violating,
    pub allowed: RemediationScope,
    pub metrics: RemediationMetrics,
    pub statuses: watch::Sender<Arc<Statuses>>,
    pub notices: mpsc::Sender<Notice>,
}

/// In-memory state.
#[derive(Default)]
struct WorkState {
    in_flight: BTreeMap<RepairTarget, Record>,
    ledger: RepairLedger,
    /// The number of workloads that may still be read in this round.
    reads: usize,
    /// The workload that was read last. The next round starts after it.
    last: Option<Arc<WorkloadKey>>,
    /// The workloads that were read in the last [`FRESH`].
    read: BTreeMap<WorkloadKey, LastRead>,
    /// Each workload's last attempt, for a workload whose record was overwritten.
    attempts: BTreeMap<RepairTarget, LastAttempt>,
}

/// When a workload was last read, and for which policies.
struct LastRead {
    at: Instant,
    policies: BTreeSet<PolicyRef>,
}

/// The last attempt at a workload's repair.
struct LastAttempt {
    /// The hash of the template before it.
    before: String,
    policies: BTreeSet<PolicyRef>,
    attempts: u32,
    /// The message of its roll-back, if it was rolled back.
    rolled_back: Option<String>,
}

impl LastAttempt {
    fn of(record: &Record) -> Self {
        let policies = record.policies.iter().cloned().collect();
        let (before, attempts) = (record.before.clone(), record.attempts);
        Self { before, policies, attempts, rolled_back: None }
    }
}

impl Work {
    /// Repairs until it is dropped.
    pub async fn run(mut self) {
        let mut state = WorkState::default();
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
            tokio::time::sleep(ROUND).await;
        }
    }

    async fn round(
        &self,
        state: &mut WorkState,
        policies: &PolicySet,
        resumed: &mut bool,
    ) -> Result<(), WriteError> {
        let wanting = wanting(policies);
        if self.allowed != RemediationScope::None && !*resumed {
            // The repairs that an earlier leader began.
            for (target, object) in self.transactions.in_flight().await? {
                match self.resumable(&target, &object, policies) {
                    Ok(record) => {
                        tracing::info!(workload = %name(&target), "resumes the repair of an earlier leader");
                        state.in_flight.insert(target, record);
                    }
                    Err(why) => {
                        tracing::warn!(workload = %name(&target), %why, "has the label of a repair in flight, and is left alone");
                    }
                }
            }
            *resumed = true;
        }
        for policy in wanting.values() {
            self.read_counts(state, policy).await?;
        }
        // An error for one workload, such as a webhook that is down, holds up no other workload.
        for target in state.in_flight.keys().cloned().collect::<Vec<_>>() {
            let followed = self.follow(state, &target, &wanting).await;
            unless_leading_is_over(followed, &target)?;
        }
        self.hold(state, policies).await?;
        let violating = self.violating.by_workload();
        state.reads = READS;
        let (done, next): (Vec<_>, Vec<_>) =
            violating.iter().partition(|(key, _)| state.last.as_ref().is_some_and(|it| *key <= it));
        for (key, violated) in next.into_iter().chain(done) {
            let policies_of: Vec<_> = violated
                .iter()
                .filter_map(|it| wanting.get(it))
                .filter(|it| !deleted(it))
                .cloned()
                .collect();
            if !policies_of.is_empty() && state.reads > 0 {
                self.consider(state, key, &policies_of, policies).await?;
            }
        }
        let wanted = |workload: &WorkloadKey| {
            let violated = violating.get(workload);
            violated.is_some_and(|violated| violated.iter().any(|it| wanting.contains_key(it)))
        };
        state.ledger.keep(wanted);
        state.read.retain(|key, _| violating.contains_key(key));
        self.metrics.in_flight(state.in_flight.len());
        Ok(())
    }

    /// Reads a policy's counts from its status, before it repairs anything.
    async fn read_counts(&self, state: &mut WorkState, policy: &Policy) -> Result<(), WriteError> {
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
        let counts = status.map_or_else(RepairCounts::default, |it| RepairCounts {
            generation,
            repaired: it.repaired,
            rolled_back: it.rolled_back,
        });
        state.ledger.count(key, RepairCounts { generation, ..counts });
        Ok(())
    }

    /// Adds the finalizer to the policies that may repair, and removes it
    /// from those that have no repair in flight and may not begin one.
    async fn hold(&self, state: &WorkState, policies: &PolicySet) -> Result<(), WriteError> {
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
            // The API server refuses new finalizers on a policy that is being deleted.
            if hold == origin.held || (hold && origin.deleting.is_some()) {
                continue;
            }
            let (api, resource) =
                policies::api(self.transactions.client.clone(), key.namespace.as_deref());
            let wanted = if hold { Finalizer::Present } else { Finalizer::Absent };
            let claim = &self.transactions.claim;
            match finalizer::set(claim, &api, &resource, &key.name, wanted).await {
                Ok(()) => {}
                // The policy changed, or is gone.
                Err(error) if matches!(error.code(), Some(404 | 409)) => {}
                // Where no policy's remediation may write, podgate may lack the permission too.
                Err(error)
                    if self.allowed == RemediationScope::None && error.code() == Some(403) =>
                {
                    tracing::warn!(policy = %policy.label, %error, "cannot remove the finalizer of a policy; run podgate policy release");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Logs an API server's error, which concerns one workload and is
/// retried in the next round. Passes on that the Lease is lost.
fn unless_leading_is_over(
    done: Result<(), WriteError>,
    target: &RepairTarget,
) -> Result<(), WriteError> {
    match done {
        Err(WriteError::Api(error)) => {
            tracing::warn!(workload = %name(target), %error, "a repair is held up; it is tried again");
            Ok(())
        }
        done => done,
    }
}

/// The policies with remediation, by key.
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

fn rules(repair: &RepairPatch) -> String {
    repair.rules.iter().copied().collect::<Vec<_>>().join(", ")
}

/// A workload's name in messages: `KIND NAMESPACE/NAME`.
pub fn name(target: &RepairTarget) -> String {
    let WorkloadKey { namespace, kind, name } = &target.key;
    format!("{kind} {namespace}/{name}")
}
