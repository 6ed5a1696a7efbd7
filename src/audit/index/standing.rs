//! What the policies that enforce would do to pods now, and which of them nobody judged, summed over namespaces.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::facts::PolicyId;
use super::super::standing::{ByWorkload, Judging, PodSum, Standing};
use super::AuditIndex;
use crate::policy::observed::{
    Affected, Changed, Refused, RefusedWorkload, ViolatingPods, WorkloadKey,
};

/// The most workloads that are listed for a policy.
const WORST: usize = 10;

impl AuditIndex {
    /// Counts for the first time. What an earlier leader may have told is not told again.
    pub(super) fn stand_at_first(&mut self) {
        for namespace in self.namespaces.keys().cloned().collect::<Vec<_>>() {
            let begun = self.stand(&namespace);
            let new = begun.into_iter().filter(|(id, changed)| match changed {
                Changed::Slipped(slipped) => !self.was_told(*id, &slipped.workload),
                _ => false,
            });
            let new: Vec<_> = new.collect();
            self.unpublished.begun.extend(new);
        }
        // A policy that comes from now on is a new one.
        self.remembered.policies.clear();
    }

    /// Whether the status that an earlier leader wrote lists a slipped workload.
    fn was_told(&self, id: PolicyId, workload: &WorkloadKey) -> bool {
        self.totals.get(&id).is_some_and(|totals| {
            let policy = &totals.policy;
            let told = self.remembered.policies.get(&policy.label);
            let label = workload.label_in(policy.scope.namespace());
            told.is_some_and(|it| it.slipped.contains(&label))
        })
    }

    /// Counts a namespace again. Returns the workloads whose new pods a policy began to refuse, and those that turn out
    /// not to have been judged.
    pub(super) fn stand(&mut self, namespace: &Arc<str>) -> Vec<(PolicyId, Changed)> {
        let Some(state) = self.namespaces.get(namespace) else { return Vec::new() };
        let now = Standing::of(state, |id, policy| {
            let covered = self.policies.in_force.covered_since(policy, namespace);
            let totals = self.totals.get(&id)?;
            Some(Judging { enforced: &totals.enforced, covered })
        });
        let before = self.standings.remove(namespace).unwrap_or_default();
        let mut begun = Vec::new();
        for (id, new) in changed(&before.refused, &now.refused) {
            self.unpublished.policies.insert(id);
            begun.extend(new.into_iter().map(|it| (id, Changed::Refused(it.clone()))));
            if let Some(totals) = self.totals.get_mut(&id) {
                let count = |of: &ByWorkload<_>| of.get(&id).map_or(0, |it| it.len() as u64);
                totals.refused = totals.refused + count(&now.refused) - count(&before.refused);
            }
        }
        for (id, _) in changed(&before.at_risk, &now.at_risk) {
            self.unpublished.policies.insert(id);
            if let Some(totals) = self.totals.get_mut(&id) {
                totals.at_risk.change(before.at_risk.get(&id), now.at_risk.get(&id));
            }
        }
        for (id, new) in changed(&before.slipped, &now.slipped) {
            self.unpublished.policies.insert(id);
            begun.extend(new.into_iter().map(|it| (id, Changed::Slipped(it.clone()))));
            if let Some(totals) = self.totals.get_mut(&id) {
                totals.slipped.change(before.slipped.get(&id), now.slipped.get(&id));
            }
        }
        if now != Standing::default() {
            self.standings.insert(Arc::clone(namespace), now);
        }
        begun
    }

    /// The refused workloads of a policy.
    pub(super) fn refused(&self, id: PolicyId, workloads: u64) -> Refused {
        let lack = |it: &RefusedWorkload| Reverse(it.wanted - it.running);
        let worst =
            if workloads == 0 { Vec::new() } else { self.worst(id, |it| &it.refused, lack) };
        Refused { workloads, worst }
    }

    /// The workloads with pods of one kind of standing under a policy.
    pub(super) fn affected(
        &self,
        id: PolicyId,
        sum: PodSum,
        of: impl Fn(&Standing) -> &ByWorkload<ViolatingPods>,
    ) -> Affected {
        let PodSum { pods, workloads } = sum;
        let most = |it: &ViolatingPods| Reverse(it.pods);
        let worst = if workloads == 0 { Vec::new() } else { self.worst(id, of, most) };
        Affected { pods, workloads, worst }
    }

    fn worst<'a, T: Clone + 'a, Key: Ord>(
        &'a self,
        id: PolicyId,
        of: impl Fn(&'a Standing) -> &'a ByWorkload<T>,
        key: impl Fn(&T) -> Key,
    ) -> Vec<T> {
        let standings = self.standings.values();
        let all = standings.filter_map(|it| of(it).get(&id)).flat_map(BTreeMap::values);
        let mut worst: Vec<_> = all.cloned().collect();
        worst.sort_by_key(key);
        worst.truncate(WORST);
        worst
    }
}

/// The policies whose workloads changed, each with those that are new.
fn changed<'a, T: PartialEq>(
    before: &ByWorkload<T>,
    after: &'a ByWorkload<T>,
) -> Vec<(PolicyId, Vec<&'a T>)> {
    let ids: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    let changed = ids.into_iter().filter(|id| before.get(id) != after.get(id));
    let new = changed.map(|id| {
        let was = before.get(&id);
        let is = after.get(&id).into_iter().flatten();
        let new = is.filter(|(key, _)| was.is_none_or(|was| !was.contains_key(*key)));
        (id, new.map(|(_, it)| it).collect())
    });
    new.collect()
}
