//! What `podgate analyze` tells, in the shape that its JSON has. Other programs rely on it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::api::{Classification, Severity};
use crate::findings::{Fault, Summary, Violation};

/// The whole answer of `podgate analyze`: `-o json` prints it with `apiVersion: podgate/v1` before it.
#[derive(Debug, Serialize)]
pub struct Analysis {
    /// By name.
    pub namespaces: Vec<NamespaceScore>,
    /// One for each thing that is wrong with a workload, worst first. Its kind and name are the workload's; its path
    /// is a field of the workload's pods.
    pub results: Vec<Violation>,
    pub summary: ClusterScore,
    /// What could not be read or decided. It is told on stderr, and is no part of the JSON.
    #[serde(skip)]
    pub faults: Vec<Fault>,
    /// What else a person should know; told as faults are.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// What compares this cluster with others; `None` where its own policies were not asked for.
    #[serde(skip)]
    pub own: Option<OwnPolicies>,
}

/// A cluster's own policies.
#[derive(Debug, Default)]
pub struct OwnPolicies {
    /// The content hash of each, by its kind and name.
    pub hashes: BTreeMap<String, String>,
    /// Whether there may be more, which could not be read.
    pub partly: bool,
}

/// How one namespace does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceScore {
    pub namespace: String,
    pub score: u8,
    pub classification: Classification,
    /// Those with a pod that counts.
    pub workloads: u64,
    /// Those that count: neither succeeded nor failed.
    pub pods: u64,
    pub violations: u64,
    /// The rules that are violated, those that cost most first.
    pub worst_rules: Vec<RuleScore>,
    pub lost_points: BTreeMap<&'static str, u8>,
    /// The policies in force here.
    pub policies: Vec<String>,
}

/// What one rule costs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleScore {
    pub rule: &'static str,
    /// The worst of its violations.
    pub severity: Severity,
    pub violations: u64,
    pub lost_points: u8,
}

/// All namespaces together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterScore {
    /// Its documents are the pods that were read, its skipped ones those that do not count.
    #[serde(flatten)]
    pub counts: Summary,
    pub classification: Classification,
    pub lost_points: BTreeMap<&'static str, u8>,
}
