//! Gathers changes by the object of their Event, and words the Event's note. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::sync::Arc;

use super::told::Told;
use crate::api::Severity;
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;
use crate::policy::message::broken;
use crate::policy::observed::{Change, Changed, Fault, Violation, WorkloadKey};
use crate::policy::text::{brief, clip, cut};
use crate::policy::workload::Kind;

/// The most bytes of a note that the API server accepts.
pub(super) const MAX_NOTE: usize = 1024;
/// The most faults, policies and workloads kept of one topic.
const MAX_FAULTS: usize = 16;
const MAX_POLICIES: usize = 4;
const MAX_WORKLOADS: usize = 4;
/// The workloads that a policy's note names.
const NAMED: usize = 3;
const MAX_MESSAGE: usize = 300;
const MAX_TAIL: usize = 256;

/// The object that an Event is about. Policies order first, since one Event on a policy covers the most violations.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum About {
    Policy { namespace: Option<String>, kind: &'static str, name: String, uid: String },
    Workload(WorkloadKey),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy { namespace: Some(namespace), kind, name, .. } => {
                write!(f, "{kind} {namespace}/{name}")
            }
            Self::Policy { kind, name, .. } => write!(f, "{kind} {name}"),
            Self::Workload(WorkloadKey { namespace, kind, name }) => {
                write!(f, "{} {}/{}", clip(kind), clip(namespace), clip(name))
            }
        }
    }
}

/// The topic of an Event: the changes of one kind to one object.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Topic {
    pub about: About,
    pub kind: TopicKind,
}

/// The kind of changes that an Event tells.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum TopicKind {
    /// Violations that began.
    Opened,
    /// Violations that ended.
    Closed,
    /// Workloads whose new pods are refused.
    Refused,
    /// Workloads that were admitted while podgate did not judge.
    Slipped,
}

/// The changes of one topic, in bounded memory. Its kind says which of them there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    /// By severity, worst first.
    counts: [u64; 4],
    /// One for each rule or check, container and path, with the worst severity of all policies.
    faults: Vec<(Severity, Arc<Fault>)>,
    /// The number of faults left out.
    more_faults: u64,
    policies: BTreeSet<String>,
    workloads: BTreeSet<WorkloadKey>,
    refused: Told,
    slipped: Told,
}

impl Gathered {
    /// The number of changes.
    pub fn count(&self) -> u64 {
        self.violations() + self.refused.count() + self.slipped.count()
    }

    fn violations(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn add(&mut self, policy: &Policy, violation: &Violation) {
        let severity = violation.severity;
        for (count, of) in self.counts.iter_mut().zip(Severity::ALL) {
            *count += u64::from(of == severity);
        }
        self.add_fault(severity, &violation.fault);
        insert(&mut self.policies, &policy.label, MAX_POLICIES);
        insert(&mut self.workloads, &*violation.workload, MAX_WORKLOADS);
    }

    fn add_fault(&mut self, severity: Severity, fault: &Arc<Fault>) {
        let same = |it: &Fault| {
            (&it.id, &it.container, &it.path) == (&fault.id, &fault.container, &fault.path)
        };
        if let Some((known, _)) = self.faults.iter_mut().find(|(_, it)| same(it)) {
            *known = severity.min(*known);
        } else if self.faults.len() < MAX_FAULTS {
            self.faults.push((severity, Arc::clone(fault)));
        } else {
            self.more_faults += 1;
            let mildest = self.faults.iter_mut().max_by_key(|(severity, _)| *severity);
            if let Some(mildest) = mildest.filter(|(known, _)| severity < *known) {
                *mildest = (severity, Arc::clone(fault));
            }
        }
    }

    /// Adds changes that were gathered later.
    pub fn merge(&mut self, later: Self) {
        for (count, more) in self.counts.iter_mut().zip(later.counts) {
            *count += more;
        }
        self.more_faults += later.more_faults;
        for (severity, fault) in later.faults {
            self.add_fault(severity, &fault);
        }
        for policy in &later.policies {
            insert(&mut self.policies, policy, MAX_POLICIES);
        }
        for workload in &later.workloads {
            insert(&mut self.workloads, workload, MAX_WORKLOADS);
        }
        self.refused.merge(later.refused);
        self.slipped.merge(later.slipped);
    }
}

/// Inserts an item and keeps the first `max` items.
fn insert<T: Clone + Ord>(set: &mut BTreeSet<T>, item: &T, max: usize) {
    set.insert(item.clone());
    if set.len() > max {
        set.pop_last();
    }
}

/// The [`Kind`] of a workload that an Event can be about: a kind known to podgate whose objects have pods.
pub(super) fn owner_kind(kind: &str) -> Option<Kind> {
    let mut owners = Kind::ALL.into_iter().filter(|it| *it != Kind::PodTemplate);
    owners.find(|it| it.names().kind == kind)
}

/// Gathers a batch of changes by topic.
pub(super) fn gather(changes: &[Change]) -> BTreeMap<Topic, Gathered> {
    let mut topics: BTreeMap<Topic, Gathered> = BTreeMap::new();
    for change in changes {
        let Change { policy, what } = change;
        let (told, workload) = match what {
            Changed::Opened(violation) => (TopicKind::Opened, &violation.workload),
            Changed::Closed(violation) => (TopicKind::Closed, &violation.workload),
            Changed::Refused(refused) => (TopicKind::Refused, &refused.workload),
            Changed::Slipped(slipped) => (TopicKind::Slipped, &slipped.workload),
        };
        let key = policy.key();
        let kind = key.kind();
        let PolicyKey { namespace, name } = key;
        let of_policy = policy.origin.as_ref().map(|origin| About::Policy {
            kind,
            namespace,
            name,
            uid: origin.uid.clone(),
        });
        let of_workload = owner_kind(&workload.kind).map(|_| About::Workload((**workload).clone()));
        for about in of_policy.into_iter().chain(of_workload) {
            let gathered = topics.entry(Topic { about, kind: told }).or_default();
            match what {
                Changed::Opened(violation) | Changed::Closed(violation) => {
                    gathered.add(policy, violation);
                }
                Changed::Refused(refused) => gathered.refused.add_refused(&policy.label, refused),
                Changed::Slipped(slipped) => gathered.slipped.add_slipped(&policy.label, slipped),
            }
        }
    }
    topics
}

/// The note of an Event.
pub(super) fn text(topic: &Topic, gathered: &Gathered) -> String {
    let text = match (&topic.about, topic.kind) {
        (About::Policy { .. }, TopicKind::Opened) => on_policy("began", gathered),
        (About::Policy { .. }, TopicKind::Closed) => on_policy("ended", gathered),
        (About::Policy { .. }, TopicKind::Refused) => gathered.refused.refused_by_policy(),
        (About::Workload(_), TopicKind::Refused) => gathered.refused.refused(),
        (About::Policy { .. }, TopicKind::Slipped) => gathered.slipped.slipped_policy(),
        (About::Workload(_), TopicKind::Slipped) => gathered.slipped.slipped(),
        (About::Workload(_), TopicKind::Opened | TopicKind::Closed) => on_workload(topic, gathered),
    };
    cut(text, MAX_NOTE)
}

fn on_policy(verb: &str, gathered: &Gathered) -> String {
    let severities = gathered.counts.iter().zip(Severity::ALL).filter(|(count, _)| **count > 0);
    let severities: Vec<_> =
        severities.map(|(count, severity)| format!("{count} {severity}")).collect();
    let workloads = gathered.workloads.iter().take(NAMED).cloned();
    let workloads: Vec<_> = workloads.map(|it| About::Workload(it).to_string()).collect();
    let others = if gathered.workloads.len() > NAMED { " and others" } else { "" };
    let count = gathered.violations();
    format!(
        "{count} violation{} {verb} ({}): {}{others}",
        if count == 1 { "" } else { "s" },
        severities.join(", "),
        workloads.join(", "),
    )
}

fn on_workload(topic: &Topic, gathered: &Gathered) -> String {
    let mut faults: Vec<_> = gathered.faults.iter().collect();
    faults.sort_by_key(|(severity, it)| (*severity, &it.id, &it.container, &it.path));
    let rules = faults.iter().map(|(_, it)| &it.id).collect::<BTreeSet<_>>().len();
    let breaks = if topic.kind == TopicKind::Closed { "no longer breaks" } else { "breaks" };
    let broken = if gathered.more_faults > 0 {
        broken(rules, rules) + " or more"
    } else {
        broken(rules, faults.len())
    };
    let mut text = format!("{breaks} {broken}: ");
    let tail = policies(gathered);
    let room = MAX_NOTE - tail.len() - " · and 18446744073709551615 more".len();
    let mut omitted = gathered.more_faults;
    for (index, (severity, fault)) in faults.into_iter().enumerate() {
        let separator = if index == 0 { "" } else { " · " };
        let described = describe(*severity, fault, topic);
        if omitted == gathered.more_faults && text.len() + separator.len() + described.len() <= room
        {
            text.push_str(separator);
            text.push_str(&described);
        } else {
            omitted += 1;
        }
    }
    if omitted > 0 {
        let _ = write!(text, " · and {omitted} more");
    }
    text + &tail
}

/// Describes a fault; with problem and remedy only where it began.
fn describe(severity: Severity, fault: &Fault, topic: &Topic) -> String {
    let container = fault.container.as_ref();
    let container = container.map(|it| format!(" container \"{}\"", clip(it))).unwrap_or_default();
    let id = clip(&fault.id);
    if topic.kind == TopicKind::Closed {
        return format!("{id} ({severity}){container}");
    }
    format!("{id} ({severity}){container}: {}", brief(fault.message.clone(), MAX_MESSAGE))
}

fn policies(gathered: &Gathered) -> String {
    let plural = if gathered.policies.len() == 1 { "policy" } else { "policies" };
    let names: Vec<_> = gathered.policies.iter().map(String::as_str).collect();
    cut(format!("; {plural} {}", names.join(", ")), MAX_TAIL)
}

#[cfg(test)]
impl About {
    pub fn workload_of(name: &str) -> Self {
        let violation = super::super::tests::violation(name, "forbidLatestTag");
        Self::Workload((*violation.workload).clone())
    }
}

#[cfg(test)]
mod tests;
