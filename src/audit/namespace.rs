//! The pods and workloads of one namespace, and the counts of each policy that covers it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::began::BeganTimes;
use super::cell::{NamespaceCell, Transition};
use super::facts::{Judgements, PodFinding, PolicyId, TrackedPod, TrackedTemplate};
use super::live_score::{LiveScore, ViolatedRule};
use crate::api::Severity;
use crate::policy::compile::Policy;
use crate::policy::observed::WorkloadKey;
use crate::policy::policy_set::NamespaceMetadata;
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
    /// Those of them in their grace, which refuse no pod that a controller creates.
    in_grace: BTreeSet<PolicyId>,
    pub cells: BTreeMap<PolicyId, NamespaceCell>,
    /// The score by all policies in force here, or by the default checks where there are none.
    pub overall: LiveScore,
    /// The loss that the cluster's score counts for this namespace.
    pub counted: Loss,
    pub pods: HashMap<Box<str>, TrackedPod>,
    /// By the policies in force.
    pub judgements: Judgements,
    /// How many pods each workload has.
    workloads: HashMap<Arc<WorkloadKey>, u32>,
    /// The templates of workloads. One stands in for a pod where its workload has none.
    templates: HashMap<Arc<WorkloadKey>, TrackedTemplate>,
    /// The Namespace's labels and annotations as rules that read documents see them; `None` where no such rule is in
    /// force.
    pub document: Option<NamespaceMetadata>,
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

    /// Whether a policy is in its grace here.
    pub fn in_grace(&self, id: PolicyId) -> bool {
        self.in_grace.contains(&id)
    }

    /// Puts other policies in force. The caller then judges every pod again and counts it with [`Self::rejudged`].
    /// Returns the policies that no longer cover this namespace.
    pub fn replan(
        &mut self,
        policies: BTreeMap<PolicyId, Arc<Policy>>,
        costs: Costs,
        now: Timestamp,
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
        let in_grace = policies.iter().filter(|(_, policy)| policy.in_grace(now));
        self.in_grace = in_grace.map(|(id, _)| *id).collect();
        self.policies = policies;
        self.judgements = Judgements::default();
        gone
    }

    /// Counts a pod that came, went or changed. Returns an entry for each policy whose counts changed.
    pub fn exchange(
        &mut self,
        pod: &Exchange<'_>,
        began: &BeganTimes<'_>,
    ) -> Vec<PolicyTransitions> {
        let pods = self.pods_of(pod.workload);
        let now = pods + u32::from(pod.after.is_some()) - u32::from(pod.before.is_some());
        let template = self.templates.get(pod.workload).map(|it| Arc::clone(&it.findings));
        let template = template.as_ref().map(|findings| &***findings);
        let counted = Exchange {
            workload: pod.workload,
            before: if pods == 0 { template } else { pod.before },
            after: if now == 0 { template } else { pod.after },
        };
        let changed = self.exchange_counted(&counted, began);
        if now == 0 {
            self.workloads.remove(pod.workload);
        } else {
            self.workloads.insert(Arc::clone(pod.workload), now);
        }
        changed
    }

    /// Replaces a workload's template; `None` removes it. Returns an entry for each policy whose counts changed.
    pub fn exchange_template(
        &mut self,
        workload: &Arc<WorkloadKey>,
        template: Option<TrackedTemplate>,
        began: &BeganTimes<'_>,
    ) -> Vec<PolicyTransitions> {
        let before = self.templates.get(workload).map(|it| Arc::clone(&it.findings));
        let after = template.as_ref().map(|it| Arc::clone(&it.findings));
        let changed = if self.pods_of(workload) == 0 {
            let before = before.as_ref().map(|findings| &***findings);
            let after = after.as_ref().map(|findings| &***findings);
            self.exchange_counted(&Exchange { workload, before, after }, began)
        } else {
            Vec::new()
        };
        match template {
            Some(template) => drop(self.templates.insert(Arc::clone(workload), template)),
            None => drop(self.templates.remove(workload)),
        }
        changed
    }

    /// Counts findings instead of others: those of a pod, or of the template that stands in for one.
    fn exchange_counted(
        &mut self,
        pod: &Exchange<'_>,
        began: &BeganTimes<'_>,
    ) -> Vec<PolicyTransitions> {
        let counted = self.counted(pod.workload);
        let (before, after) = (pod.before.map(violated), pod.after.map(violated));
        self.overall.change(pod.workload, counted.into(), before, after);
        self.exchange_cells(pod, |_| None, counted, began)
    }

    /// The number of a workload's pods.
    pub fn pods_of(&self, workload: &WorkloadKey) -> u32 {
        self.workloads.get(workload).copied().unwrap_or(0)
    }

    /// The number of a workload's pods that are counted; 1 where its template stands in.
    fn counted(&self, workload: &WorkloadKey) -> u32 {
        self.pods_of(workload).max(u32::from(self.templates.contains_key(workload)))
    }

    pub fn templates(&self) -> &HashMap<Arc<WorkloadKey>, TrackedTemplate> {
        &self.templates
    }

    pub fn template_mut(&mut self, workload: &WorkloadKey) -> Option<&mut TrackedTemplate> {
        self.templates.get_mut(workload)
    }

    /// Whether nothing is known in it.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.templates.is_empty()
    }

    /// Counts a pod, or a template without pods, that was judged again after [`Self::replan`]. `counted` is the number
    /// of its workload's pods that were counted since; `known` are the policies that covered this namespace before.
    /// Returns an entry for each policy whose counts changed.
    pub fn rejudged(
        &mut self,
        pod: &Exchange<'_>,
        counted: u32,
        known: &BTreeSet<PolicyId>,
        began: &BeganTimes<'_>,
    ) -> Vec<PolicyTransitions> {
        let none = None::<std::iter::Empty<_>>;
        self.overall.change(pod.workload, counted.into(), none, pod.after.map(violated));
        let pods = self.counted(pod.workload);
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

    /// The shared key of a workload that has pods or a template.
    pub fn key(&self, workload: &WorkloadKey) -> Option<Arc<WorkloadKey>> {
        let pods = self.workloads.get_key_value(workload).map(|(key, _)| key);
        let known = pods.or_else(|| self.templates.get_key_value(workload).map(|(key, _)| key));
        known.map(Arc::clone)
    }

    /// The number of open violations of all policies by rule or check and severity. What several policies find counts
    /// once, by the highest severity.
    pub fn open_by_rule(&self) -> BTreeMap<(String, Severity), u64> {
        let mut open = BTreeMap::new();
        for (key, severity) in self.cells.values().flat_map(NamespaceCell::open_keys) {
            let known = open.entry(key).or_insert(severity);
            *known = severity.min(*known);
        }
        let mut counts = BTreeMap::new();
        for (key, severity) in open {
            *counts.entry((key.rule().to_owned(), severity)).or_default() += 1;
        }
        counts
    }
}

fn violated(findings: &[PodFinding]) -> impl Iterator<Item = ViolatedRule> {
    findings.iter().filter(|it| it.exemption.is_none()).map(|it| (it.fault.rule, it.degree))
}

/// The findings of one policy, out of findings in the order of policy ids.
pub(super) fn of_policy(findings: &[PodFinding], id: PolicyId) -> &[PodFinding] {
    let start = findings.partition_point(|it| it.policy < id);
    let end = findings.partition_point(|it| it.policy <= id);
    findings.get(start..end).unwrap_or_default()
}
