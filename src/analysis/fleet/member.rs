//! One cluster of a fleet: its state and the counts of its violations.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::cluster::AnalysisError;
use super::super::result::{Analysis, RuleCount};
use super::state::ClusterState;
use crate::api::{Classification, Severity};
use crate::findings::FaultKind;

/// How many faults of a cluster its message names.
const SHOWN_FAULTS: usize = 5;

/// A cluster with its findings, or with the reason why there are none.
#[derive(Debug, Serialize)]
pub struct Member {
    pub context: String,
    /// The API server's address in the kubeconfig.
    pub server: Option<String>,
    pub state: ClusterState,
    /// Why the state is not `Reachable`, or a note.
    pub message: Option<String>,
    /// The Kubernetes version, such as `v1.36.1`.
    pub version: Option<String>,
    /// `None` if the cluster could not be analyzed.
    #[serde(flatten)]
    pub found: Option<ClusterFindings>,
}

/// The findings in a cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFindings {
    /// Null if the cluster has no workload, and so is the class.
    pub score: Option<u8>,
    pub classification: Option<Classification>,
    pub workloads: u64,
    /// Violations; one that several policies find counts once.
    pub violations: u64,
    /// Workloads that want more pods than they have, and whose new pods admission would deny.
    pub refused: u64,
    pub severities: BySeverity,
    pub lost_points: BTreeMap<&'static str, u8>,
    /// Sorted by severity, then by violations, most first.
    pub rules: Vec<RuleCount>,
    /// The content hash of each policy in the cluster, by kind and name; null with `--policy` or `--bundle`.
    pub policies: Option<BTreeMap<String, String>>,
    /// Whether some of the cluster's policies could not be read.
    #[serde(skip)]
    pub(super) policies_incomplete: bool,
}

/// The number of violations of each severity.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct BySeverity {
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub low: u64,
}

impl Member {
    /// The result of a cluster's analysis.
    pub fn new(
        context: String,
        server: Option<String>,
        version: Option<String>,
        analyzed: Result<Analysis, AnalysisError>,
    ) -> Self {
        let analysis = match analyzed {
            Ok(analysis) => analysis,
            Err(error) => {
                let (state, message) = (ClusterState::from(&error), Some(error.to_string()));
                return Self { context, server, state, message, version, found: None };
            }
        };
        let faults = || analysis.faults.iter().filter(|it| it.kind != FaultKind::NotServed);
        let count = faults().count();
        let state = if count == 0 { ClusterState::Reachable } else { ClusterState::Incomplete };
        let mut remarks: Vec<_> = faults()
            .take(SHOWN_FAULTS)
            .map(|fault| format!("{}: {}", fault.place, fault.message))
            .collect();
        if count > remarks.len() {
            remarks.push(format!("and {} more: podgate analyze --context", count - remarks.len()));
        }
        if analysis.faults.len() > count {
            remarks.push("podgate is not installed here, so the default checks apply".to_owned());
        }
        remarks.extend(analysis.notes.iter().cloned());
        let message = (!remarks.is_empty()).then(|| remarks.join("; "));
        Self {
            context,
            server,
            state,
            message,
            version,
            found: Some(ClusterFindings::of(analysis)),
        }
    }
}

impl ClusterFindings {
    fn of(analysis: Analysis) -> Self {
        let mut severities = BySeverity::default();
        let distinct = analysis.distinct();
        for it in &distinct {
            severities.count(it.violation.severity);
        }
        let (violations, rules) = (distinct.len() as u64, RuleCount::of(&distinct));
        let policies_incomplete = analysis.own.as_ref().is_some_and(|own| own.incomplete);
        Self {
            score: analysis.summary.counts.score,
            classification: analysis.summary.classification,
            workloads: analysis.summary.counts.workloads,
            violations,
            refused: analysis.refused.len() as u64,
            severities,
            lost_points: analysis.summary.lost_points,
            rules,
            policies: analysis.own.map(|own| own.hashes),
            policies_incomplete,
        }
    }
}

impl BySeverity {
    const fn count(&mut self, severity: Severity) {
        match severity {
            Severity::Critical => self.critical += 1,
            Severity::High => self.high += 1,
            Severity::Medium => self.medium += 1,
            Severity::Low => self.low += 1,
        }
    }

    /// From critical to low.
    pub fn each(self) -> impl Iterator<Item = (Severity, u64)> {
        [
            (Severity::Critical, self.critical),
            (Severity::High, self.high),
            (Severity::Medium, self.medium),
            (Severity::Low, self.low),
        ]
        .into_iter()
    }
}
