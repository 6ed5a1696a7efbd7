//! What is kept of a pod: texts that it shares with the pods that are like it, and what the policies found.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;

use super::pod::CutPod;
use crate::api::Severity;
use crate::policy::degree::Degree;
use crate::policy::observed::{Fault, WorkloadKey};

/// A pod that counts. There may be many: what it holds is small, and shared where it can be.
pub(super) struct Pod {
    pub workload: Arc<WorkloadKey>,
    pub facts: Facts,
    pub findings: Findings,
    /// The list that named it last.
    pub listed: u32,
}

/// What all policies found, in the order of their ids. Boxed, so that a pod holds one pointer.
pub(super) type Findings = Arc<Box<[PodFinding]>>;

/// The fields that rules read, as JSON, and when the pod was created.
#[derive(Clone)]
pub(super) struct Facts {
    texts: Arc<Texts>,
    /// In seconds, as the API server gives it.
    created: i64,
}

/// The facts that pods share which are like each other.
#[derive(Clone)]
pub(super) struct Texts {
    /// `,"labels":…`, and so on.
    metadata: Arc<str>,
    spec: Arc<str>,
    status: Arc<str>,
}

/// Each text is interned, so that equal ones are one and the same.
impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.metadata, &other.metadata)
            && Arc::ptr_eq(&self.spec, &other.spec)
            && Arc::ptr_eq(&self.status, &other.status)
    }
}

impl Eq for Texts {}

impl Hash for Texts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for text in [&self.metadata, &self.spec, &self.status] {
            Arc::as_ptr(text).cast::<u8>().hash(state);
        }
    }
}

/// What is known of texts.
#[derive(Default)]
pub(super) struct Library {
    texts: Interner<str>,
    sets: Interner<Texts>,
}

impl Library {
    /// Forgets what nobody uses.
    pub fn sweep(&mut self) {
        self.sets.sweep();
        self.texts.sweep();
    }
}

impl Facts {
    pub fn new(pod: &CutPod, library: &mut Library) -> Self {
        let mut text = |text: &str| library.texts.get(text, || text.into());
        let texts = Texts {
            metadata: text(&pod.metadata),
            spec: text(&pod.spec),
            status: text(&pod.status),
        };
        let texts = library.sets.get(&texts, || Arc::new(texts.clone()));
        Self { texts, created: pod.created.as_second() }
    }

    /// The pod, in as far as rules read it.
    pub fn json(&self, namespace: &str, name: &str) -> String {
        fn given(text: &str) -> &str {
            if text.is_empty() { "{}" } else { text }
        }
        let Texts { metadata, spec, status } = &*self.texts;
        let created = Timestamp::from_second(self.created).unwrap_or_default();
        let (spec, status) = (given(spec), given(status));
        // Both names are the API server's: nothing in them needs an escape.
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","creationTimestamp":"{created}"{metadata}}},"spec":{spec},"status":{status}}}"#
        )
    }

    /// Whether nothing that a rule reads differs.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.texts, &other.texts) && self.created == other.created
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
