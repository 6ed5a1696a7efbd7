//! The facts kept of each pod: JSON texts shared with pods of the same shape, and the policies' findings.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;

use super::pod::CutPod;
use crate::api::Severity;
use crate::policy::degree::Degree;
use crate::policy::observed::{Fault, WorkloadKey};
use crate::policy::workload::Kind;

/// A pod that has not ended. There may be many, so it is small and shares what it can.
pub(super) struct TrackedPod {
    pub workload: Arc<WorkloadKey>,
    pub facts: Facts,
    pub findings: Findings,
    /// The number of the list that last contained it.
    pub listed: u32,
    pub maker: Maker,
}

/// Who makes a pod again if it goes, by its controlling owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Maker {
    /// A controller of Kubernetes, whose pods a grace admits.
    Controller,
    /// A kubelet, from a file: admission does not judge the mirror pod of a static pod.
    Kubelet,
    /// A person, or a controller that podgate does not know.
    Other,
}

/// The template of a workload, as the pod that it would make.
pub(super) struct TrackedTemplate {
    pub kind: Kind,
    pub facts: Facts,
    pub findings: Findings,
    /// The number of pods that the workload wants.
    pub wanted: u32,
    /// The number of pods that it has, by its status.
    pub running: u32,
    /// When its workload was created, in seconds since the epoch.
    pub created: i64,
    /// The number of the list that last contained it.
    pub listed: u32,
}

/// What a pod was found to be.
#[derive(Clone)]
pub(super) struct Judgement {
    pub workload: Arc<WorkloadKey>,
    pub findings: Findings,
    pub maker: Maker,
}

/// The judgements of a namespace's pods by their texts, for the next pod with the same.
#[derive(Default)]
pub(super) struct Judgements {
    known: HashMap<Arc<PodTexts>, Judgement>,
    /// The number of judgements above which those of no pod are dropped next.
    sweep_above: usize,
}

impl Judgements {
    pub fn of(&self, facts: &Facts) -> Option<Judgement> {
        self.known.get(&facts.texts).cloned()
    }

    pub fn keep(&mut self, facts: &Facts, judgement: Judgement) {
        if self.known.len() > self.sweep_above {
            self.sweep();
        }
        self.known.insert(Arc::clone(&facts.texts), judgement);
    }

    /// Drops the judgements whose texts no pod has: only this map and the text pool hold them.
    pub fn sweep(&mut self) {
        self.known.retain(|texts, _| Arc::strong_count(texts) > 2);
        self.known.shrink_to(2 * self.known.len());
        self.sweep_above = 16 + 2 * self.known.len();
    }
}

/// The findings of all policies, in the order of policy ids. Boxed, so that a pod holds one pointer.
pub(super) type Findings = Arc<Box<[PodFinding]>>;

/// The fields that rules read, as JSON, and when the pod was created.
#[derive(Clone)]
pub(super) struct Facts {
    texts: Arc<PodTexts>,
    /// In seconds since the epoch, the API server's resolution.
    created: i64,
}

/// The facts that pods of the same shape share.
#[derive(Clone)]
pub(super) struct PodTexts {
    /// Further members of `metadata`, each with a leading comma: `,"labels":…`.
    metadata: Arc<str>,
    spec: Arc<str>,
    status: Arc<str>,
}

/// Texts are interned, so equal texts have the same address.
impl PartialEq for PodTexts {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.metadata, &other.metadata)
            && Arc::ptr_eq(&self.spec, &other.spec)
            && Arc::ptr_eq(&self.status, &other.status)
    }
}

impl Eq for PodTexts {}

impl Hash for PodTexts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for text in [&self.metadata, &self.spec, &self.status] {
            Arc::as_ptr(text).cast::<u8>().hash(state);
        }
    }
}

/// The interned texts of all pods.
#[derive(Default)]
pub(super) struct TextPool {
    texts: Interner<str>,
    sets: Interner<PodTexts>,
}

impl TextPool {
    /// Drops unused texts.
    pub fn sweep(&mut self) {
        self.sets.sweep();
        self.texts.sweep();
    }
}

impl Facts {
    pub fn new(pod: &CutPod, text_pool: &mut TextPool) -> Self {
        let mut text = |text: &str| text_pool.texts.get(text, || text.into());
        let texts = PodTexts {
            metadata: text(&pod.metadata),
            spec: text(&pod.spec),
            status: text(&pod.status),
        };
        let texts = text_pool.sets.get(&texts, || Arc::new(texts.clone()));
        Self { texts, created: pod.created.as_second() }
    }

    /// The pod's JSON, cut down to the fields that rules read.
    pub fn json(&self, namespace: &str, name: &str) -> String {
        fn given(text: &str) -> &str {
            if text.is_empty() { "{}" } else { text }
        }
        let PodTexts { metadata, spec, status } = &*self.texts;
        let created = Timestamp::from_second(self.created).unwrap_or_default();
        let (spec, status) = (given(spec), given(status));
        // The API server validated both names, so neither needs escaping.
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","creationTimestamp":"{created}"{metadata}}},"spec":{spec},"status":{status}}}"#
        )
    }

    /// When the pod was created, in seconds since the epoch.
    pub fn created(&self) -> i64 {
        self.created
    }

    /// Whether every field that a rule reads is equal.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.texts, &other.texts) && self.created == other.created
    }
}

/// The index's id of a policy. Never reused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct PolicyId(pub u32);

/// One policy's finding in a pod.
#[derive(Clone, Debug)]
pub(super) struct PodFinding {
    pub policy: PolicyId,
    pub severity: Severity,
    pub degree: Degree,
    /// The place in `spec.exemptions` of the exemption that covers it.
    pub exemption: Option<u16>,
    /// When the last exemption that covered it expired.
    pub exempt_until: Option<Timestamp>,
    pub fault: Arc<Fault>,
}

/// Faults are interned, so equal faults have the same address.
impl PartialEq for PodFinding {
    fn eq(&self, other: &Self) -> bool {
        let parts = |it: &Self| (it.policy, it.severity, it.degree, it.exemption, it.exempt_until);
        parts(self) == parts(other) && Arc::ptr_eq(&self.fault, &other.fault)
    }
}

impl Eq for PodFinding {}

impl Hash for PodFinding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.policy, self.severity, self.exemption, Arc::as_ptr(&self.fault)).hash(state);
    }
}

/// Keeps one copy of each value for as long as it is used.
pub(super) struct Interner<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// The number of values at which unused ones are dropped next.
    sweep_at: usize,
}

impl<T: ?Sized + Eq + Hash> Default for Interner<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_at: 1024 }
    }
}

impl<T: ?Sized + Eq + Hash> Interner<T> {
    /// The copy that equals a value; without one, `make` makes it.
    pub fn get(&mut self, value: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(value) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.sweep();
        }
        let value = make();
        self.known.insert(Arc::clone(&value));
        value
    }

    /// Drops unused values.
    pub fn sweep(&mut self) {
        self.known.retain(|value| Arc::strong_count(value) > 1);
        self.known.shrink_to(2 * self.known.len());
        self.sweep_at = 1024.max(2 * self.known.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judgements_of_texts_that_no_pod_has_are_dropped() {
        let (mut pool, mut judgements) = (TextPool::default(), Judgements::default());
        let key =
            || WorkloadKey { namespace: String::new(), kind: String::new(), name: String::new() };
        let mut judge = |number: u32| {
            let pod = CutPod { spec: number.to_string(), ..CutPod::default() };
            let facts = Facts::new(&pod, &mut pool);
            let (workload, findings) = (Arc::new(key()), Findings::default());
            judgements.keep(&facts, Judgement { workload, findings, maker: Maker::Other });
            facts
        };
        let kept = judge(0);
        for number in 1..1000 {
            drop(judge(number));
        }
        assert!(judgements.of(&kept).is_some());
        assert!(judgements.known.len() < 25, "{}", judgements.known.len());
    }
}
