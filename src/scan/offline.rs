//! Scans files, for `podgate scan`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::manifest::{JudgedText, ManifestJudge, ScoredWorkload};
use super::passed_over::{self, Unreadable};
use super::rendered;
use crate::findings::Report;
use crate::inputs::{Input, Origin};
use crate::manifests::documents::{self, Manifest};
use crate::manifests::node::{Content, Node};
use crate::policy::compile::Policy;
use crate::policy::policy_set::{NamespaceMetadata, Namespaces, PolicySet};
use crate::policy::protected::Protected;
use crate::policy::scope::NAME_LABEL;
use crate::policy::score::{Costs, Loss, Tally, Workload};
use crate::policy::workload::Kind;

/// Judges every file. `progress` is called with the size in bytes of each finished file. Each core reads one file at a
/// time; the report is in the order of the files.
pub fn scan(
    inputs: &[Input],
    judge: &ManifestJudge<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Report {
    let judged = in_parallel(inputs, |input| {
        let judged = judge_input(judge, input);
        progress(input.size());
        judged
    });
    report(judged, judge.policies)
}

/// The policies with the labels of the `Namespace` objects in the input, if any policy reads them.
pub fn set(inputs: &[Input], policies: Vec<Arc<Policy>>, protected: Protected) -> PolicySet {
    let reads = policies.iter().any(|it| it.reads_namespaces());
    let namespaces = if reads { declared(inputs) } else { Namespaces::new() };
    PolicySet::new(policies, Arc::new(namespaces)).protecting(protected)
}

/// The `Namespace` objects of the input. Its errors are reported when it is judged.
pub fn declared(inputs: &[Input]) -> Namespaces {
    let known = in_parallel(inputs, |input| input.read(namespaces_in).unwrap_or_default());
    known.into_iter().flatten().collect()
}

/// The namespaces of the objects that run pods. `default` is that of those which name none.
pub fn namespaces_of_workloads(inputs: &[Input], default: &str) -> BTreeSet<String> {
    let found =
        |input: &Input| input.read(|text| workload_namespaces(text, default)).unwrap_or_default();
    in_parallel(inputs, found).into_iter().flatten().collect()
}

fn workload_namespaces(text: &str, default: &str) -> BTreeSet<String> {
    let objects = documents::read(text).flatten().filter(|object| {
        let Manifest { api_version, kind, .. } = object;
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        matches!(Kind::find(group, version, kind), Ok(Some(_)))
    });
    let namespace = |object: Manifest<'_>| {
        let own = object.node.get("metadata").and_then(|it| it.get("namespace"));
        own.and_then(Node::as_str).filter(|it| !it.is_empty()).unwrap_or(default).to_owned()
    };
    objects.map(namespace).collect()
}

fn judge_input(judge: &ManifestJudge<'_>, input: &Input) -> JudgedText {
    let judged = passed_over::read(input, |text, source| {
        let mut judged = judge.judge(&input.name, text, source);
        if let Origin::Rendered(from) = &input.origin {
            rendered::place(&mut judged, text, from);
        }
        judged
    });
    judged.unwrap_or_else(|unreadable| match unreadable {
        Unreadable::Fault(fault) => JudgedText::faulty(fault),
        Unreadable::PassedOver(what) => JudgedText::passed_over(what),
    })
}

fn namespaces_in(text: &str) -> Namespaces {
    let mut namespaces = Namespaces::new();
    // Saves decoding the files without namespaces, which most are.
    if !text.contains("Namespace") {
        return namespaces;
    }
    for object in documents::read(text).flatten() {
        let metadata = object.node.get("metadata");
        let name = metadata.and_then(|it| it.get("name")).and_then(Node::as_str);
        let kind = (object.api_version.as_str(), object.kind.as_str());
        if let (Some(metadata), Some(name), ("v1", "Namespace")) = (metadata, name, kind) {
            let labels = pairs(metadata.get("labels"));
            let annotations = pairs(metadata.get("annotations"));
            namespaces
                .insert(name.to_owned(), NamespaceMetadata { labels, annotations, labelled: None });
        }
    }
    // The API server gives every namespace its name as a label.
    for (name, metadata) in &mut namespaces {
        metadata.labels.insert(NAME_LABEL.to_owned(), name.clone());
    }
    namespaces
}

fn pairs(node: Option<&Node<'_>>) -> BTreeMap<String, String> {
    let Some(Content::Map(entries)) = node.map(|node| &node.content) else {
        return BTreeMap::new();
    };
    let pair = |key: &str, value: &Node<'_>| Some((key.to_owned(), value.as_str()?.to_owned()));
    entries.iter().filter_map(|entry| pair(&entry.key, &entry.value)).collect()
}

/// Runs `work` on every input, one at a time on each core. The results are in the order of the inputs.
pub fn in_parallel<I: Sync, T: Send>(inputs: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(inputs.len()));
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(input) = inputs.get(index) else { return };
            let result = work(input);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(inputs.len());
    thread::scope(|scope| {
        for _ in 1..cores {
            scope.spawn(worker);
        }
        worker();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn report(judged: Vec<JudgedText>, set: &PolicySet) -> Report {
    let mut report = Report::default();
    let mut namespaces = BTreeMap::<_, BTreeMap<_, Workload>>::new();
    for file in judged {
        report.summary.documents += file.documents;
        report.summary.workloads += file.workloads;
        report.summary.skipped += file.skipped;
        report.unjudged.add(file.unjudged);
        report.results.extend(file.violations);
        report.faults.extend(file.faults);
        for ScoredWorkload { namespace, workload, violations } in file.scored {
            let workloads = namespaces.entry(namespace).or_default();
            workloads.entry(workload).or_default().add_pod(violations);
        }
    }
    let mut loss = Loss::default();
    for (namespace, workloads) in &namespaces {
        let mut tally = Tally::default();
        for workload in workloads.values() {
            tally.add(workload);
        }
        let plan = set.covering(namespace.as_deref()).unwrap_or_else(|unknown| unknown.assumed);
        loss.add(&tally, &Costs::of(plan.policies().iter().map(AsRef::as_ref)));
    }
    report.summary.violations = report.results.len() as u64;
    report.summary.score = loss.score().map(|score| score.points);
    report
}
