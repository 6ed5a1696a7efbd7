//! Takes updates out of the index: what changed since the last call, described for status, reports, Events and metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::cell::{CellSums, NamespaceCell, Transition};
use super::super::facts::PolicyId;
use super::super::namespace::AuditedNamespace;
use super::super::standing::Standing;
use super::super::totals::Totals;
use super::AuditIndex;
use super::unpublished::{NamespaceCounts, NamespaceScores, Unpublished};
use crate::api::{RemediationMode, Severity};
use crate::policy::observed::{
    Change, Changed, NamespaceUpdate, ObservedNamespace, ObservedPolicy, PolicyUpdate,
};

/// The most violations listed for a policy, and for a policy in a namespace.
const WORST: usize = 10;
const WORST_OF_NAMESPACE: usize = 20;

impl AuditIndex {
    /// Takes the policies whose state changed. Empty until the first list is complete.
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

    /// Takes the policies whose state in a namespace changed; `None` where none did. The first update after the first
    /// complete list names all of them and may be empty.
    pub fn take_namespaces(&mut self) -> Option<Vec<NamespaceUpdate>> {
        if !self.settle() {
            return None;
        }
        let cells = std::mem::take(&mut self.unpublished.in_namespaces);
        if std::mem::replace(&mut self.unpublished.namespaces_published, true) && cells.is_empty() {
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

    /// Takes what changed since the first list was complete: the violations that began or went, the workloads whose new
    /// pods a policy began to refuse, and those that nobody judged.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.settle();
        let transitions = self.unpublished.take_transitions();
        let violations = transitions.map(|(id, Transition { violation, gone })| {
            (id, if gone { Changed::Closed(violation) } else { Changed::Opened(violation) })
        });
        let changes = violations.chain(std::mem::take(&mut self.unpublished.begun));
        let changes = changes.filter_map(|(id, what)| {
            let policy = Arc::clone(&self.totals.get(&id)?.policy);
            Some(Change { policy, what })
        });
        changes.collect()
    }

    /// Takes the scores of namespaces that changed; `None` where none did.
    pub fn take_scores(&mut self) -> Option<NamespaceScores> {
        if !self.settle() {
            return None;
        }
        let names = std::mem::take(&mut self.unpublished.namespaces);
        if names.is_empty() {
            return None;
        }
        let counts = |name: &Arc<str>| {
            let (state, standing) = (self.namespaces.get(name), self.standings.get(name));
            NamespaceCounts {
                name: name.to_string(),
                score: state.and_then(|state| state.counted.score()),
                open: state.map(AuditedNamespace::open_by_rule).unwrap_or_default(),
                refused: standing.map_or(0, Standing::refused_workloads),
                at_risk: standing.map_or(0, Standing::pods_at_risk),
            }
        };
        let changed = names.iter().map(counts).collect();
        Some(NamespaceScores { changed, cluster: self.cluster.score() })
    }

    /// Brings the sums up to date. Returns whether the first list is complete.
    fn settle(&mut self) -> bool {
        if !self.complete {
            return false;
        }
        for name in self.unpublished.namespaces.iter().cloned().collect::<Vec<_>>() {
            let begun = self.stand(&name);
            self.unpublished.begun.extend(begun);
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
                let changed = totals.choose_reported();
                self.unpublished.in_namespaces.extend(changed.into_iter().map(|name| (*id, name)));
            }
        }
        for name in &self.unpublished.namespaces {
            if self.namespaces.get(name).is_some_and(AuditedNamespace::is_empty) {
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
        let mut exempted = BTreeMap::new();
        if totals.policy.has_exemptions() {
            let cells = self.namespaces.values().filter_map(|state| state.cells.get(&id));
            for place in cells.flat_map(NamespaceCell::exempted) {
                *exempted.entry(place).or_default() += 1;
            }
        }
        ObservedPolicy {
            policy: Arc::clone(&totals.policy),
            score: totals.loss.score(),
            workloads: totals.workloads,
            open: totals.open,
            worst,
            exemptions: totals.policy.exemptions(&exempted, now),
            refused: self.refused(id, totals.refused),
            at_risk: self.affected(id, totals.at_risk, |it| &it.at_risk),
            slipped: self.affected(id, totals.slipped, |it| &it.slipped),
            enforced: totals.enforced.clone(),
            covers_nothing: totals.covers_nothing.clone(),
        }
    }

    fn observed_namespace(
        &self,
        id: PolicyId,
        totals: &Totals,
        namespace: &Arc<str>,
    ) -> Option<ObservedNamespace> {
        let cell = self.namespaces.get(namespace)?.cells.get(&id)?;
        let CellSums { workloads, .. } = cell.counted;
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

    /// Drops the keys of policies that are gone, once their last update was taken.
    fn forget_gone(&mut self) {
        let Unpublished { gone, policies, in_namespaces, .. } = &mut self.unpublished;
        gone.retain(|id, _| {
            policies.contains(id) || in_namespaces.iter().any(|(policy, _)| policy == id)
        });
    }
}
