//! The result of `podgate analyze`. The field names are those of its JSON, which other programs rely on.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::{Classification, Severity};
use crate::findings::{Fault, Summary, Violation};

/// A whole analysis. `-o json` prints it with `apiVersion: podgate/v1` as its first field.
#[derive(Debug, Serialize)]
pub struct Analysis {
    /// Sorted by name.
    pub namespaces: Vec<NamespaceScore>,
    /// The violations, worst first. Pods of one workload share a violation: its kind and name are the workload's, and
    /// its path is a field of the pods.
    pub results: Vec<Violation>,
    pub summary: ClusterScore,
    /// What could not be read or decided. Printed on stderr, and not part of the JSON.
    #[serde(skip)]
    pub faults: Vec<Fault>,
    /// Notes, printed on stderr like the faults.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// The cluster's own policies, for comparing clusters; `None` if `--policy` or `--bundle` replaced them.
    #[serde(skip)]
    pub own: Option<OwnPolicies>,
}

/// A cluster's own policies.
#[derive(Debug, Default)]
pub struct OwnPolicies {
    /// The content hash of each, by its kind and name.
    pub hashes: BTreeMap<String, String>,
    /// Whether some policies could not be read.
    pub incomplete: bool,
}

/// The score of one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceScore {
    pub namespace: String,
    /// Null if the namespace has no workload, and so is the class.
    pub score: Option<u8>,
    pub classification: Option<Classification>,
    /// Workloads with at least one pod that counts.
    pub workloads: u64,
    /// Pods that count: those that have neither succeeded nor failed.
    pub pods: u64,
    pub violations: u64,
    /// The violated rules, sorted by lost points, most first.
    pub worst_rules: Vec<RuleScore>,
    pub lost_points: BTreeMap<&'static str, u8>,
    /// The labels of the policies in force in the namespace.
    pub policies: Vec<String>,
}

/// The points that a rule's violations cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleScore {
    pub rule: &'static str,
    /// The highest severity of its violations.
    pub severity: Severity,
    pub violations: u64,
    pub lost_points: u8,
}

/// The score of all namespaces together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterScore {
    /// `documents` counts the pods that were read, `skipped` those that do not count.
    #[serde(flatten)]
    pub counts: Summary,
    /// Null if there is no score.
    pub classification: Option<Classification>,
    pub lost_points: BTreeMap<&'static str, u8>,
}
