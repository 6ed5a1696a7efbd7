//! The leader's memory of repairs: their counts, their pace, and the remediation part of each policy's status. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{RemediatedWorkload, RemediationState, RemediationStatus};
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;
use crate::policy::observed::WorkloadKey;
use crate::policy::text::cut;

/// The most repairs that begin in a namespace within an hour, whatever the policies allow.
const BUDGET: usize = 10;
const HOUR: Duration = Duration::from_hours(1);
/// The number of roll-backs after which a policy repairs nothing more until it is changed.
const BREAKER: i32 = 2;
/// The limits of a policy's status.
const MAX_WORKLOADS: usize = 20;
const MAX_WORKLOAD: usize = 512;
const MAX_MESSAGE: usize = 512;
const MAX_PATCH: usize = 2048;

/// A workload's entry in its policies' statuses.
#[derive(Clone, Debug)]
pub(super) struct LedgerEntry {
    pub state: RemediationState,
    pub message: String,
    pub patch: Option<String>,
    pub policies: BTreeSet<PolicyKey>,
    since: Timestamp,
}

/// The number of a policy's repairs by outcome, for one generation of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RepairCounts {
    pub generation: i64,
    pub repaired: i32,
    pub rolled_back: i32,
}

#[derive(Default)]
pub(super) struct RepairLedger {
    entries: BTreeMap<WorkloadKey, LedgerEntry>,
    counts: BTreeMap<PolicyKey, RepairCounts>,
    /// When repairs began, by namespace.
    begun: BTreeMap<String, VecDeque<Instant>>,
    /// When a policy's last repair ended or began.
    last: BTreeMap<PolicyKey, Instant>,
}

/// How a repair ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RepairEnd {
    Repaired,
    RolledBack,
}

impl RepairLedger {
    /// Records a workload's entry in its policies' statuses. Returns whether its state or message changed.
    pub fn report(
        &mut self,
        workload: &WorkloadKey,
        state: RemediationState,
        message: String,
        patch: Option<String>,
        policies: BTreeSet<PolicyKey>,
    ) -> bool {
        let message = cut(message, MAX_MESSAGE);
        let patch = patch.filter(|it| it.len() <= MAX_PATCH);
        let known = self.entries.get(workload);
        let same = known.filter(|it| it.state == state);
        let is_new = same.is_none_or(|it| it.message != message);
        let since = same.map_or_else(Timestamp::now, |it| it.since);
        self.entries
            .insert(workload.clone(), LedgerEntry { state, message, patch, policies, since });
        is_new
    }

    pub fn forget(&mut self, workload: &WorkloadKey) {
        self.entries.remove(workload);
    }

    /// Drops the entries of workloads that no policy wants repaired
    /// any more, except those of repairs that were written.
    pub fn keep(&mut self, wanted: impl Fn(&WorkloadKey) -> bool) {
        use RemediationState::{Repaired, RolledBack, RollingOut};
        let done = |it: &LedgerEntry| matches!(it.state, Repaired | RolledBack | RollingOut);
        self.entries.retain(|workload, entry| done(entry) || wanted(workload));
    }

    /// A policy's counts, zero for a new generation; `None` until its status has been read.
    pub fn counts(&self, policy: &Policy) -> Option<RepairCounts> {
        let generation = policy.origin.as_ref().map_or(0, |it| it.generation);
        let counts = *self.counts.get(&policy.key())?;
        Some(if counts.generation == generation {
            counts
        } else {
            RepairCounts { generation, ..RepairCounts::default() }
        })
    }

    /// Whether a policy's counts are known. Resets them for a new generation.
    pub fn knows(&mut self, policy: &Policy) -> bool {
        let Some(counts) = self.counts(policy) else { return false };
        self.count(policy.key(), counts);
        true
    }

    pub fn count(&mut self, key: PolicyKey, counts: RepairCounts) {
        self.counts.insert(key, counts);
    }

    /// Counts a repair that ended.
    pub fn ended(&mut self, policies: &BTreeSet<PolicyKey>, end: RepairEnd) {
        for key in policies {
            if let Some(counts) = self.counts.get_mut(key) {
                match end {
                    RepairEnd::Repaired => counts.repaired += 1,
                    RepairEnd::RolledBack => counts.rolled_back += 1,
                }
            }
            self.last.insert(key.clone(), Instant::now());
        }
    }

    pub fn began(&mut self, namespace: &str, policies: &BTreeSet<PolicyKey>) {
        self.begun.entry(namespace.to_owned()).or_default().push_back(Instant::now());
        for key in policies {
            self.last.insert(key.clone(), Instant::now());
        }
    }

    /// The reason why a repair by these policies may not begin now; `None` where
    /// it may. `in_flight` returns the number of a policy's repairs in flight.
    pub fn hindrance<'p>(
        &mut self,
        namespace: &str,
        policies: impl Iterator<Item = &'p Policy>,
        in_flight: impl Fn(&PolicyKey) -> usize,
    ) -> Option<String> {
        for policy in policies {
            let key = policy.key();
            let Some(counts) = self.counts(policy) else {
                return Some("it waits for the policy's status to be read".to_owned());
            };
            if counts.rolled_back >= BREAKER {
                return Some(format!(
                    "policy {} has stopped: {BREAKER} of its repairs had to be taken back; change it to go on",
                    policy.label
                ));
            }
            if in_flight(&key) >= policy.repair.max_concurrent {
                return Some("it waits for another workload's rollout".to_owned());
            }
            let cooldown = Duration::from_secs(policy.repair.cooldown.into());
            if self.last.get(&key).is_some_and(|last| last.elapsed() < cooldown) {
                return Some("it waits for the cooldown after another workload".to_owned());
            }
        }
        let begun = self.begun.entry(namespace.to_owned()).or_default();
        while begun.front().is_some_and(|first| first.elapsed() > HOUR) {
            begun.pop_front();
        }
        (begun.len() >= BUDGET).then(|| {
            format!("it waits: {BUDGET} workloads of namespace {namespace} were repaired within the last hour")
        })
    }

    /// The remediation part of a policy's status.
    pub fn status(&self, policy: &Policy) -> RemediationStatus {
        let key = policy.key();
        let counts = self.counts(policy).unwrap_or_default();
        let mut entries: Vec<_> =
            self.entries.iter().filter(|(_, entry)| entry.policies.contains(&key)).collect();
        entries.sort_by_key(|(workload, entry)| (entry.state, *workload));
        let of = |state: RemediationState| {
            let count = entries.iter().filter(|(_, entry)| entry.state == state).count();
            i32::try_from(count).unwrap_or(i32::MAX)
        };
        RemediationStatus {
            proposed: of(RemediationState::Proposed),
            in_flight: of(RemediationState::RollingOut),
            repaired: counts.repaired,
            rolled_back: counts.rolled_back,
            generation: Some(counts.generation),
            workloads: entries.into_iter().take(MAX_WORKLOADS).map(remediated_workload).collect(),
        }
    }
}

fn remediated_workload((key, entry): (&WorkloadKey, &LedgerEntry)) -> RemediatedWorkload {
    RemediatedWorkload {
        workload: cut(format!("{}/{}/{}", key.kind, key.namespace, key.name), MAX_WORKLOAD),
        state: entry.state,
        message: entry.message.clone(),
        patch: entry.patch.clone(),
        since: Time(entry.since),
    }
}

#[cfg(test)]
mod tests;
