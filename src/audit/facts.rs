//! What is kept of a pod: texts that it shares with the pods that are like it, and what the policies found.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;

use super::pod::CutPod;
use crate::api::Severity;
use crate::policy::picture::{Fault, WorkloadKey};
use crate::policy::score::Degree;

/// A pod that counts.
pub(super) struct Pod {
    pub workload: Arc<WorkloadKey>,
    pub facts: Facts,
    pub findings: Arc<[PodFinding]>,
    /// The list that named it last.
    pub listed: u32,
}

/// The fields that rules read, as JSON.
#[derive(Clone)]
pub(super) struct Facts {
    /// `,"labels":…`, and so on.
    metadata: Arc<str>,
    spec: Arc<str>,
    status: Arc<str>,
    pub created: Timestamp,
}

impl Facts {
    pub fn new(pod: &CutPod, texts: &mut Interner<str>) -> Self {
        let mut text = |text: &str| texts.get(text, || text.into());
        Self {
            metadata: text(&pod.metadata),
            spec: text(&pod.spec),
            status: text(&pod.status),
            created: pod.created,
        }
    }

    /// The pod, in as far as rules read it.
    pub fn json(&self, namespace: &str, name: &str) -> String {
        let or_null =
            |text: &Arc<str>| if text.is_empty() { "null".into() } else { Arc::clone(text) };
        let (metadata, created) = (&self.metadata, self.created);
        let (spec, status) = (or_null(&self.spec), or_null(&self.status));
        // Both names are the API server's: nothing in them needs an escape.
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","creationTimestamp":"{created}"{metadata}}},"spec":{spec},"status":{status}}}"#
        )
    }

    /// Whether nothing that a rule reads differs.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.metadata, &other.metadata)
            && Arc::ptr_eq(&self.spec, &other.spec)
            && Arc::ptr_eq(&self.status, &other.status)
            && self.created == other.created
    }
}

/// Which of the policies it ever knew; never given twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct PolicyId(pub u32);

/// What one policy found in a pod.
#[derive(Clone, Debug)]
pub(super) struct PodFinding {
    pub policy: PolicyId,
    pub severity: Severity,
    pub degree: Degree,
    /// The place in `spec.exemptions` of the one that lets it pass.
    pub exemption: Option<u16>,
    pub fault: Arc<Fault>,
}

/// Equal faults are one and the same here: they are interned.
impl PartialEq for PodFinding {
    fn eq(&self, other: &Self) -> bool {
        let parts = |it: &Self| (it.policy, it.severity, it.degree, it.exemption);
        parts(self) == parts(other) && Arc::ptr_eq(&self.fault, &other.fault)
    }
}

impl Eq for PodFinding {}

impl Hash for PodFinding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.policy, self.severity, self.exemption, Arc::as_ptr(&self.fault)).hash(state);
    }
}

/// Keeps one of each value, for as long as somebody uses it.
pub(super) struct Interner<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// When to look next for what nobody uses.
    sweep_at: usize,
}

impl<T: ?Sized + Eq + Hash> Default for Interner<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_at: 1024 }
    }
}

impl<T: ?Sized + Eq + Hash> Interner<T> {
    /// The one that equals a value, or what `make` makes of it.
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

    /// Forgets what nobody uses.
    pub fn sweep(&mut self) {
        self.known.retain(|value| Arc::strong_count(value) > 1);
        self.known.shrink_to(2 * self.known.len());
        self.sweep_at = 1024.max(2 * self.known.len());
    }
}
