//! What the index has to tell: whatever differs since it was last asked, each thing once and in its newest state. Whoever
//! asks late misses nothing but what was overtaken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::super::cell::{Counted, Turn};
use super::super::facts::PolicyId;
use super::super::totals::Totals;
use super::Index;
use crate::api::{RemediationMode, Severity};
use crate::policy::key::PolicyKey;
use crate::policy::observed::{
    Change, NamespaceUpdate, ObservedNamespace, ObservedPolicy, PolicyUpdate, Violation,
    WorkloadKey,
};
use crate::policy::score::Score;

/// The most violations listed of a policy, and of a policy in a namespace.
const WORST: usize = 10;
const WORST_OF_NAMESPACE: usize = 20;

/// The scores of namespaces by all policies in force there.
pub struct NamespaceScores {
    /// Those that changed; `None` where nothing counts any more.
    pub changed: Vec<(String, Option<Score>)>,
    pub cluster: Score,
}

/// What differs and has not been told.
#[derive(Default)]
pub(super) struct Unpublished {
    /// Whose sums are not up to date.
    cells: BTreeSet<(PolicyId, Arc<str>)>,
    policies: BTreeSet<PolicyId>,
    in_namespaces: BTreeSet<(PolicyId, Arc<str>)>,
    /// Whether all of those have been told once.
    named: bool,
    namespaces: BTreeSet<Arc<str>>,
    scores: bool,
    gone: BTreeMap<PolicyId, PolicyKey>,
    turns: BTreeMap<TurnKey, (i32, Violation)>,
}

/// A policy, a workload, and what is wrong where.
type TurnKey = (PolicyId, Arc<WorkloadKey>, String, Option<String>, String);

impl Unpublished {
    pub fn policy(&mut self, id: PolicyId) {
        self.policies.insert(id);
    }

    pub fn policy_gone(&mut self, id: PolicyId, key: PolicyKey) {
        self.policies.insert(id);
        self.gone.insert(id, key);
    }

    pub fn cell(&mut self, id: PolicyId, namespace: &Arc<str>) {
        self.cells.insert((id, Arc::clone(namespace)));
    }

    pub fn namespace(&mut self, namespace: &Arc<str>) {
        self.namespaces.insert(Arc::clone(namespace));
    }

    /// Namespaces may have come or gone.
    pub fn scores(&mut self) {
        self.scores = true;
    }

    /// Violations began or went. What goes and comes back before anybody was told has not changed.
    pub fn turned(
        &mut self,
        id: PolicyId,
        namespace: &Arc<str>,
        turns: Vec<Turn>,
        first_list_seen: bool,
    ) {
        self.cell(id, namespace);
        for Turn { violation, gone } in turns.into_iter().filter(|_| first_list_seen) {
            let fault = &violation.fault;
            let (container, path) = (fault.container.clone(), fault.path.clone());
            let workload = Arc::clone(&violation.workload);
            let known = self.turns.entry((id, workload, fault.id.clone(), container, path));
            let (net, last) = known.or_insert_with(|| (0, violation.clone()));
            *net += if gone { -1 } else { 1 };
            *last = violation;
        }
    }

    pub fn everything<'n>(
        &mut self,
        totals: &BTreeMap<PolicyId, Totals>,
        namespaces: impl Iterator<Item = &'n Arc<str>>,
    ) {
        self.policies.extend(totals.keys());
        self.namespaces.extend(namespaces.cloned());
        self.scores = true;
    }
}

impl Index {
    /// The policies whose state differs. Nothing before the first list is whole.
    pub fn take_policies(&mut self, now: Timestamp) -> Vec<PolicyUpdate> {
        if !self.settle() {
            return Vec::new();
        }
        let ids = std::mem::take(&mut self.unpublished.policies);
        let mut updates = Vec::new();
        for id in ids {
            if let Some(totals) = self.totals.get(&id) {
                let observed = Some(self.observed(id, totals, now));
                updates.push(PolicyUpdate { policy: totals.policy.key(), observed });
            } else if let Some(policy) = self.unpublished.gone.get(&id).cloned() {
                updates.push(PolicyUpdate { policy, observed: None });
            }
        }
        self.forget_gone();
        updates
    }

    /// The policies whose state in a namespace differs, if any; at first all that there are, though there may be none.
    pub fn take_namespaces(&mut self) -> Option<Vec<NamespaceUpdate>> {
        if !self.settle() {
            return None;
        }
        let cells = std::mem::take(&mut self.unpublished.in_namespaces);
        if std::mem::replace(&mut self.unpublished.named, true) && cells.is_empty() {
            return None;
        }
        let updates = cells
            .into_iter()
            .filter_map(|(id, namespace)| {
                let totals = self.totals.get(&id);
                let policy = totals.map(|it| it.policy.key());
                let policy = policy.or_else(|| self.unpublished.gone.get(&id).cloned())?;
                let observed =
                    totals.and_then(|totals| self.observed_namespace(id, totals, &namespace));
                Some(NamespaceUpdate { policy, namespace: namespace.to_string(), observed })
            })
            .collect();
        self.forget_gone();
        Some(updates)
    }

    /// The violations that began or went since the first list was whole.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let turns = std::mem::take(&mut self.unpublished.turns);
        let changes = turns.into_iter().filter(|(_, (net, _))| *net != 0);
        let changes = changes.filter_map(|((id, ..), (net, violation))| {
            let policy = Arc::clone(&self.totals.get(&id)?.policy);
            Some(Change { policy, violation, gone: net < 0 })
        });
        changes.collect()
    }

    /// The scores of namespaces, if any differs.
    pub fn take_scores(&mut self) -> Option<NamespaceScores> {
        if !self.settle() {
            return None;
        }
        let mut names = std::mem::take(&mut self.unpublished.namespaces);
        if !std::mem::take(&mut self.unpublished.scores) && names.is_empty() {
            return None;
        }
        let known: BTreeSet<&str> = self.policies.namespaces().collect();
        // A namespace without a pod has a score too, for as long as it is there.
        names.extend(
            known.iter().filter(|name| !self.scored.contains(**name)).map(|it| (*it).into()),
        );
        names.extend(self.scored.iter().filter(|name| !known.contains(&***name)).cloned());
        let mut changed = Vec::new();
        for name in names {
            let state = self.namespaces.get(&name);
            let score = match state {
                Some(state) => Some(state.counted.score()),
                None => known
                    .contains(&*name)
                    .then(|| Score { points: 100, lost_points: BTreeMap::new() }),
            };
            if score.is_some() {
                self.scored.insert(Arc::clone(&name));
            } else {
                self.scored.remove(&name);
            }
            changed.push((name.to_string(), score));
        }
        Some(NamespaceScores { changed, cluster: self.cluster.score() })
    }

    /// Brings the sums up to date; says whether everything has been seen.
    fn settle(&mut self) -> bool {
        if !self.complete {
            return false;
        }
        for name in &self.unpublished.namespaces {
            let Some(state) = self.namespaces.get_mut(name) else { continue };
            self.cluster.unmerge(&state.counted);
            state.counted = state.overall.loss();
            self.cluster.merge(&state.counted);
        }
        for (id, namespace) in std::mem::take(&mut self.unpublished.cells) {
            self.unpublished.in_namespaces.insert((id, Arc::clone(&namespace)));
            let state = self.namespaces.get_mut(&namespace);
            let cell = state.and_then(|state| state.cells.get_mut(&id));
            let Some(totals) = self.totals.get_mut(&id) else { continue };
            self.unpublished.policies.insert(id);
            let Some(cell) = cell else { continue };
            let now = cell.count();
            totals.change(&namespace, &cell.counted, &now);
            cell.counted = now;
        }
        for id in &self.unpublished.policies {
            let Some(totals) = self.totals.get_mut(id) else { continue };
            if totals.policy.scope.namespace().is_none() {
                let changed = totals.choose();
                self.unpublished.in_namespaces.extend(changed.into_iter().map(|name| (*id, name)));
            }
        }
        for name in &self.unpublished.namespaces {
            if self.namespaces.get(name).is_some_and(|state| state.pods.is_empty()) {
                self.namespaces.remove(name);
            }
        }
        true
    }

    fn observed(&self, id: PolicyId, totals: &Totals, now: Timestamp) -> ObservedPolicy {
        let mut worst = Vec::new();
        for (severity, namespace) in totals.heads() {
            let cell = self.namespaces.get(namespace).and_then(|state| state.cells.get(&id));
            let open = cell.into_iter().flat_map(|cell| cell.open_at(*severity));
            worst.extend(open.take(WORST - worst.len()));
            if worst.len() == WORST {
                break;
            }
        }
        let cells = self.namespaces.values().filter_map(|state| state.cells.get(&id));
        let used = if totals.policy.has_exemptions() {
            cells.flat_map(super::super::cell::Cell::used).collect()
        } else {
            BTreeSet::new()
        };
        ObservedPolicy {
            policy: Arc::clone(&totals.policy),
            score: totals.loss.score(),
            workloads: totals.workloads,
            open: totals.open,
            worst,
            exemptions: totals.policy.exemptions(&used, now),
        }
    }

    fn observed_namespace(
        &self,
        id: PolicyId,
        totals: &Totals,
        namespace: &Arc<str>,
    ) -> Option<ObservedNamespace> {
        let cell = self.namespaces.get(namespace)?.cells.get(&id)?;
        let Counted { workloads, .. } = cell.counted;
        let lists =
            totals.policy.scope.namespace().is_some() || totals.reported.contains(namespace);
        let open = Severity::ALL.into_iter().flat_map(|severity| cell.open_at(severity));
        (workloads > 0).then(|| ObservedNamespace {
            policy: Arc::clone(&totals.policy),
            namespace: namespace.to_string(),
            summary: cell.summary(),
            worst: open.take(if lists { WORST_OF_NAMESPACE } else { 0 }).collect(),
            violating: if totals.policy.repair.mode == RemediationMode::Off {
                Vec::new()
            } else {
                cell.violating()
            },
        })
    }

    /// Forgets the keys of policies that are gone, once everybody was told.
    fn forget_gone(&mut self) {
        let Unpublished { gone, policies, in_namespaces, .. } = &mut self.unpublished;
        gone.retain(|id, _| {
            policies.contains(id) || in_namespaces.iter().any(|(policy, _)| policy == id)
        });
    }
}
