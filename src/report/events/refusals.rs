//! Gathers workloads whose new pods are refused, and words the notes about them. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::policy::observed::{RefusedWorkload, WorkloadKey};
use crate::policy::text::{self, clip, cut};

/// The most workloads and policies kept of one topic.
const MAX_WORKLOADS: usize = 64;
const MAX_POLICIES: usize = 4;
/// The workloads that a policy's note names.
const NAMED: usize = 3;
/// The longest name of a policy in a note, and the longest reasons of all policies, in bytes.
const MAX_POLICY: usize = 80;
const MAX_WHY: usize = 600;

/// The refused workloads of a policy, or the policies that refuse the pods of a workload, in bounded memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    /// How many pods each workload lacks, and `0 of 4 pods`; as it was told last.
    workloads: BTreeMap<WorkloadKey, (u32, String)>,
    /// The number of times that a workload was left out.
    more_workloads: u64,
    /// Why, by the policy's label.
    why: BTreeMap<String, String>,
}

impl Refusals {
    /// The number of workloads.
    pub fn count(&self) -> u64 {
        self.workloads.len() as u64 + self.more_workloads
    }

    pub fn add(&mut self, policy: &str, refused: &RefusedWorkload) {
        let lack = refused.wanted.saturating_sub(refused.running);
        self.add_workload((*refused.workload).clone(), (lack, refused.pods()));
        self.add_policy(policy.to_owned(), refused.why());
    }

    fn add_workload(&mut self, workload: WorkloadKey, pods: (u32, String)) {
        if self.workloads.len() < MAX_WORKLOADS || self.workloads.contains_key(&workload) {
            self.workloads.insert(workload, pods);
        } else {
            self.more_workloads += 1;
        }
    }

    fn add_policy(&mut self, policy: String, why: String) {
        self.why.insert(policy, why);
        if self.why.len() > MAX_POLICIES {
            self.why.pop_last();
        }
    }

    /// Adds refusals that were gathered later.
    pub fn merge(&mut self, later: Self) {
        self.more_workloads += later.more_workloads;
        for (workload, pods) in later.workloads {
            self.add_workload(workload, pods);
        }
        for (policy, why) in later.why {
            self.add_policy(policy, why);
        }
    }

    /// The note on a policy: the number of workloads, and those that lack the most pods.
    pub fn on_policy(&self) -> String {
        let mut workloads: Vec<_> = self.workloads.iter().collect();
        workloads.sort_by_key(|(_, (lack, _))| Reverse(*lack));
        let named = workloads.iter().take(NAMED).map(|(key, (_, pods))| {
            format!("{} {}/{} ({pods})", clip(&key.kind), clip(&key.namespace), clip(&key.name))
        });
        let named: Vec<_> = named.collect();
        let count = self.count();
        let others = if count > named.len() as u64 { " and others" } else { "" };
        format!(
            "refuses new pods of {}: {}{others}",
            text::count(count, "workload"),
            named.join(", ")
        )
    }

    /// The note on a workload: how many pods it has, and why each policy refuses new ones.
    pub fn on_workload(&self) -> String {
        let pods = self.workloads.values().map(|(_, pods)| pods.as_str()).next();
        // Each policy has its part of the note.
        let room = MAX_WHY / self.why.len().max(1);
        let why = self.why.iter().map(|(policy, why)| {
            format!("by policy {}: {}", cut(policy.clone(), MAX_POLICY), cut(why.clone(), room))
        });
        let why: Vec<_> = why.collect();
        format!("{}: new pods are refused {}", pods.unwrap_or_default(), why.join("; "))
    }
}
