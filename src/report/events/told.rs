//! Gathers the workloads of a topic with why each policy minds, and words the notes about workloads whose new pods are
//! refused, and about those that were admitted while nobody judged. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::policy::observed::{RefusedWorkload, ViolatingPods, WorkloadKey};
use crate::policy::text::{clip, count, cut};

/// The most workloads and policies kept of one topic.
const MAX_WORKLOADS: usize = 64;
const MAX_POLICIES: usize = 4;
/// The workloads that a policy's note names.
const NAMED: usize = 3;
/// The longest name of a policy in a note, and the longest reasons of all policies, in bytes.
const MAX_POLICY: usize = 80;
const MAX_WHY: usize = 600;

/// The workloads of a policy, or the policies of a workload, in bounded memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    workloads: BTreeMap<WorkloadKey, Weight>,
    /// The number of times that a workload was left out.
    more_workloads: u64,
    /// Why, by the policy's label.
    why: BTreeMap<String, String>,
}

/// How bad it is for a workload.
#[derive(Clone, Debug)]
struct Weight {
    /// The number of pods that are missing, or there.
    pods: u32,
    /// As text: `0 of 4 pods`.
    text: String,
}

impl Told {
    /// The number of workloads.
    pub fn count(&self) -> u64 {
        self.workloads.len() as u64 + self.more_workloads
    }

    pub fn add_refused(&mut self, policy: &str, refused: &RefusedWorkload) {
        let pods = refused.wanted.saturating_sub(refused.running);
        let weight = Weight { pods, text: refused.pods() };
        self.add_workload((*refused.workload).clone(), weight);
        self.add_policy(policy.to_owned(), refused.why());
    }

    pub fn add_slipped(&mut self, policy: &str, slipped: &ViolatingPods) {
        let weight = Weight { pods: slipped.pods, text: count(slipped.pods.into(), "pod") };
        self.add_workload((*slipped.workload).clone(), weight);
        self.add_policy(policy.to_owned(), slipped.why());
    }

    fn add_workload(&mut self, workload: WorkloadKey, weight: Weight) {
        if self.workloads.len() < MAX_WORKLOADS || self.workloads.contains_key(&workload) {
            self.workloads.insert(workload, weight);
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

    /// Adds what was gathered later.
    pub fn merge(&mut self, later: Self) {
        self.more_workloads += later.more_workloads;
        for (workload, weight) in later.workloads {
            self.add_workload(workload, weight);
        }
        for (policy, why) in later.why {
            self.add_policy(policy, why);
        }
    }

    /// The note on a policy that refuses new pods.
    pub fn refused_by_policy(&self) -> String {
        format!("refuses new pods of {}: {}", count(self.count(), "workload"), self.named())
    }

    /// The note on a workload whose new pods are refused.
    pub fn refused(&self) -> String {
        let pods = self.workloads.values().map(|it| it.text.as_str()).next().unwrap_or_default();
        format!("{pods}: new pods are refused {}", self.reasons())
    }

    /// The note on a policy that did not judge.
    pub fn slipped_policy(&self) -> String {
        let workloads = count(self.count(), "workload");
        format!("{workloads} admitted while podgate did not judge: {}", self.named())
    }

    /// The note on a workload that was not judged.
    pub fn slipped(&self) -> String {
        format!("admitted while podgate did not judge; denied {}", self.reasons())
    }

    /// Some workloads, those with the most pods first.
    fn named(&self) -> String {
        let mut workloads: Vec<_> = self.workloads.iter().collect();
        workloads.sort_by_key(|(_, weight)| Reverse(weight.pods));
        let named = workloads.iter().take(NAMED).map(|(key, Weight { text, .. })| {
            format!("{} {}/{} ({text})", clip(&key.kind), clip(&key.namespace), clip(&key.name))
        });
        let named: Vec<_> = named.collect();
        let others = if self.count() > named.len() as u64 { " and others" } else { "" };
        named.join(", ") + others
    }

    /// Why each policy minds; each has its part of the note.
    fn reasons(&self) -> String {
        let room = MAX_WHY / self.why.len().max(1);
        let why = self.why.iter().map(|(policy, why)| {
            format!("by policy {}: {}", cut(policy.clone(), MAX_POLICY), cut(why.clone(), room))
        });
        why.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::observed::testing::refused;

    fn slipped(name: &str, rules: &[&'static str]) -> ViolatingPods {
        let refused = refused(name, (0, 1), rules);
        ViolatingPods { workload: refused.workload, pods: 2, faults: refused.faults }
    }

    #[test]
    fn a_policys_note_names_three_slipped_workloads_and_a_workloads_note_every_policy() {
        let mut told = Told::default();
        for name in ["a", "b", "c", "d"] {
            told.add_slipped("shop/own", &slipped(name, &["forbidLatestTag"]));
        }
        assert_eq!(told.count(), 4);
        insta::assert_snapshot!(told.slipped_policy(), @"4 workloads admitted while podgate did not judge: Deployment shop/a (2 pods), Deployment shop/b (2 pods), Deployment shop/c (2 pods) and others");
        let mut told = Told::default();
        told.add_slipped("shop/own", &slipped("a", &["forbidLatestTag"]));
        let mut later = Told::default();
        later.add_slipped("restricted", &slipped("a", &["podSecurity"]));
        told.merge(later);
        assert_eq!(told.count(), 1);
        insta::assert_snapshot!(told.slipped(), @"admitted while podgate did not judge; denied by policy restricted: spec.containers[0] breaks podSecurity; by policy shop/own: spec.containers[0] breaks forbidLatestTag");
    }

    #[test]
    fn a_flood_is_gathered_in_bounded_memory_and_short_notes() {
        let mut told = Told::default();
        for index in 0..1000 {
            let name = format!("{index}{}", "n".repeat(300));
            let policy = format!("p{index}{}", "p".repeat(300));
            told.add_slipped(&policy, &slipped(&name, &["a", "b", "c", "d"]));
        }
        assert_eq!((told.workloads.len(), told.why.len()), (MAX_WORKLOADS, MAX_POLICIES));
        assert_eq!(told.count(), 1000);
        assert!(told.slipped_policy().len() < 1500 && told.slipped().len() < 1500);
    }
}
