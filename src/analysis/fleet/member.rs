//! One cluster of a fleet: its state and the counts of its violations.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::super::cluster::AnalysisError;
use super::super::result::Analysis;
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
    pub violations: u64,
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

/// The number of violations of a rule.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RuleCount {
    /// The rule's id, followed by the check if the rule has several: `podSecurity/hostPathVolumes`.
    pub rule: String,
    /// The highest severity of its violations.
    pub severity: Severity,
    pub violations: u64,
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
        let mut rules = BTreeMap::<&str, RuleCount>::new();
        for violation in &analysis.results {
            severities.count(violation.severity);
            let rule = rules.entry(&violation.rule).or_insert_with(|| RuleCount {
                rule: violation.rule.clone(),
                severity: violation.severity,
                violations: 0,
            });
            rule.severity = rule.severity.min(violation.severity);
            rule.violations += 1;
        }
        let mut rules: Vec<_> = rules.into_values().collect();
        worst_first(&mut rules);
        let policies_incomplete = analysis.own.as_ref().is_some_and(|own| own.incomplete);
        Self {
            score: analysis.summary.counts.score,
            classification: analysis.summary.classification,
            workloads: analysis.summary.counts.workloads,
            violations: analysis.summary.counts.violations,
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

pub(super) fn worst_first(rules: &mut [RuleCount]) {
    rules.sort_by(|a, b| {
        let key = |it: &RuleCount| (it.severity, Reverse(it.violations));
        key(a).cmp(&key(b)).then_with(|| a.rule.cmp(&b.rule))
    });
}
