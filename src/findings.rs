//! The findings of `scan` and `analyze`. The field names are those of their JSON, which other programs rely on.

pub mod baseline;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::{Effect, Severity};

/// A whole report. `-o json` prints it with `apiVersion: podgate/v1` as its first field.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub results: Vec<Violation>,
    pub summary: Summary,
    /// The violations that a baseline knows, which are not among the results; null without a baseline.
    pub known: Option<u64>,
    pub unjudged: Unjudged,
    /// Sentences on what `--live` could not read of the cluster, and judged as if it were not there: what passes passes in
    /// the cluster too. Printed on stderr too.
    pub unread: Vec<String>,
    /// What could not be read or decided. Printed on stderr too.
    pub faults: Vec<Fault>,
}

/// One violation. Fields that do not apply are null.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// The path as given on the command line; `-` is stdin. Null for an object of a cluster.
    pub file: Option<String>,
    /// The line of the field at fault, or of its nearest existing parent; from 1.
    pub line: Option<u64>,
    /// The column there, from 1.
    pub column: Option<u64>,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    /// `NAMESPACE/NAME`, or only the name of a policy that judges all namespaces.
    pub policy: String,
    /// The rule's id, followed by the check if the rule has several: `podSecurity/hostPathVolumes`.
    pub rule: String,
    pub severity: Severity,
    /// What the violation does when the object is created. Null for an object of a cluster, which is there.
    pub decision: Option<Effect>,
    pub container: Option<String>,
    /// The path of the field at fault, from the object's root.
    pub path: String,
    /// The value of that field.
    pub value: Option<String>,
    /// A sentence that says what is wrong and what would pass.
    pub message: String,
    /// The JSON Patch (RFC 6902) that `podgate fix` would apply.
    pub fix: Option<serde_json::Value>,
}

/// The counts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Summary {
    /// Objects that were read, `List` items included.
    pub documents: u64,
    /// Objects that run pods, and that a policy judged.
    pub workloads: u64,
    /// Objects of kinds that no policy judges.
    pub skipped: u64,
    pub violations: u64,
    /// 0 to 100; null if no workload was judged.
    pub score: Option<u8>,
}

/// What the input holds besides what was judged. None of it counts as passing.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unjudged {
    /// The objects of kinds that run no pods, by kind. Their sum is the summary's `skipped`.
    pub kinds: BTreeMap<String, u64>,
    /// The objects that run pods in protected namespaces, by namespace.
    pub protected: BTreeMap<String, u64>,
    /// The objects that run pods in namespaces that no policy covers.
    pub uncovered: u64,
    /// What was passed over in folders, as counts of files, or of documents in files with several.
    pub passed_over: BTreeMap<PassedOver, u64>,
    /// Charts that were not rendered, for want of helm or by `--render never`.
    pub unrendered_charts: u64,
    /// Kustomizations that were not rendered. Their resources are judged without patches.
    pub unrendered_kustomizations: u64,
}

impl Unjudged {
    /// Adds the counts of another part of the input.
    pub fn add(&mut self, other: Self) {
        fn sum<K: Ord>(into: &mut BTreeMap<K, u64>, counts: BTreeMap<K, u64>) {
            for (what, count) in counts {
                *into.entry(what).or_default() += count;
            }
        }
        let Self {
            kinds,
            protected,
            uncovered,
            passed_over,
            unrendered_charts,
            unrendered_kustomizations,
        } = other;
        self.unrendered_charts += unrendered_charts;
        self.unrendered_kustomizations += unrendered_kustomizations;
        sum(&mut self.kinds, kinds);
        sum(&mut self.protected, protected);
        sum(&mut self.passed_over, passed_over);
        self.uncovered += uncovered;
    }
}

/// What was passed over in a folder.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PassedOver {
    /// It is no Kubernetes object, and does not look like one: a file of another program.
    Other,
    /// A template, which is no YAML before it is rendered.
    Template,
    /// A part of a chart: rendered with it, or its description and values.
    Chart,
    /// A part of a kustomization: a patch, a setting, or what was rendered with it.
    Kustomization,
    /// A file or folder that `.podgateignore` or `--exclude` names.
    Excluded,
    /// A folder of dependencies: `node_modules`, `vendor`.
    Dependencies,
}

/// Something that could not be read or decided.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// `FILE:LINE:COLUMN`, `FILE`, or a namespace or kind of a cluster.
    pub place: String,
    pub message: String,
    #[serde(skip)]
    pub kind: FaultKind,
}

impl Fault {
    /// A fault of the input.
    pub(crate) fn input(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into(), kind: FaultKind::Input }
    }

    /// A fault of a cluster.
    pub(crate) fn cluster(place: &str, message: impl Into<String>) -> Self {
        Self { place: place.to_owned(), message: message.into(), kind: FaultKind::Cluster }
    }
}

/// The cause of a fault, which decides the exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// Bad input: exit code 2.
    Input,
    /// The cluster or I/O: exit code 3.
    Cluster,
    /// The cluster does not serve podgate's resources, because podgate is not installed: exit code 3.
    NotServed,
}
