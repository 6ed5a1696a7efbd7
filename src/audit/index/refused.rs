//! The workloads whose new pods admission refuses, by namespace and policy.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::facts::PolicyId;
use super::AuditIndex;
use crate::policy::observed::{Refused, RefusedWorkload};

/// The most refused workloads that are listed for a policy.
const WORST: usize = 10;

impl AuditIndex {
    /// Counts refused workloads for the first time. What an earlier leader may have told is not told again.
    pub(super) fn refused_at_first(&mut self) {
        for namespace in self.namespaces.keys().cloned().collect::<Vec<_>>() {
            drop(self.count_refused(&namespace));
        }
    }

    /// Counts the refused workloads of a namespace again. Returns those that were not refused before, by policy.
    pub(super) fn count_refused(
        &mut self,
        namespace: &Arc<str>,
    ) -> Vec<(PolicyId, RefusedWorkload)> {
        let Some(state) = self.namespaces.get_mut(namespace) else { return Vec::new() };
        let now = state.count_refused();
        if now == state.refused {
            return Vec::new();
        }
        let before = std::mem::replace(&mut state.refused, now);
        let mut begun = Vec::new();
        let ids: BTreeSet<_> = before.keys().chain(state.refused.keys()).copied().collect();
        for id in ids {
            let (was, is) = (before.get(&id), state.refused.get(&id));
            if was == is {
                continue;
            }
            self.unpublished.policies.insert(id);
            if let Some(totals) = self.totals.get_mut(&id) {
                let count = |workloads: Option<&std::collections::BTreeMap<_, _>>| {
                    workloads.map_or(0, |it| it.len() as u64)
                };
                totals.refused = totals.refused + count(is) - count(was);
            }
            let new = is.into_iter().flatten();
            let new = new.filter(|(key, _)| was.is_none_or(|was| !was.contains_key(*key)));
            begun.extend(new.map(|(_, refused)| (id, refused.clone())));
        }
        begun
    }

    /// The refused workloads of a policy.
    pub(super) fn refused(&self, id: PolicyId, workloads: u64) -> Refused {
        let mut worst = Vec::new();
        if workloads > 0 {
            let states = self.namespaces.values();
            let refused = states.filter_map(|state| state.refused.get(&id));
            worst.extend(refused.flat_map(|it| it.values()).cloned());
            worst.sort_by_key(|it: &RefusedWorkload| std::cmp::Reverse(it.wanted - it.running));
            worst.truncate(WORST);
        }
        Refused { workloads, worst }
    }
}
