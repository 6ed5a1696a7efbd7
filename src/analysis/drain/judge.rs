//! Judges the pods of nodes as they would be made again, one by one. No I/O.
//!
//! The way in: [`DrainJudge::pod`] for every pod of the cluster, then [`DrainJudge::controller`] for every object of
//! [`DrainJudge::kinds`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::super::denial::Denial;
use super::super::preview::created;
use super::answer::{DrainCheck, DrainSummary, DrainedWorkload};
use super::partition::{kept_below, ordinal};
use crate::cel::tree::Tree;
use crate::findings::Fault;
use crate::policy::decision::{Decision, decide};
use crate::policy::document::Document;
use crate::policy::engine::{Finding, judge_as_created};
use crate::policy::inherited::Before;
use crate::policy::made_pod::Workload;
use crate::policy::object::Object;
use crate::policy::observed::WorkloadKey;
use crate::policy::owner;
use crate::policy::plan::EvaluationPlan;
use crate::policy::pod_status::PodStatus;
use crate::policy::policy_set::PolicySet;
use crate::policy::subject::Subject;
use crate::policy::workload::Kind;

/// The kinds that make pods themselves: a Deployment makes `ReplicaSets`, and a CronJob makes Jobs.
const CONTROLLERS: [Kind; 5] =
    [Kind::ReplicaSet, Kind::StatefulSet, Kind::DaemonSet, Kind::ReplicationController, Kind::Job];

/// The nodes to drain.
pub enum Nodes {
    All,
    Named(BTreeSet<String>),
}

impl Nodes {
    fn contains(&self, node: &str) -> bool {
        match self {
            Self::All => !node.is_empty(),
            Self::Named(names) => names.contains(node),
        }
    }
}

/// The pods and controllers read so far.
pub struct DrainJudge<'p> {
    policies: &'p PolicySet,
    nodes: Nodes,
    now: Timestamp,
    namespaces: BTreeMap<String, &'p EvaluationPlan>,
    /// How many pods each workload has, on all nodes.
    replicas: BTreeMap<WorkloadKey, u64>,
    /// The pods on the nodes, by what makes them again.
    evicted: BTreeMap<Maker, Evicted>,
    /// The nodes with pods.
    seen: BTreeSet<String>,
    faults: Vec<Fault>,
}

/// What makes a pod again.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Maker {
    /// A controller of Kubernetes, from its template. The ordinal is that of a StatefulSet's pod, else 0.
    Controller { kind: &'static str, namespace: String, name: String, ordinal: u32 },
    /// A controller that podgate does not know, or a person: only the pod itself tells what would be made.
    Unknown { namespace: String, pod: String },
}

/// Pods of one maker.
struct Evicted {
    workload: WorkloadKey,
    pods: u64,
    refused: u64,
    /// Those that only a grace admits.
    graced: u64,
    denial: Option<Denial>,
}

/// What would deny a pod if it were made again now.
#[derive(Clone)]
struct Refusal {
    denial: Denial,
    /// Whether the pod is admitted, because every policy that would deny it is in its grace.
    in_grace: bool,
}

impl Evicted {
    fn add(&mut self, pods: u64, refusal: Option<&Refusal>) {
        let Some(Refusal { denial, in_grace }) = refusal else { return };
        *(if *in_grace { &mut self.graced } else { &mut self.refused }) += pods;
        self.denial.get_or_insert_with(|| denial.clone());
    }
}

impl<'p> DrainJudge<'p> {
    /// Judges the pods of these namespaces, and skips all others.
    pub fn new(
        policies: &'p PolicySet,
        nodes: Nodes,
        namespaces: impl IntoIterator<Item = String>,
        now: Timestamp,
    ) -> Self {
        let mut faults = Vec::new();
        let plan = |name: String| {
            let plan = policies.covering(Some(&name)).unwrap_or_else(|unknown| {
                let message =
                    "its labels cannot be read; every namespaceSelector is assumed to match it";
                faults.push(Fault::cluster(&name, message));
                unknown.assumed
            });
            (name, plan)
        };
        let namespaces = namespaces.into_iter().map(plan).collect();
        Self {
            policies,
            nodes,
            now,
            namespaces,
            replicas: BTreeMap::new(),
            evicted: BTreeMap::new(),
            seen: BTreeSet::new(),
            faults,
        }
    }

    /// Reads a pod, given as the API server's JSON. On one of the nodes, it is judged by itself until its controller is
    /// read.
    pub fn pod(&mut self, json: &str) {
        if let Err(message) = self.read_pod(json) {
            self.faults.push(Fault::cluster("a pod", format!("cannot be read: {message}")));
        }
    }

    fn read_pod(&mut self, json: &str) -> Result<(), String> {
        let object = created::view(json).map_err(|error| error.to_string())?;
        let status: PodStatus<'_> =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        let subject = Subject::of(Kind::Pod, &object).map_err(|error| error.to_string())?;
        let own = subject.namespace.and_then(|name| self.namespaces.get_key_value(name));
        let (Some((namespace, plan)), Some(metadata)) = (own, subject.metadata) else {
            return Ok(());
        };
        // A static pod is not evicted, and its mirror pod is made again whatever admission answers.
        let is_static = subject.mirrored_node().is_some();
        if is_static || status.has_ended() || status.is_terminating() {
            return Ok(());
        }
        let owner = owner::workload(&subject);
        let workload = WorkloadKey {
            namespace: namespace.clone(),
            kind: owner.kind.into_owned(),
            name: owner.name.into_owned(),
        };
        *self.replicas.entry(workload.clone()).or_default() += 1;
        if !self.nodes.contains(status.node()) {
            return Ok(());
        }
        self.seen.insert(status.node().to_owned());
        let controller = metadata.controller.as_ref().and_then(|owner| {
            let kind = CONTROLLERS.into_iter().map(Kind::names).find(|names| {
                names.kind == &*owner.kind && names.api_version() == *owner.api_version
            })?;
            let own = kind.kind == Kind::StatefulSet.names().kind;
            let ordinal = ordinal(&metadata.name).filter(|_| own).unwrap_or_default();
            Some((kind.kind, owner.name.to_string(), ordinal))
        });
        let namespace = namespace.clone();
        let maker = match controller {
            Some((kind, name, ordinal)) => Maker::Controller { kind, namespace, name, ordinal },
            None => Maker::Unknown { namespace, pod: metadata.name.to_string() },
        };
        let refusal = self.refusal(plan, &subject, || created::whole(Kind::Pod, json));
        let new = || Evicted { workload, pods: 0, refused: 0, graced: 0, denial: None };
        let evicted = self.evicted.entry(maker).or_insert_with(new);
        evicted.pods += 1;
        evicted.add(1, refusal.as_ref());
        Ok(())
    }

    /// The kinds of the controllers that would make pods of the nodes again.
    pub fn kinds(&self) -> Vec<Kind> {
        let of_pods: BTreeSet<_> = self
            .evicted
            .keys()
            .filter_map(|maker| match maker {
                Maker::Controller { kind, .. } => Some(*kind),
                Maker::Unknown { .. } => None,
            })
            .collect();
        CONTROLLERS.into_iter().filter(|kind| of_pods.contains(kind.names().kind)).collect()
    }

    /// Reads a controller, given as the API server's JSON: its pods are made again from its template.
    pub fn controller(&mut self, kind: Kind, json: &str) {
        if let Err(message) = self.read_controller(kind, json) {
            let place = format!("a {}", kind.names().kind);
            self.faults.push(Fault::cluster(&place, format!("cannot be read: {message}")));
        }
    }

    fn read_controller(&mut self, kind: Kind, json: &str) -> Result<(), String> {
        let object: Object<'_> = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let Some(metadata) = &object.metadata else { return Ok(()) };
        let (namespace, name) = (metadata.namespace.to_string(), metadata.name.to_string());
        let Some(&plan) = self.namespaces.get(&namespace) else { return Ok(()) };
        let maker = |ordinal| Maker::Controller {
            kind: kind.names().kind,
            namespace: namespace.clone(),
            name: name.clone(),
            ordinal,
        };
        let all = maker(0)..=maker(u32::MAX);
        if self.evicted.range(all.clone()).next().is_none() {
            return Ok(());
        }
        let made = Workload::from_json(json).and_then(|it| it.made_again(kind));
        let made = made.map_err(|error| error.to_string())?;
        let Some(made) = made else { return Ok(()) };
        let pod: Object<'_> = serde_json::from_str(&made).map_err(|error| error.to_string())?;
        let subject = Subject::of(Kind::Pod, &pod).map_err(|error| error.to_string())?;
        let refusal = self.refusal(plan, &subject, || serde_json::from_str(&made).ok());
        let kept = match kind {
            Kind::StatefulSet => kept_below(json).map_err(|error| error.to_string())?,
            _ => 0,
        };
        for (_, evicted) in self.evicted.range_mut(maker(kept)..=maker(u32::MAX)) {
            (evicted.refused, evicted.graced, evicted.denial) = (0, 0, None);
            evicted.add(evicted.pods, refusal.as_ref());
        }
        Ok(())
    }

    /// What would deny a pod that is made now; `None` if nothing would. `whole` returns the object behind the subject's
    /// view.
    fn refusal(
        &self,
        plan: &EvaluationPlan,
        subject: &Subject<'_>,
        whole: impl Fn() -> Option<Value>,
    ) -> Option<Refusal> {
        let document = plan.reads_documents().then(|| {
            let namespace = self.policies.namespace_object(subject.namespace);
            let pod = Tree::from_value(whole().unwrap_or_default());
            let pod = pod.unwrap_or_else(|_| Tree::empty());
            Document::of(Kind::Pod, pod, namespace)
        });
        let subject = Subject { document: document.as_ref(), ..*subject };
        let findings = judge_as_created(plan, &subject, whole, self.now).violations;
        let before = Before::made_again(&subject);
        let Decision { denied, graced, .. } = decide(findings, &before, self.now);
        let refusal = |findings: &[Finding<'_>], in_grace| {
            Denial::of(findings).map(|denial| Refusal { denial, in_grace })
        };
        refusal(&denied, false).or_else(|| refusal(&graced, true))
    }

    pub fn finish(self) -> DrainCheck {
        let mut summary = DrainSummary::default();
        let mut workloads: BTreeMap<WorkloadKey, (u64, u64, Denial)> = BTreeMap::new();
        for Evicted { workload, pods, refused, graced, denial } in self.evicted.into_values() {
            summary.pods += pods;
            summary.refused += refused;
            summary.graced += graced;
            if let Some(denial) = denial {
                let counts = workloads.entry(workload).or_insert((0, 0, denial));
                (counts.0, counts.1) = (counts.0 + refused, counts.1 + graced);
            }
        }
        let drained = |(key, counts): (WorkloadKey, (u64, u64, Denial))| {
            let (refused, graced, denial) = counts;
            DrainedWorkload {
                replicas: self.replicas.get(&key).copied().unwrap_or(refused + graced),
                namespace: key.namespace,
                kind: key.kind,
                name: key.name,
                refused,
                graced,
                policies: denial.policies,
                message: denial.message,
            }
        };
        let mut workloads: Vec<_> = workloads.into_iter().map(drained).collect();
        // A stable sort: equal ones stay sorted by namespace, kind and name.
        workloads.sort_by_key(|it| (!it.is_lost(), Reverse(it.refused), Reverse(it.graced)));
        summary.lost = workloads.iter().filter(|it| it.is_lost()).count() as u64;
        let nodes = match self.nodes {
            Nodes::All => self.seen,
            Nodes::Named(names) => names,
        };
        DrainCheck {
            nodes: nodes.into_iter().collect(),
            summary,
            workloads,
            faults: self.faults,
            notes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
