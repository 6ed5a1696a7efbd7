//! The pods of one namespace, and the counts of each policy that covers it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::began::BeganTimes;
use super::cell::{NamespaceCell, Transition};
use super::facts::{PodFinding, PolicyId, TrackedPod};
use super::live_score::{LiveScore, ViolatedRule};
use crate::policy::compile::Policy;
use crate::policy::observed::WorkloadKey;
use crate::policy::score::{Costs, Loss};

/// The violations of a policy that began or went. Empty where only its counts changed.
pub(super) struct PolicyTransitions {
    pub policy: PolicyId,
    pub transitions: Vec<Transition>,
}

#[derive(Default)]
pub(super) struct AuditedNamespace {
    /// The policies in force here, by id.
    policies: BTreeMap<PolicyId, Arc<Policy>>,
    pub cells: BTreeMap<PolicyId, NamespaceCell>,
    /// The score by all policies in force here, or by the default checks where there are none.
    pub overall: LiveScore,
    /// The loss that the cluster's score counts for this namespace.
    pub counted: Loss,
    pub pods: HashMap<Arc<str>, TrackedPod>,
    /// How many pods each workload has.
    workloads: HashMap<Arc<WorkloadKey>, u32>,
    /// The Namespace object as rules that read documents see it; `None` where no such rule is in force.
    pub document: Option<serde_json::Value>,
}

/// A pod's findings before and after; `None` where the pod does not exist.
pub(super) struct Exchange<'a> {
    pub workload: &'a Arc<WorkloadKey>,
    pub before: Option<&'a [PodFinding]>,
    pub after: Option<&'a [PodFinding]>,
}

impl AuditedNamespace {
    pub fn policies(&self) -> &BTreeMap<PolicyId, Arc<Policy>> {
        &self.policies
    }

    /// Puts other policies in force. The caller then judges every pod again and counts it with [`Self::rejudged`].
    /// Returns the policies that no longer cover this namespace.
    pub fn replan(
        &mut self,
        policies: BTreeMap<PolicyId, Arc<Policy>>,
        costs: Costs,
    ) -> Vec<PolicyId> {
        self.overall = LiveScore::new(costs);
        let gone: Vec<_> =
            self.cells.keys().filter(|id| !policies.contains_key(id)).copied().collect();
        for id in &gone {
            self.cells.remove(id);
        }
        for (id, policy) in &policies {
            if let Some(cell) = self.cells.get_mut(id) {
                cell.scope.costs = Costs::of([&**policy]);
            }
        }
        self.policies = policies;
        gone
    }

    /// Counts a pod that came, went or changed. Returns an entry for each policy whose counts changed.
    pub fn exchange(
        &mut self,
        pod: &Exchange<'_>,
        began: &BeganTimes<'_>,
    ) -> Vec<PolicyTransitions> {
        let pods = self.workloads.get(pod.workload).copied().unwrap_or(0);
        let (before, after) = (pod.before.map(violated), pod.after.map(violated));
        self.overall.change(pod.workload, pods.into(), before, after);
        let changed = self.exchange_cells(pod, |_| None, pods, began);
        let now = pods + u32::from(pod.after.is_some()) - u32::from(pod.before.is_some());
        if now == 0 {
            self.workloads.remove(pod.workload);
        } else {
            self.workloads.insert(Arc::clone(pod.workload), now);
        }
        changed
    }

    /// Counts a pod that was judged again after [`Self::replan`]. `counted` is the number of its workload's pods that
    /// were counted since; `known` are the policies that covered this namespace before. Returns an entry for each
    /// policy whose counts changed.
    pub fn rejudged(
        &mut self,
        pod: &Exchange<'_>,
        counted: u32,
        known: &BTreeSet<PolicyId>,
        began: &BeganTimes<'_>,
    ) -> Vec<PolicyTransitions> {
        let none = None::<std::iter::Empty<_>>;
        self.overall.change(pod.workload, counted.into(), none, pod.after.map(violated));
        let pods = self.workloads.get(pod.workload).copied().unwrap_or(0);
        let fresh = |id| (!known.contains(&id)).then_some(counted);
        self.exchange_cells(pod, fresh, pods, began)
    }

    /// `fresh` returns, for a policy that did not cover this namespace before, the number of the workload's pods that
    /// were counted since; `None` for any other policy.
    fn exchange_cells(
        &mut self,
        pod: &Exchange<'_>,
        fresh: impl Fn(PolicyId) -> Option<u32>,
        pods: u32,
        began: &BeganTimes<'_>,
    ) -> Vec<PolicyTransitions> {
        let mut changed = Vec::new();
        for (id, policy) in &self.policies {
            let fresh = fresh(*id);
            let before = pod.before.filter(|_| fresh.is_none()).map(|all| of_policy(all, *id));
            let after = pod.after.map(|all| of_policy(all, *id));
            if before == after {
                continue;
            }
            let cell =
                self.cells.entry(*id).or_insert_with(|| NamespaceCell::new(Costs::of([&**policy])));
            let pods = fresh.unwrap_or(pods).into();
            let transitions = cell.change(pod.workload, pods, before, after, policy, began);
            changed.push(PolicyTransitions { policy: *id, transitions });
        }
        changed
    }

    /// The shared key of a workload that has pods.
    pub fn key(&self, workload: &WorkloadKey) -> Option<Arc<WorkloadKey>> {
        self.workloads.get_key_value(workload).map(|(key, _)| Arc::clone(key))
    }
}

fn violated(findings: &[PodFinding]) -> impl Iterator<Item = ViolatedRule> {
    findings.iter().filter(|it| it.exemption.is_none()).map(|it| (it.fault.rule, it.degree))
}

/// The findings of one policy, out of findings in the order of policy ids.
fn of_policy(findings: &[PodFinding], id: PolicyId) -> &[PodFinding] {
    let start = findings.partition_point(|it| it.policy < id);
    let end = findings.partition_point(|it| it.policy <= id);
    findings.get(start..end).unwrap_or_default()
}
