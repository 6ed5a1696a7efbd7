//! Which policies judge where: when they change, the pods of the namespaces concerned are judged anew from what is kept of
//! them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::super::cell::Counted;
use super::super::facts::PolicyId;
use super::super::judge::address;
use super::super::namespace::Exchange;
use super::super::totals::Totals;
use super::{DEFAULT_CHECKS, Index};
use crate::policy::observed::WorkloadKey;
use crate::policy::policy_set::{EvaluationPlan, PolicySet};
use crate::policy::score::Weights;

/// What a change of policies, or of time, asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum NextStep {
    /// Everything is judged.
    Done,
    /// Rules read documents that nobody keeps: the pods must be listed again.
    ListPods,
}

impl Index {
    /// Puts policies in force, and judges anew where others than before are.
    pub fn policies(&mut self, policies: Arc<PolicySet>, now: Timestamp) -> NextStep {
        // What has expired since the last look would never be looked at: only what is still to come is waited for.
        let mut next = self.age(now);
        self.policies = policies;
        let mut ids = HashMap::new();
        let mut by_key = HashMap::new();
        for policy in self.policies.policies() {
            let key = policy.key();
            let id = self.by_key.get(&key).copied().unwrap_or_else(|| {
                self.next_id += 1;
                PolicyId(self.next_id)
            });
            ids.insert(address(policy), id);
            by_key.insert(key, id);
            match self.totals.get_mut(&id) {
                Some(totals) if Arc::ptr_eq(&totals.policy, policy) => continue,
                Some(totals) => totals.policy = Arc::clone(policy),
                None => {
                    self.totals.insert(id, Totals::new(Arc::clone(policy)));
                }
            }
            self.unpublished.policy(id);
        }
        let default_checks = self.default_checks.policies().iter();
        ids.extend(default_checks.map(|policy| (address(policy), DEFAULT_CHECKS)));
        let gone = self.by_key.iter().filter(|(key, _)| !by_key.contains_key(*key));
        for (key, id) in gone {
            self.totals.remove(id);
            self.unpublished.policy_gone(*id, key.clone());
        }
        (self.ids, self.by_key) = (ids, by_key);
        self.expiry = self.policies.policies().iter().filter_map(|it| it.next_expiry(now)).min();
        for namespace in self.namespaces.keys().cloned().collect::<Vec<_>>() {
            if self.replan(&namespace, false, now) == NextStep::ListPods {
                next = NextStep::ListPods;
            }
        }
        self.unpublished.scores();
        next
    }

    /// Whether any rule reads documents, so that pods must be handed in whole.
    pub fn reads_documents(&self) -> bool {
        self.policies.reads_documents()
    }

    /// Gives a namespace the policies that cover it now, and judges its pods by them if they are others than before.
    pub(super) fn replan(
        &mut self,
        namespace: &Arc<str>,
        always: bool,
        now: Timestamp,
    ) -> NextStep {
        let plan = plan(&self.policies, &self.default_checks, namespace);
        let in_force: BTreeMap<_, _> = plan
            .policies()
            .iter()
            .filter_map(|policy| Some((*self.ids.get(&address(policy))?, Arc::clone(policy))))
            .filter(|(id, _)| *id != DEFAULT_CHECKS)
            .collect();
        let document =
            plan.reads_documents().then(|| self.policies.namespace_object(Some(namespace)));
        let weights = Weights::live(plan.policies().iter().map(AsRef::as_ref));
        let Some(state) = self.namespaces.get_mut(namespace) else { return NextStep::Done };
        let same = state.policies().len() == in_force.len()
            && state.policies().values().zip(in_force.values()).all(|(a, b)| Arc::ptr_eq(a, b));
        if same && state.document == document && !always {
            return NextStep::Done;
        }
        let next = if document.is_some() { NextStep::ListPods } else { NextStep::Done };
        state.document = document;
        let known: BTreeSet<_> = state.cells.keys().copied().collect();
        let counted: BTreeMap<_, _> =
            state.cells.iter().map(|(id, cell)| (*id, cell.counted.clone())).collect();
        for id in state.replan(in_force, weights) {
            let before = counted.get(&id).cloned().unwrap_or_default();
            if let Some(totals) = self.totals.get_mut(&id) {
                totals.change(namespace, &before, &Counted::default());
            }
            self.unpublished.cell(id, namespace);
        }
        for id in state.cells.keys() {
            self.unpublished.cell(*id, namespace);
        }
        self.unpublished.namespace(namespace);
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
            let after = self.found(judged.findings);
            let Some(state) = self.namespaces.get_mut(namespace) else { continue };
            let Some(pod) = state.pods.get_mut(&name) else { continue };
            pod.findings = Arc::clone(&after);
            let workload = Arc::clone(&pod.workload);
            let pod = Exchange { workload: &workload, before: Some(&before), after: Some(&after) };
            let (remembered, news) = (&self.remembered, &mut self.unpublished);
            let complete = self.complete;
            let counted = counted.entry(Arc::clone(&workload)).or_default();
            state.rejudged(
                &pod,
                *counted,
                &|id| !known.contains(&id),
                &mut |policy, workload, fault| remembered(policy, workload, fault).unwrap_or(now),
                &mut |id, turns| news.turned(id, namespace, turns, complete),
            );
            *counted += 1;
        }
        next
    }
}

/// What is asked in a namespace. One whose labels are not known yet is taken to be selected; when they are, it is judged
/// anew if that was wrong.
pub(super) fn plan<'p>(
    policies: &'p PolicySet,
    default_checks: &'p PolicySet,
    namespace: &str,
) -> &'p EvaluationPlan {
    let plan = policies.covering(Some(namespace)).unwrap_or_else(|unknown| unknown.assumed);
    if !plan.policies().is_empty() {
        return plan;
    }
    default_checks.covering(Some(namespace)).unwrap_or(plan)
}
