//! What is known of the pods of a cluster and of what the policies find in them. No I/O, and no clock: whoever calls
//! hands in the time.
//!
//! The way in: [`Index::pod`], [`Index::delete`] and, around a list, [`Index::list_begins`] and [`Index::list_ends`];
//! [`Index::policies`] when they change; [`Index::age`] as time goes by. The way out is `tell`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::cell::Turn;
use super::facts::{Facts, Findings, Interner, Library, Pod, PodFinding, PolicyId};
use super::judge::{Judge, Judged, address};
use super::namespace::{Exchange, Namespace};
use super::pod::ObservedPod;
use super::totals::Totals;
use crate::cel::tree::Tree;
use crate::policy::compile::Policy;
use crate::policy::document::Document;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{Fault, WorkloadKey};
use crate::policy::policy_set::PolicySet;
use crate::policy::score::Loss;
use crate::policy::workload::Kind;

mod replan;
mod tell;

pub use replan::NextStep;
pub use tell::NamespaceScores;

/// Stands for the default checks, where no policy is in force.
const DEFAULT_CHECKS: PolicyId = PolicyId(u32::MAX);

/// When a violation began that an earlier leader saw begin.
pub type Remembered = Box<dyn Fn(&Policy, &WorkloadKey, &Fault) -> Option<Timestamp> + Send>;

pub struct Index {
    policies: Arc<PolicySet>,
    default_checks: PolicySet,
    /// Of the policies in force, by which value they are.
    ids: HashMap<usize, PolicyId>,
    by_key: HashMap<PolicyKey, PolicyId>,
    next_id: u32,
    totals: BTreeMap<PolicyId, Totals>,
    namespaces: BTreeMap<Arc<str>, Namespace>,
    library: Library,
    faults: Interner<Fault>,
    sets: Interner<Box<[PodFinding]>>,
    /// The number of the last list.
    list: u32,
    /// Whether a list has ever been whole.
    complete: bool,
    /// Pods that may come to be Pending for too long: at which second, and which.
    due: BTreeSet<(i64, Arc<str>, Arc<str>)>,
    /// When the next exemption expires.
    expiry: Option<Timestamp>,
    remembered: Remembered,
    pods: usize,
    /// What all namespaces lose.
    cluster: Loss,
    /// The namespaces whose score was published.
    scored: BTreeSet<Arc<str>>,
    unpublished: tell::Unpublished,
}

impl Index {
    pub fn new(remembered: Remembered) -> Self {
        let default_checks = PolicySet::default_checks();
        let ids = default_checks
            .policies()
            .iter()
            .map(|policy| (address(policy), DEFAULT_CHECKS))
            .collect();
        Self {
            policies: Arc::default(),
            default_checks,
            ids,
            by_key: HashMap::new(),
            next_id: 0,
            totals: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            library: Library::default(),
            faults: Interner::default(),
            sets: Interner::default(),
            list: 0,
            complete: false,
            due: BTreeSet::new(),
            expiry: None,
            remembered,
            pods: 0,
            cluster: Loss::default(),
            scored: BTreeSet::new(),
            unpublished: tell::Unpublished::default(),
        }
    }

    /// How many pods count.
    pub fn pods(&self) -> usize {
        self.pods
    }

    /// Whether every pod has been seen once.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// Takes a pod in, new or changed.
    pub fn pod<const WHOLE: bool>(&mut self, pod: &ObservedPod<WHOLE>, now: Timestamp) {
        let (namespace, name) = pod.key();
        if self.policies.protects(namespace) {
            return;
        }
        if pod.cut.has_ended() {
            self.delete(namespace, name, now);
            return;
        }
        let facts = Facts::new(&pod.cut, &mut self.library);
        let namespace = self.namespace(namespace, now);
        let document = pod.whole.as_deref().and_then(|whole| self.document(&namespace, whole));
        let list = self.list;
        let known = self.namespaces.get_mut(&namespace).and_then(|it| it.pods.get_mut(name));
        if let Some(known) = known {
            known.listed = list;
            if known.facts.same(&facts) && document.is_none() {
                return;
            }
        }
        self.judge(&namespace, name, facts, document.as_ref(), now);
    }

    /// Takes a pod out.
    pub fn delete(&mut self, namespace: &str, name: &str, now: Timestamp) {
        let Some((namespace, state)) = self.namespaces.get_key_value(namespace) else { return };
        if state.pods.contains_key(name) {
            let namespace = Arc::clone(namespace);
            self.put(&namespace, name, None, now);
        }
    }

    /// A list begins: what it does not name is gone when it ends. Until then everything stays as it is known.
    pub fn list_begins(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    pub fn list_ends(&mut self, now: Timestamp) {
        let mut gone = Vec::new();
        for (namespace, state) in &self.namespaces {
            let unnamed = state.pods.iter().filter(|(_, pod)| pod.listed != self.list);
            gone.extend(unnamed.map(|(name, _)| (Arc::clone(namespace), name.clone())));
        }
        for (namespace, name) in gone {
            self.put(&namespace, &name, None, now);
        }
        self.complete = true;
        self.library.sweep();
        self.faults.sweep();
        self.sets.sweep();
        self.unpublished.everything(&self.totals, self.namespaces.keys());
    }

    /// Judges what only time changes: pods that are Pending too long, and what an exemption let pass until now.
    pub fn age(&mut self, now: Timestamp) -> NextStep {
        while self.due.first().is_some_and(|(when, ..)| *when <= now.as_second()) {
            let Some((_, namespace, name)) = self.due.pop_first() else { break };
            self.judge_again(&namespace, &name, now);
        }
        let mut next = NextStep::Done;
        if self.expiry.is_some_and(|expiry| expiry <= now) {
            let policies = self.policies.policies();
            self.expiry = policies.iter().filter_map(|policy| policy.next_expiry(now)).min();
            for id in self.totals.keys() {
                self.unpublished.policy(*id);
            }
            for namespace in self.namespaces.keys().cloned().collect::<Vec<_>>() {
                if self.replan(&namespace, true, now) == NextStep::ListPods {
                    next = NextStep::ListPods;
                }
            }
        }
        next
    }

    /// The namespace's own key; one that is new gets its policies.
    fn namespace(&mut self, name: &str, now: Timestamp) -> Arc<str> {
        if let Some((known, _)) = self.namespaces.get_key_value(name) {
            return Arc::clone(known);
        }
        let namespace: Arc<str> = name.into();
        self.namespaces.insert(Arc::clone(&namespace), Namespace::default());
        let _ = self.replan(&namespace, true, now);
        namespace
    }

    /// The one set of findings that equals these.
    fn found(&mut self, findings: Vec<PodFinding>) -> Findings {
        let findings = findings.into_boxed_slice();
        self.sets.get(&findings, || Arc::new(findings.clone()))
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
        let known = self.namespaces.get(namespace).and_then(|state| state.pods.get(name));
        // What is judged again by the time alone has not been named by the list that is under way.
        let listed = known.map_or(self.list, |pod| pod.listed);
        let known = known.map(|pod| Arc::clone(&pod.findings));
        let json = facts.json(namespace, name);
        let judged =
            self.judged(namespace, &json, document, known.as_deref().map_or(&[], |it| it), now);
        let Some(judged) = judged else { return };
        let (kind, workload) = judged.workload;
        let workload = WorkloadKey { namespace: namespace.to_string(), kind, name: workload };
        // One key for all pods of a workload.
        let known = self.namespaces.get(namespace).and_then(|state| state.key(&workload));
        let pod = Pod {
            workload: known.unwrap_or_else(|| Arc::new(workload)),
            facts,
            findings: self.found(judged.findings),
            listed,
        };
        self.put(namespace, name, Some(pod), now);
        self.schedule(namespace, name, judged.due);
    }

    fn judged(
        &mut self,
        namespace: &Arc<str>,
        json: &str,
        document: Option<&Document<'_>>,
        known: &[PodFinding],
        now: Timestamp,
    ) -> Option<Judged> {
        let plan = replan::plan(&self.policies, &self.default_checks, namespace);
        let mut judge = Judge { plan, ids: &self.ids, faults: &mut self.faults, now };
        let judged = judge.pod(json, document, known);
        if let Err(error) = &judged {
            // The API server takes no such pod; a person should hear of it if one comes all the same.
            tracing::error!(%namespace, error, "a pod cannot be read, and is not audited");
        }
        judged.ok()
    }

    fn schedule(&mut self, namespace: &Arc<str>, name: &str, due: Option<Timestamp>) {
        let known = self.namespaces.get(namespace).and_then(|it| it.pods.get_key_value(name));
        if let (Some(due), Some((name, _))) = (due, known) {
            self.due.insert((due.as_second(), Arc::clone(namespace), Arc::clone(name)));
        }
    }

    /// Puts a pod in the place of what was known of it.
    fn put(&mut self, namespace: &Arc<str>, name: &str, pod: Option<Pod>, now: Timestamp) {
        let Some(state) = self.namespaces.get_mut(namespace) else { return };
        let known = state.pods.remove_entry(name);
        let (name, before) =
            known.map_or_else(|| (name.into(), None), |(name, pod)| (name, Some(pod)));
        self.pods = self.pods + usize::from(pod.is_some()) - usize::from(before.is_some());
        let (remembered, news, complete) = (&self.remembered, &mut self.unpublished, self.complete);
        let mut began = |policy: &Policy, workload: &WorkloadKey, fault: &Fault| {
            remembered(policy, workload, fault).unwrap_or(now)
        };
        let mut turned =
            |id: PolicyId, turns: Vec<Turn>| news.turned(id, namespace, turns, complete);
        let findings = |pod: &Pod| Arc::clone(&pod.findings);
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
                state.exchange(&change, &mut began, &mut turned);
            }
            if let Some(pod) = &before {
                let workload = &pod.workload;
                let change = Exchange { workload, before: old, after: None };
                state.exchange(&change, &mut began, &mut turned);
            }
        } else if let Some(pod) = &pod {
            let workload = &pod.workload;
            let change = Exchange { workload, before: old, after: new };
            state.exchange(&change, &mut began, &mut turned);
        }
        if let Some(pod) = pod {
            state.pods.insert(name, pod);
        }
        self.unpublished.namespace(namespace);
    }

    /// The pod as rules read it that read whatever they like, where there are any.
    fn document<'a>(&self, namespace: &str, whole: &'a str) -> Option<Document<'a>> {
        let plan = replan::plan(&self.policies, &self.default_checks, namespace);
        if !plan.reads_documents() {
            return None;
        }
        let pod = Tree::from_json(whole).ok()?;
        let namespace = Document::namespace(self.policies.namespace_object(Some(namespace)));
        Some(Document::of(Kind::Pod, pod, namespace))
    }
}
