//! The pods of one namespace, and what each policy that judges them counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::cell::{Cell, Turn};
use super::facts::{Pod, PodFinding, PolicyId};
use super::scope::Scope;
use crate::policy::compile::Policy;
use crate::policy::observed::{Fault, WorkloadKey};
use crate::policy::score::{Loss, Weights};

/// When a violation that is new to the index began.
pub(super) type Began<'a> = &'a mut dyn FnMut(&Policy, &WorkloadKey, &Fault) -> Timestamp;

#[derive(Default)]
pub(super) struct Namespace {
    /// Those in force here, by id.
    policies: BTreeMap<PolicyId, Arc<Policy>>,
    pub cells: BTreeMap<PolicyId, Cell>,
    /// What all of them ask, or the default checks where there are none.
    pub overall: Scope,
    /// What the cluster's score holds of it.
    pub counted: Loss,
    pub pods: HashMap<Arc<str>, Pod>,
    /// How many pods each workload has.
    workloads: HashMap<Arc<WorkloadKey>, u32>,
    /// What of the namespace itself was read by rules that read documents.
    pub document: Option<serde_json::Value>,
}

/// How a pod's findings differ from before.
pub(super) struct Exchange<'a> {
    pub workload: &'a Arc<WorkloadKey>,
    pub before: Option<&'a [PodFinding]>,
    pub after: Option<&'a [PodFinding]>,
}

impl Namespace {
    pub fn policies(&self) -> &BTreeMap<PolicyId, Arc<Policy>> {
        &self.policies
    }

    /// Puts other policies in force; what then must be judged anew, every pod, goes through [`Self::rejudged`]. Returns
    /// the policies that judge here no more.
    pub fn replan(
        &mut self,
        policies: BTreeMap<PolicyId, Arc<Policy>>,
        weights: Weights,
    ) -> Vec<PolicyId> {
        self.overall = Scope::new(weights);
        let gone: Vec<_> =
            self.cells.keys().filter(|id| !policies.contains_key(id)).copied().collect();
        for id in &gone {
            self.cells.remove(id);
        }
        for (id, policy) in &policies {
            if let Some(cell) = self.cells.get_mut(id) {
                cell.scope.weights = Weights::live([&**policy]);
            }
        }
        self.policies = policies;
        gone
    }

    /// Counts a pod that came, went or changed. Calls `turned` for each policy that counts otherwise than before.
    pub fn exchange(
        &mut self,
        pod: &Exchange<'_>,
        began: Began<'_>,
        turned: &mut dyn FnMut(PolicyId, Vec<Turn>),
    ) {
        let pods = self.workloads.get(pod.workload).copied().unwrap_or(0);
        let (before, after) = (pod.before.map(violated), pod.after.map(violated));
        self.overall.change(pod.workload, pods.into(), before, after);
        self.exchange_cells(pod, &|_| None, pods, began, turned);
        let now = pods + u32::from(pod.after.is_some()) - u32::from(pod.before.is_some());
        if now == 0 {
            self.workloads.remove(pod.workload);
        } else {
            self.workloads.insert(Arc::clone(pod.workload), now);
        }
    }

    /// Counts what is found in a pod after [`Self::replan`], where `counted` pods of its workload have been already;
    /// `fresh` are the policies that did not judge here before.
    pub fn rejudged(
        &mut self,
        pod: &Exchange<'_>,
        counted: u32,
        fresh: &dyn Fn(PolicyId) -> bool,
        began: Began<'_>,
        turned: &mut dyn FnMut(PolicyId, Vec<Turn>),
    ) {
        let none = None::<std::iter::Empty<_>>;
        self.overall.change(pod.workload, counted.into(), none, pod.after.map(violated));
        let pods = self.workloads.get(pod.workload).copied().unwrap_or(0);
        let fresh = |id| fresh(id).then_some(counted);
        self.exchange_cells(pod, &fresh, pods, began, turned);
    }

    /// `fresh` says how many of the workload's pods have been counted, of a policy that did not judge here before.
    fn exchange_cells(
        &mut self,
        pod: &Exchange<'_>,
        fresh: &dyn Fn(PolicyId) -> Option<u32>,
        pods: u32,
        began: Began<'_>,
        turned: &mut dyn FnMut(PolicyId, Vec<Turn>),
    ) {
        for (id, policy) in &self.policies {
            let fresh = fresh(*id);
            let before = pod.before.filter(|_| fresh.is_none()).map(|all| of_policy(all, *id));
            let after = pod.after.map(|all| of_policy(all, *id));
            if before == after {
                continue;
            }
            let cell =
                self.cells.entry(*id).or_insert_with(|| Cell::new(Weights::live([&**policy])));
            let mut turns = Vec::new();
            let mut began = |workload: &WorkloadKey, fault: &Fault| began(policy, workload, fault);
            let pods = fresh.unwrap_or(pods).into();
            cell.change(pod.workload, pods, before, after, &mut began, &mut turns);
            turned(*id, turns);
        }
    }

    /// The one key of a workload that has pods.
    pub fn key(&self, workload: &WorkloadKey) -> Option<Arc<WorkloadKey>> {
        self.workloads.get_key_value(workload).map(|(key, _)| Arc::clone(key))
    }
}

fn violated(findings: &[PodFinding]) -> impl Iterator<Item = super::scope::Violated> {
    findings.iter().filter(|it| it.exemption.is_none()).map(|it| (it.fault.rule, it.degree))
}

/// Those of one policy; findings are in the order of the policies.
fn of_policy(findings: &[PodFinding], id: PolicyId) -> &[PodFinding] {
    let start = findings.partition_point(|it| it.policy < id);
    let end = findings.partition_point(|it| it.policy <= id);
    findings.get(start..end).unwrap_or_default()
}
