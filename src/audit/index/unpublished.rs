//! The index's changes that have not been published: each once, in its newest state. A listener that takes them late
//! misses only states that were superseded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::cell::Transition;
use super::super::facts::PolicyId;
use super::super::namespace::PolicyTransitions;
use super::super::totals::Totals;
use crate::api::Severity;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Changed, Violation, WorkloadKey};
use crate::policy::score::Score;

/// The scores of namespaces by all policies in force there.
pub struct NamespaceScores {
    /// The namespaces whose counts changed.
    pub changed: Vec<NamespaceCounts>,
    /// `None` if no namespace has a workload.
    pub cluster: Option<Score>,
}

/// The counts of a namespace, by all policies in force there.
pub struct NamespaceCounts {
    pub name: String,
    /// `None` where no workload is left.
    pub score: Option<Score>,
    /// The number of open violations by rule or check and severity. What several policies find counts once, by the
    /// highest severity.
    pub open: BTreeMap<(String, Severity), u64>,
    /// The number of workloads that want more pods than they have, and whose new ones admission would refuse.
    pub refused: u64,
    /// The number of pods that a policy would refuse if they were made again.
    pub at_risk: u64,
}

#[derive(Default)]
pub(super) struct Unpublished {
    /// The cells that changed since they were added to their policy's sums.
    pub cells: BTreeSet<(PolicyId, Arc<str>)>,
    pub policies: BTreeSet<PolicyId>,
    pub in_namespaces: BTreeSet<(PolicyId, Arc<str>)>,
    /// Whether `in_namespaces` has been published once.
    pub namespaces_published: bool,
    pub namespaces: BTreeSet<Arc<str>>,
    /// The keys of policies that are gone.
    pub gone: BTreeMap<PolicyId, PolicyKey>,
    /// The workloads whose new pods a policy began to refuse, and those that nobody judged.
    pub begun: Vec<(PolicyId, Changed)>,
    transitions: BTreeMap<TransitionKey, NetTransition>,
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct TransitionKey {
    policy: PolicyId,
    workload: Arc<WorkloadKey>,
    fault: String,
    container: Option<String>,
    path: String,
}

/// How often a violation began minus how often it went, and its newest state.
struct NetTransition {
    net: i32,
    violation: Violation,
}

impl Unpublished {
    pub fn mark_policy(&mut self, id: PolicyId) {
        self.policies.insert(id);
    }

    pub fn mark_policy_gone(&mut self, id: PolicyId, key: PolicyKey) {
        self.policies.insert(id);
        self.gone.insert(id, key);
    }

    pub fn mark_cell(&mut self, id: PolicyId, namespace: &Arc<str>) {
        self.cells.insert((id, Arc::clone(namespace)));
    }

    pub fn mark_namespace(&mut self, namespace: &Arc<str>) {
        self.namespaces.insert(Arc::clone(namespace));
    }

    /// Marks the cells whose counts changed, but drops the transitions.
    pub fn mark_cells(&mut self, namespace: &Arc<str>, changed: Vec<PolicyTransitions>) {
        for PolicyTransitions { policy, .. } in changed {
            self.mark_cell(policy, namespace);
        }
    }

    /// Marks the cells whose counts changed, and keeps the violations that began or went. One that went and began again
    /// before it was published has not changed.
    pub fn add_transitions(&mut self, namespace: &Arc<str>, changed: Vec<PolicyTransitions>) {
        for PolicyTransitions { policy, transitions } in changed {
            self.mark_cell(policy, namespace);
            for Transition { violation, gone } in transitions {
                let fault = &violation.fault;
                let key = TransitionKey {
                    policy,
                    workload: Arc::clone(&violation.workload),
                    fault: fault.id.clone(),
                    container: fault.container.clone(),
                    path: fault.path.clone(),
                };
                let known = self
                    .transitions
                    .entry(key)
                    .or_insert_with(|| NetTransition { net: 0, violation: violation.clone() });
                known.net += if gone { -1 } else { 1 };
                known.violation = violation;
            }
        }
    }

    /// Takes the violations that began or went: policy, violation, and whether it went.
    pub fn take_transitions(&mut self) -> impl Iterator<Item = (PolicyId, Transition)> + use<> {
        let transitions = std::mem::take(&mut self.transitions).into_iter();
        transitions.filter(|(_, it)| it.net != 0).map(|(key, NetTransition { net, violation })| {
            (key.policy, Transition { violation, gone: net < 0 })
        })
    }

    pub fn mark_all<'n>(
        &mut self,
        totals: &BTreeMap<PolicyId, Totals>,
        namespaces: impl Iterator<Item = &'n Arc<str>>,
    ) {
        self.policies.extend(totals.keys());
        self.namespaces.extend(namespaces.cloned());
    }
}
