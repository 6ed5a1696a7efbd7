//! Gathers workloads that were admitted while nobody judged, and words the notes about them. Pure.

use std::collections::BTreeMap;

use crate::policy::observed::{ViolatingPods, WorkloadKey};
use crate::policy::text::{clip, count, cut};

/// The most workloads and policies kept of one topic.
const MAX_WORKLOADS: usize = 64;
const MAX_POLICIES: usize = 4;
/// The workloads that a policy's note names.
const NAMED: usize = 3;
/// The longest name of a policy in a note, and the longest reasons of all policies, in bytes.
const MAX_POLICY: usize = 80;
const MAX_WHY: usize = 600;

/// The slipped workloads of a policy, or the policies that a slipped workload violates, in bounded memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Slips {
    /// The number of pods of each workload.
    workloads: BTreeMap<WorkloadKey, u32>,
    /// The number of times that a workload was left out.
    more_workloads: u64,
    /// What is wrong, by the policy's label.
    why: BTreeMap<String, String>,
}

impl Slips {
    /// The number of workloads.
    pub fn count(&self) -> u64 {
        self.workloads.len() as u64 + self.more_workloads
    }

    pub fn add(&mut self, policy: &str, slipped: &ViolatingPods) {
        self.add_workload((*slipped.workload).clone(), slipped.pods);
        self.add_policy(policy.to_owned(), slipped.why());
    }

    fn add_workload(&mut self, workload: WorkloadKey, pods: u32) {
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

    /// Adds what was gathered later.
    pub fn merge(&mut self, later: Self) {
        self.more_workloads += later.more_workloads;
        for (workload, pods) in later.workloads {
            self.add_workload(workload, pods);
        }
        for (policy, why) in later.why {
            self.add_policy(policy, why);
        }
    }

    /// The note on a policy: the number of workloads, and some of them.
    pub fn on_policy(&self) -> String {
        let named = self.workloads.keys().take(NAMED);
        let named: Vec<_> = named
            .map(|it| format!("{} {}/{}", clip(&it.kind), clip(&it.namespace), clip(&it.name)))
            .collect();
        let all = self.count();
        let others = if all > named.len() as u64 { " and others" } else { "" };
        let workloads = count(all, "workload");
        format!("{workloads} admitted while podgate did not judge: {}{others}", named.join(", "))
    }

    /// The note on a workload: what each policy would have denied it for.
    pub fn on_workload(&self) -> String {
        // Each policy has its part of the note.
        let room = MAX_WHY / self.why.len().max(1);
        let why = self.why.iter().map(|(policy, why)| {
            format!("policy {}: {}", cut(policy.clone(), MAX_POLICY), cut(why.clone(), room))
        });
        let why: Vec<_> = why.collect();
        format!("admitted while podgate did not judge; denied by {}", why.join("; "))
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
    fn a_policys_note_names_three_workloads_and_a_workloads_note_every_policy() {
        let mut slips = Slips::default();
        for name in ["a", "b", "c", "d"] {
            slips.add("shop/own", &slipped(name, &["forbidLatestTag"]));
        }
        assert_eq!(slips.count(), 4);
        insta::assert_snapshot!(slips.on_policy(), @"4 workloads admitted while podgate did not judge: Deployment shop/a, Deployment shop/b, Deployment shop/c and others");
        let mut slips = Slips::default();
        slips.add("shop/own", &slipped("a", &["forbidLatestTag"]));
        let mut later = Slips::default();
        later.add("restricted", &slipped("a", &["podSecurity"]));
        slips.merge(later);
        assert_eq!(slips.count(), 1);
        insta::assert_snapshot!(slips.on_workload(), @"admitted while podgate did not judge; denied by policy restricted: spec.containers[0] breaks podSecurity; policy shop/own: spec.containers[0] breaks forbidLatestTag");
    }

    #[test]
    fn a_flood_is_gathered_in_bounded_memory_and_short_notes() {
        let mut slips = Slips::default();
        for index in 0..1000 {
            let name = format!("{index}{}", "n".repeat(300));
            slips.add(
                &format!("p{index}{}", "p".repeat(300)),
                &slipped(&name, &["a", "b", "c", "d"]),
            );
        }
        assert_eq!((slips.workloads.len(), slips.why.len()), (MAX_WORKLOADS, MAX_POLICIES));
        assert_eq!(slips.count(), 1000);
        assert!(slips.on_policy().len() < 1500 && slips.on_workload().len() < 1500);
    }
}
