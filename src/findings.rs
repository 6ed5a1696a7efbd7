//! What `scan` and `analyze` found, in the shape that their JSON has. Other programs rely on it.

use serde::Serialize;

use crate::api::Severity;

/// The whole answer: `-o json` prints it with `apiVersion: podgate/v1` before it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub results: Vec<Violation>,
    pub summary: Summary,
    /// What could not be read or decided. It is told on stderr, and is no part of the JSON.
    #[serde(skip)]
    pub faults: Vec<Fault>,
}

/// One violation. Fields that do not apply are null.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// As it was named on the command line; `-` is stdin. Null for an object of a cluster.
    pub file: Option<String>,
    /// Of the field at fault, or of its nearest parent that is there; from 1.
    pub line: Option<u64>,
    pub column: Option<u64>,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    /// `NAMESPACE/NAME`, or the name alone where it judges all namespaces.
    pub policy: String,
    /// The rule's id, with its check where it has several: `podSecurity/hostPathVolumes`.
    pub rule: String,
    pub severity: Severity,
    pub container: Option<String>,
    /// The field at fault, from the object's root.
    pub path: String,
    /// The value found.
    pub value: Option<String>,
    /// What is wrong and what would pass, in a sentence.
    pub message: String,
    /// What podgate itself can do about it: the JSON Patch (RFC 6902) of `podgate fix`.
    pub fix: Option<serde_json::Value>,
}

/// The counts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Summary {
    /// Objects that were read, those of `List`s each.
    pub documents: u64,
    /// Of them, those that run pods.
    pub workloads: u64,
    /// Those of kinds that podgate has nothing to say of.
    pub skipped: u64,
    pub violations: u64,
    /// 0 to 100.
    pub score: u8,
}

/// What could not be read or decided.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Where: `FILE:LINE:COLUMN`, `FILE`, or a namespace.
    pub place: String,
    pub message: String,
    pub kind: FaultKind,
}

/// Whose fault it is, for the exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// Bad input: exit code 2.
    Input,
    /// The cluster or I/O: exit code 3.
    Cluster,
    /// The same, of a cluster where podgate is not installed.
    NotServed,
}
