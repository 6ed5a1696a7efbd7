//! In-memory state of the audit: the cluster's pods and workloads, and the policies' findings in them. No I/O and no
//! clock: the caller passes the time.
//!
//! The way in: [`AuditIndex::pod`] and [`AuditIndex::delete`], [`AuditIndex::workload`] and
//! [`AuditIndex::delete_workload`], between [`AuditIndex::list_begins`] and [`AuditIndex::list_ends`] for the list of a
//! kind; [`AuditIndex::policies`] when policies change; [`AuditIndex::age`] as time passes. The way out: the `take_…`
//! methods in `updates`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use self::lists::Lists;
use self::policy_sets::PolicySets;
use self::unpublished::Unpublished;
use super::began::BeganTimes;
pub use super::began::{Began, Remembered};
use super::facts::{
    Facts, Findings, Interner, Judgement, PodFinding, PolicyId, TextPool, TrackedPod,
};
use super::judge::{JudgedPod, PodJudge, address};
use super::namespace::{AuditedNamespace, Exchange, PolicyTransitions};
use super::pod::ObservedPod;
use super::standing::Standing;
use super::totals::Totals;
use crate::policy::document::Document;
use crate::policy::key::PolicyKey;
use crate::policy::observed::Fault;
use crate::policy::policy_set::PolicySet;
use crate::policy::score::Loss;
use crate::policy::workload::Kind;

mod lists;
mod policy_sets;
mod replan;
mod standing;
mod templates;
mod unpublished;
mod updates;

/// The id of the default checks, in a namespace that no policy covers.
const DEFAULT_CHECKS: PolicyId = PolicyId(u32::MAX);

/// What the caller does after policies changed or time passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum NextStep {
    /// Nothing: every pod is judged.
    Done,
    /// List pods and workloads again: rules read documents, which the index does not keep.
    ListAgain,
}

/// Whether [`AuditIndex::replan`] judges pods again whose policies did not change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Replan {
    Always,
    IfChanged,
}

pub struct AuditIndex {
    policies: PolicySets,
    /// The ids of the policies in force and of the default checks, by the policy's address.
    ids: HashMap<usize, PolicyId>,
    by_key: HashMap<PolicyKey, PolicyId>,
    next_id: u32,
    totals: BTreeMap<PolicyId, Totals>,
    namespaces: BTreeMap<Arc<str>, AuditedNamespace>,
    text_pool: TextPool,
    faults: Interner<Fault>,
    findings: Interner<Box<[PodFinding]>>,
    /// By namespace, as last counted; without those where nothing is counted.
    standings: BTreeMap<Arc<str>, Standing>,
    lists: Lists,
    /// Whether every kind has been listed.
    complete: bool,
    /// Pods that may exceed a limit on Pending, by the time at which they do.
    due: BTreeSet<Due>,
    /// When the next exemption expires, or the next grace ends.
    expiry: Option<Timestamp>,
    remembered: Remembered,
    pods: usize,
    /// The points that all namespaces lose.
    cluster: Loss,
    unpublished: Unpublished,
}

/// A pod to judge again at a time, in seconds since the epoch.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Due {
    at: i64,
    namespace: Arc<str>,
    pod: Box<str>,
}

impl AuditIndex {
    pub fn new(remembered: Remembered) -> Self {
        let default_checks = PolicySet::default_checks();
        let ids = default_checks
            .policies()
            .iter()
            .map(|policy| (address(policy), DEFAULT_CHECKS))
            .collect();
        Self {
            policies: PolicySets { in_force: Arc::default(), default_checks },
            ids,
            by_key: HashMap::new(),
            next_id: 0,
            totals: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            text_pool: TextPool::default(),
            faults: Interner::default(),
            findings: Interner::default(),
            standings: BTreeMap::new(),
            lists: Lists::default(),
            complete: false,
            due: BTreeSet::new(),
            expiry: None,
            remembered,
            pods: 0,
            cluster: Loss::default(),
            unpublished: Unpublished::default(),
        }
    }

    /// The number of audited pods.
    pub fn pods(&self) -> usize {
        self.pods
    }

    /// Whether pods and workloads have been listed once.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// Adds or updates a pod; one that has ended is removed.
    pub fn pod<const WHOLE: bool>(&mut self, pod: &ObservedPod<WHOLE>, now: Timestamp) {
        let (namespace, name) = pod.key();
        if self.policies.in_force.protects(namespace) {
            return;
        }
        if pod.cut.has_ended() {
            self.delete(namespace, name, now);
            return;
        }
        let facts = Facts::new(&pod.cut, &mut self.text_pool);
        let namespace = self.namespace(namespace, now);
        let whole = pod.whole.as_deref();
        let in_force = Arc::clone(&self.policies.in_force);
        let document = whole.and_then(|whole| PolicySets::document(&in_force, &namespace, whole));
        let list = self.lists.number(Kind::Pod);
        let known = self.namespaces.get_mut(&namespace).and_then(|it| it.pods.get_mut(name));
        if let Some(known) = known {
            known.listed = list;
            if known.facts.same(&facts) && document.is_none() {
                return;
            }
        }
        self.judge(&namespace, name, facts, document.as_ref(), now);
    }

    /// Removes a pod.
    pub fn delete(&mut self, namespace: &str, name: &str, now: Timestamp) {
        let Some((namespace, state)) = self.namespaces.get_key_value(namespace) else { return };
        if state.pods.contains_key(name) {
            let namespace = Arc::clone(namespace);
            self.put(&namespace, name, None, now);
        }
    }

    /// Begins a list of pods or of a kind of workloads. What it does not contain stays until it ends.
    pub fn list_begins(&mut self, kind: Kind) {
        self.lists.begins(kind);
    }

    /// Ends a list: removes what it did not contain.
    pub fn list_ends(&mut self, kind: Kind, now: Timestamp) {
        let list = self.lists.number(kind);
        if kind == Kind::Pod {
            let mut gone = Vec::new();
            for (namespace, state) in &self.namespaces {
                let unlisted = state.pods.iter().filter(|(_, pod)| pod.listed != list);
                gone.extend(unlisted.map(|(name, _)| (Arc::clone(namespace), name.clone())));
            }
            for (namespace, name) in gone {
                self.put(&namespace, &name, None, now);
            }
        } else {
            self.remove_unlisted_workloads(kind, list, now);
        }
        self.lists.ends(kind);
        self.complete_lists();
    }

    /// podgate may not list a kind of workloads: the audit does without it.
    pub fn list_is_forbidden(&mut self, kind: Kind) {
        self.lists.is_forbidden(kind);
        self.complete_lists();
    }

    fn complete_lists(&mut self) {
        if !self.lists.are_complete() {
            return;
        }
        if !std::mem::replace(&mut self.complete, true) {
            self.stand_at_first();
        }
        for state in self.namespaces.values_mut() {
            state.judgements.sweep();
        }
        self.text_pool.sweep();
        self.faults.sweep();
        self.findings.sweep();
        self.unpublished.mark_all(&self.totals, self.namespaces.keys());
    }

    /// Judges again what the passing of time changes: pods that exceed
    /// a limit on Pending, and violations whose exemption expired.
    pub fn age(&mut self, now: Timestamp) -> NextStep {
        while self.due.first().is_some_and(|due| due.at <= now.as_second()) {
            let Some(Due { namespace, pod, .. }) = self.due.pop_first() else { break };
            self.judge_again(&namespace, &pod, now);
        }
        let mut next = NextStep::Done;
        if self.expiry.is_some_and(|expiry| expiry <= now) {
            self.expiry = self.next_end(now);
            for id in self.totals.keys() {
                self.unpublished.mark_policy(*id);
            }
            for namespace in self.namespaces.keys().cloned().collect::<Vec<_>>() {
                if self.replan(&namespace, Replan::Always, now) == NextStep::ListAgain {
                    next = NextStep::ListAgain;
                }
            }
        }
        next
    }

    /// When the next exemption of the policies in force expires, or the next grace ends.
    fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let policies = self.policies.in_force.policies();
        let ends = policies.iter().filter_map(|policy| policy.next_end(now));
        // One that was taken back is in no policy any more.
        let graces = self.totals.values().filter_map(|it| it.enforced.graced_until());
        ends.chain(graces.filter(|end| *end > now)).min()
    }

    /// The shared name of a namespace. A new namespace is given its policies.
    fn namespace(&mut self, name: &str, now: Timestamp) -> Arc<str> {
        if let Some((known, _)) = self.namespaces.get_key_value(name) {
            return Arc::clone(known);
        }
        let namespace: Arc<str> = name.into();
        self.namespaces.insert(Arc::clone(&namespace), AuditedNamespace::default());
        let _ = self.replan(&namespace, Replan::Always, now);
        namespace
    }

    fn intern_findings(&mut self, findings: Vec<PodFinding>) -> Findings {
        let findings = findings.into_boxed_slice();
        self.findings.get(&findings, || Arc::new(findings.clone()))
    }

    fn judge_again(&mut self, namespace: &Arc<str>, name: &str, now: Timestamp) {
        let pod = self.namespaces.get(namespace).and_then(|state| state.pods.get(name));
        if let Some(facts) = pod.map(|pod| pod.facts.clone()) {
            self.judge(namespace, name, facts, None, now);
        }
    }

    fn judge(
        &mut self,
        namespace: &Arc<str>,
        name: &str,
        facts: Facts,
        document: Option<&Document<'_>>,
        now: Timestamp,
    ) {
        let state = self.namespaces.get(namespace);
        let known = state.and_then(|state| state.pods.get(name));
        // A known pod keeps its list number: a pod judged again because time passed was not in the current list.
        let listed = known.map_or(self.lists.number(Kind::Pod), |pod| pod.listed);
        let known = known.map(|pod| Arc::clone(&pod.findings));
        let alike = state.and_then(|state| state.judgements.of(&facts));
        let (judgement, due) = if let Some(alike) = alike {
            (alike, None)
        } else {
            let json = facts.json(namespace, name);
            let known = known.as_deref().map_or(&[][..], |it| it);
            let Some(judged) = self.judged(namespace, &json, document, known, now) else { return };
            self.judgement(namespace, &facts, judged)
        };
        let Judgement { workload, findings, maker } = judgement;
        let pod = TrackedPod { workload, facts, findings, listed, maker };
        self.put(namespace, name, Some(pod), now);
        self.schedule(namespace, name, due);
    }

    /// Shares a judgement with the pods that are judged alike.
    fn judgement(
        &mut self,
        namespace: &Arc<str>,
        facts: &Facts,
        judged: JudgedPod,
    ) -> (Judgement, Option<Timestamp>) {
        let JudgedPod { workload: (kind, name), maker, findings, due, alike } = judged;
        let workload = self.workload_of_pod(namespace, kind, name);
        let findings = self.intern_findings(findings);
        let judgement = Judgement { workload, findings, maker };
        let state = self.namespaces.get_mut(namespace).filter(|_| alike);
        if let Some(state) = state {
            state.judgements.keep(facts, judgement.clone());
        }
        (judgement, due)
    }

    fn judged(
        &mut self,
        namespace: &Arc<str>,
        json: &str,
        document: Option<&Document<'_>>,
        known: &[PodFinding],
        now: Timestamp,
    ) -> Option<JudgedPod> {
        let plan = self.policies.plan(namespace);
        let mut judge = PodJudge { plan, ids: &self.ids, faults: &mut self.faults, now };
        let judged = judge.pod(json, document, known);
        if let Err(error) = &judged {
            // The API server validates pods, so this is a fault worth a log line.
            tracing::error!(%namespace, error, "a pod cannot be read, and is not audited");
        }
        judged.ok()
    }

    fn schedule(&mut self, namespace: &Arc<str>, name: &str, due: Option<Timestamp>) {
        if let Some(due) = due {
            let (namespace, pod) = (Arc::clone(namespace), name.into());
            self.due.insert(Due { at: due.as_second(), namespace, pod });
        }
    }

    /// Replaces a pod; `None` removes it.
    fn put(&mut self, namespace: &Arc<str>, name: &str, pod: Option<TrackedPod>, now: Timestamp) {
        let Some(state) = self.namespaces.get_mut(namespace) else { return };
        let known = state.pods.remove_entry(name);
        let (name, before) =
            known.map_or_else(|| (name.into(), None), |(name, pod)| (name, Some(pod)));
        self.pods = self.pods + usize::from(pod.is_some()) - usize::from(before.is_some());
        let began = BeganTimes { remembered: &self.remembered, now };
        let mut changed = Vec::new();
        let findings = |pod: &TrackedPod| Arc::clone(&pod.findings);
        let moved = match (&before, &pod) {
            (Some(before), Some(after)) => before.workload != after.workload,
            _ => true,
        };
        let (old, new) = (before.as_ref().map(findings), pod.as_ref().map(findings));
        let (old, new) = (old.as_ref().map(|it| &***it), new.as_ref().map(|it| &***it));
        if moved {
            if let Some(pod) = &pod {
                let workload = &pod.workload;
                let change = Exchange { workload, before: None, after: new };
                changed.extend(state.exchange(&change, &began));
            }
            if let Some(pod) = &before {
                let workload = &pod.workload;
                let change = Exchange { workload, before: old, after: None };
                let mut gone = state.exchange(&change, &began);
                if state.pods_of(workload) == 0 {
                    let stands_in = state.templates().contains_key(workload);
                    self.lists.drop_unknown_ends(workload, stands_in, &mut gone);
                }
                changed.extend(gone);
            }
        } else if let Some(pod) = &pod {
            let workload = &pod.workload;
            let change = Exchange { workload, before: old, after: new };
            changed.extend(state.exchange(&change, &began));
        }
        if let Some(pod) = pod {
            state.pods.insert(name, pod);
        }
        self.unpublished.mark_namespace(namespace);
        self.mark_changed(namespace, changed);
    }

    /// Marks changed counts for publication; until the first list
    /// is complete, without the violations that began or went.
    fn mark_changed(&mut self, namespace: &Arc<str>, changed: Vec<PolicyTransitions>) {
        if self.complete {
            self.unpublished.add_transitions(namespace, changed);
        } else {
            self.unpublished.mark_cells(namespace, changed);
        }
    }
}
