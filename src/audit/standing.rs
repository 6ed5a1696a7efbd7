//! What the policies that enforce would do to a namespace's pods now, and which of them nobody judged. A namespace that
//! changed is counted anew.

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::facts::{Maker, PodFinding, PolicyId, TrackedPod, TrackedTemplate};
use super::namespace::{AuditedNamespace, of_policy};
use crate::api::EnforcementMode;
use crate::policy::compile::Policy;
use crate::policy::enforced::Enforced;
use crate::policy::observed::{Fault, RefusedWorkload, ViolatingPods, WorkloadKey};
use crate::policy::registry;
use crate::policy::workload::Kind;

/// What was counted, by policy and workload.
pub(super) type ByWorkload<Counted> = BTreeMap<PolicyId, BTreeMap<Arc<WorkloadKey>, Counted>>;

/// The workloads of a namespace on which the policies that enforce there bear.
#[derive(Default, Eq, PartialEq)]
pub(super) struct Standing {
    /// Those that want more pods than they have, and whose new ones admission refuses.
    pub refused: ByWorkload<RefusedWorkload>,
    /// Those whose pods would be refused if they were made again; a grace does not count.
    pub at_risk: ByWorkload<ViolatingPods>,
    /// Those that were admitted while nobody judged.
    pub slipped: ByWorkload<ViolatingPods>,
}

/// From when a policy has judged what is made in a namespace.
pub(super) struct Judging<'a> {
    pub enforced: &'a Enforced,
    /// When the namespace got the labels by which the policy selects it; `None` if it needs none.
    pub covered: Option<Timestamp>,
}

/// A policy that enforces in a namespace.
struct Enforcing<'a> {
    id: PolicyId,
    policy: &'a Policy,
    in_grace: bool,
    judging: Judging<'a>,
}

impl Standing {
    pub fn of<'a>(
        state: &'a AuditedNamespace,
        judging: impl Fn(PolicyId, &Policy) -> Option<Judging<'a>>,
    ) -> Self {
        let mut standing = Self::default();
        let enforcing = state.policies().iter().filter_map(|(id, policy)| {
            let enforces = policy.mode == EnforcementMode::Enforce;
            let judging = enforces.then(|| judging(*id, policy)).flatten()?;
            Some(Enforcing { id: *id, policy, in_grace: state.in_grace(*id), judging })
        });
        let enforcing: Vec<_> = enforcing.collect();
        if enforcing.is_empty() {
            return standing;
        }
        for (workload, template) in state.templates() {
            for by in &enforcing {
                let denied = denied(of_policy(&template.findings, by.id), by.policy);
                if !denied.is_empty() {
                    let pods = state.pods_of(workload);
                    standing.template(by, &denied, (workload, template), pods);
                }
            }
        }
        let by_template: BTreeSet<_> = standing
            .slipped
            .iter()
            .flat_map(|(id, workloads)| {
                workloads.keys().map(|workload| (*id, Arc::clone(workload)))
            })
            .collect();
        let pods = state.pods.values().filter(|pod| pod.maker != Maker::Kubelet);
        for pod in pods.filter(|pod| !pod.findings.is_empty()) {
            for by in &enforcing {
                let denied = denied(of_policy(&pod.findings, by.id), by.policy);
                if denied.is_empty() {
                    continue;
                }
                if !state.templates().contains_key(&pod.workload) {
                    add(&mut standing.at_risk, by.id, &pod.workload, 1, &denied);
                }
                // With a slipped template, each of its pods is counted already.
                let counted = by_template.contains(&(by.id, Arc::clone(&pod.workload)));
                if !counted && by.missed_pod(&denied, pod) {
                    add(&mut standing.slipped, by.id, &pod.workload, 1, &denied);
                }
            }
        }
        standing
    }

    /// Counts a template for which a policy would deny new pods.
    fn template(
        &mut self,
        by: &Enforcing<'_>,
        denied: &[&PodFinding],
        (workload, template): (&Arc<WorkloadKey>, &TrackedTemplate),
        pods: u32,
    ) {
        let TrackedTemplate { kind, wanted, running, created, .. } = *template;
        let between_runs = kind == Kind::CronJob && pods == 0;
        if !by.in_grace && wanted > running && (kind != Kind::CronJob || between_runs) {
            let (workload, faults) = (Arc::clone(workload), faults(denied));
            let refused = RefusedWorkload { workload, wanted, running, faults };
            let workloads = self.refused.entry(by.id).or_default();
            workloads.insert(Arc::clone(&refused.workload), refused);
        }
        // The pod of a CronJob's next run is made again as well.
        let at_risk = if between_runs { wanted } else { pods };
        if at_risk > 0 {
            add(&mut self.at_risk, by.id, workload, at_risk, denied);
        }
        // Nobody but its author makes a template, so no grace applies to it.
        if by.judging.missed(denied, created, None) {
            add(&mut self.slipped, by.id, workload, pods.max(1), denied);
        }
    }

    /// The number of workloads that a policy keeps from making pods.
    pub fn refused_workloads(&self) -> u64 {
        let workloads = self.refused.values().flat_map(BTreeMap::keys);
        workloads.collect::<BTreeSet<_>>().len() as u64
    }

    /// The number of pods at risk by any policy.
    pub fn pods_at_risk(&self) -> u64 {
        let mut pods = BTreeMap::new();
        for (workload, it) in self.at_risk.values().flatten() {
            let most: &mut u64 = pods.entry(workload).or_default();
            *most = u64::from(it.pods).max(*most);
        }
        pods.into_values().sum()
    }
}

impl Enforcing<'_> {
    /// Whether the policy would have denied a pod with these findings, had it judged it.
    fn missed_pod(&self, denied: &[&PodFinding], pod: &TrackedPod) -> bool {
        let controlled = pod.maker == Maker::Controller;
        let graced_until = self.judging.enforced.graced_until().filter(|_| controlled);
        self.judging.missed(denied, pod.facts.created(), graced_until)
    }
}

impl Judging<'_> {
    /// Whether the policy would have denied what was created then, had it judged it: one of these findings denied at
    /// that time, and no exemption let it pass.
    fn missed(
        &self,
        denied: &[&PodFinding],
        created: i64,
        graced_until: Option<Timestamp>,
    ) -> bool {
        denied.iter().any(|finding| {
            let fault = &finding.fault;
            let Some(since) = self.enforced.since(fault.rule, &fault.id) else { return false };
            let others = [self.covered, graced_until, finding.exempt_until];
            let from = others.into_iter().flatten().fold(since, Timestamp::max);
            created > from.as_second()
        })
    }
}

/// Sums of pods and workloads.
#[derive(Clone, Copy, Default)]
pub(super) struct PodSum {
    pub pods: u64,
    pub workloads: u64,
}

impl PodSum {
    /// Replaces a namespace's part.
    pub fn change<K>(
        &mut self,
        before: Option<&BTreeMap<K, ViolatingPods>>,
        after: Option<&BTreeMap<K, ViolatingPods>>,
    ) {
        let part = |of: Option<&BTreeMap<K, ViolatingPods>>| {
            let all = of.into_iter().flat_map(BTreeMap::values);
            all.fold((0, 0), |(pods, workloads), it| (pods + u64::from(it.pods), workloads + 1))
        };
        let (before, after) = (part(before), part(after));
        self.pods = self.pods + after.0 - before.0;
        self.workloads = self.workloads + after.1 - before.1;
    }
}

fn add(
    counted: &mut ByWorkload<ViolatingPods>,
    id: PolicyId,
    workload: &Arc<WorkloadKey>,
    pods: u32,
    denied: &[&PodFinding],
) {
    let new = ViolatingPods { workload: Arc::clone(workload), pods, faults: faults(denied) };
    match counted.entry(id).or_default().entry(Arc::clone(workload)) {
        Entry::Vacant(entry) => drop(entry.insert(new)),
        Entry::Occupied(mut entry) => {
            let known = entry.get_mut();
            known.pods += pods;
            // Pods come in no order, and the text must not change with it.
            if worse(&new.faults, &known.faults) {
                known.faults = new.faults;
            }
        }
    }
}

/// Whether faults are more than others or, of equally many, come first.
fn worse(faults: &[Arc<Fault>], than: &[Arc<Fault>]) -> bool {
    fn messages(faults: &[Arc<Fault>]) -> impl Iterator<Item = &str> {
        faults.iter().map(|it| it.message.as_str())
    }
    match faults.len().cmp(&than.len()) {
        Ordering::Equal => messages(faults).lt(messages(than)),
        more => more.is_gt(),
    }
}

/// The findings for which a policy would deny a new pod.
fn denied<'f>(findings: &'f [PodFinding], policy: &Policy) -> Vec<&'f PodFinding> {
    let denies = |it: &&PodFinding| {
        it.exemption.is_none()
            && it.severity <= policy.deny_severity
            && registry::denies(it.fault.rule)
    };
    findings.iter().filter(denies).collect()
}

/// The faults of findings, worst first.
fn faults(denied: &[&PodFinding]) -> Vec<Arc<Fault>> {
    let mut denied = denied.to_vec();
    denied.sort_by_key(|it| (it.severity, it.fault.rule));
    denied.into_iter().map(|it| Arc::clone(&it.fault)).collect()
}
