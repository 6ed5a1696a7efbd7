//! Applies changed policies: judges the pods and templates of the namespaces concerned again, from the facts kept of
//! them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::super::began::BeganTimes;
use super::super::cell::CellSums;
use super::super::facts::PolicyId;
use super::super::judge::address;
use super::super::namespace::Exchange;
use super::super::totals::Totals;
use super::{AuditIndex, DEFAULT_CHECKS, NextStep, Replan};
use crate::policy::enforced::Enforced;
use crate::policy::observed::WorkloadKey;
use crate::policy::policy_set::{NamespaceMetadata, PolicySet};
use crate::policy::score::Costs;

impl AuditIndex {
    /// Puts policies in force, and judges pods and templates again in each namespace whose policies changed.
    pub fn policies(&mut self, policies: Arc<PolicySet>, now: Timestamp) -> NextStep {
        // Exemptions that expired since the last call are handled first: `expiry` below only covers later ones.
        let mut next = self.age(now);
        let before = std::mem::replace(&mut self.policies.in_force, policies);
        // Namespaces that come, go or change their labels change it too.
        let mut covering_nothing = self.policies.in_force.covering_nothing();
        let mut ids = HashMap::new();
        let mut by_key = HashMap::new();
        for policy in self.policies.in_force.policies() {
            let key = policy.key();
            let id = self.by_key.get(&key).copied().unwrap_or_else(|| {
                self.next_id += 1;
                PolicyId(self.next_id)
            });
            ids.insert(address(policy), id);
            by_key.insert(key, id);
            let covers_nothing = covering_nothing.remove(policy.label.as_str());
            match self.totals.get_mut(&id) {
                Some(totals)
                    if Arc::ptr_eq(&totals.policy, policy)
                        && totals.covers_nothing == covers_nothing =>
                {
                    continue;
                }
                Some(totals) => {
                    totals.enforced = totals.enforced.next(policy, now);
                    totals.policy = Arc::clone(policy);
                    totals.covers_nothing = covers_nothing;
                }
                None => {
                    let recorded = self.remembered.policies.get(&policy.label);
                    let recorded = recorded.map(|it| &it.enforced);
                    let enforced = recorded.unwrap_or(&Enforced::default()).next(policy, now);
                    let totals = Totals::new(Arc::clone(policy), covers_nothing, enforced);
                    self.totals.insert(id, totals);
                }
            }
            self.unpublished.mark_policy(id);
        }
        let default_checks = self.policies.default_checks.policies().iter();
        ids.extend(default_checks.map(|policy| (address(policy), DEFAULT_CHECKS)));
        let gone = self.by_key.iter().filter(|(key, _)| !by_key.contains_key(*key));
        for (key, id) in gone {
            self.totals.remove(id);
            self.unpublished.mark_policy_gone(*id, key.clone());
        }
        (self.ids, self.by_key) = (ids, by_key);
        self.expiry = self.next_end(now);
        let in_force = &self.policies.in_force;
        let changed = self.namespaces.keys().filter(|it| !in_force.judges_as(&before, it));
        for namespace in changed.cloned().collect::<Vec<_>>() {
            if self.replan(&namespace, Replan::IfChanged, now) == NextStep::ListAgain {
                next = NextStep::ListAgain;
            }
        }
        next
    }

    /// Whether any rule reads documents, so that pods must be passed in whole.
    pub fn reads_documents(&self) -> bool {
        self.policies.in_force.reads_documents()
    }

    /// Gives a namespace the policies that cover it now, and judges its pods by them.
    pub(super) fn replan(
        &mut self,
        namespace: &Arc<str>,
        replan: Replan,
        now: Timestamp,
    ) -> NextStep {
        let plan = self.policies.plan(namespace);
        let in_force: BTreeMap<_, _> = plan
            .policies()
            .iter()
            .filter_map(|policy| Some((*self.ids.get(&address(policy))?, Arc::clone(policy))))
            .filter(|(id, _)| *id != DEFAULT_CHECKS)
            .collect();
        let document = plan.reads_documents().then(|| {
            let known = self.policies.in_force.metadata(namespace);
            let known = known.map_or_else(Default::default, |it| NamespaceMetadata::clone(it));
            // No rule reads when they were written.
            NamespaceMetadata { labelled: None, ..known }
        });
        let costs = Costs::of(plan.policies().iter().map(AsRef::as_ref));
        let Some(state) = self.namespaces.get_mut(namespace) else { return NextStep::Done };
        let same = state.policies().len() == in_force.len()
            && state.policies().values().zip(in_force.values()).all(|(a, b)| Arc::ptr_eq(a, b));
        if same && state.document == document && replan == Replan::IfChanged {
            return NextStep::Done;
        }
        let next = if document.is_some() { NextStep::ListAgain } else { NextStep::Done };
        state.document = document;
        let known: BTreeSet<_> = state.cells.keys().copied().collect();
        let counted: BTreeMap<_, _> =
            state.cells.iter().map(|(id, cell)| (*id, cell.counted.clone())).collect();
        for id in state.replan(in_force, costs, now) {
            let before = counted.get(&id).cloned().unwrap_or_default();
            if let Some(totals) = self.totals.get_mut(&id) {
                totals.change(namespace, &before, &CellSums::default());
            }
            self.unpublished.mark_cell(id, namespace);
        }
        for id in state.cells.keys() {
            self.unpublished.mark_cell(*id, namespace);
        }
        self.unpublished.mark_namespace(namespace);
        let names: Vec<_> = state.pods.keys().cloned().collect();
        let mut counted: HashMap<Arc<WorkloadKey>, u32> = HashMap::new();
        for name in names {
            let pod = self.namespaces.get(namespace).and_then(|state| state.pods.get(&name));
            let Some((facts, before)) = pod.map(|it| (it.facts.clone(), Arc::clone(&it.findings)))
            else {
                continue;
            };
            let json = facts.json(namespace, &name);
            let Some(judged) = self.judged(namespace, &json, None, &before, now) else { continue };
            self.schedule(namespace, &name, judged.due);
            let after = self.intern_findings(judged.findings);
            let Some(state) = self.namespaces.get_mut(namespace) else { continue };
            let Some(pod) = state.pods.get_mut(&name) else { continue };
            pod.findings = Arc::clone(&after);
            let workload = Arc::clone(&pod.workload);
            let pod = Exchange { workload: &workload, before: Some(&before), after: Some(&after) };
            let began = BeganTimes { remembered: &self.remembered, now };
            let counted = counted.entry(Arc::clone(&workload)).or_default();
            let changed = state.rejudged(&pod, *counted, &known, &began);
            *counted += 1;
            self.mark_changed(namespace, changed);
        }
        self.replan_templates(namespace, &counted, &known, now);
        next
    }
}
