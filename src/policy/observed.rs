//! What the audit observed of each policy. Status, reports, Events, metrics and the terminal are rendered from it.

use std::sync::Arc;

use jiff::Timestamp;

use super::compile::Policy;
use super::exemption::ExemptionCounts;
use super::key::PolicyKey;
use super::score::Score;
use crate::api::{RemediationStatus, Severity};

/// A workload, the unit in which violations are counted: the top owner of its pods.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WorkloadKey {
    pub namespace: String,
    pub kind: String,
    pub name: String,
}

/// What is wrong with a workload's pods.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Fault {
    pub rule: &'static str,
    /// The rule, or `RULE/CHECK`.
    pub id: String,
    pub container: Option<String>,
    /// The field at fault, from the pod's root; empty where it is the whole pod.
    pub path: String,
    /// `PATH PROBLEM; REMEDY`.
    pub message: String,
    /// Whether the check could not be decided, which counts as a violation.
    pub undecided: bool,
}

/// A violation that is open: one for each workload, rule or check, container and path, in however many pods.
#[derive(Clone, Debug)]
pub struct Violation {
    pub workload: Arc<WorkloadKey>,
    pub severity: Severity,
    pub fault: Arc<Fault>,
    /// When it was first seen.
    pub began: Timestamp,
    /// How many pods have it.
    pub pods: u32,
}

/// What a violation is recognised by after a restart, so that it has not begun anew. Its path is left out, since a
/// container that is added before another moves the other's.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BeganKey {
    /// The policy's label.
    pub policy: String,
    pub workload: WorkloadKey,
    /// The fault's id.
    pub rule: String,
    pub container: Option<String>,
}

/// A policy, over all namespaces that it judges.
#[derive(Clone)]
pub struct ObservedPolicy {
    pub policy: Arc<Policy>,
    pub score: Score,
    /// Those that have a pod that counts.
    pub workloads: u64,
    /// The open violations by severity, worst first; exact.
    pub open: [u64; 4],
    /// At most ten, worst first.
    pub worst: Vec<Violation>,
    pub exemptions: ExemptionCounts,
}

impl ObservedPolicy {
    /// How many violations are open.
    pub fn violations(&self) -> u64 {
        self.open.iter().sum()
    }

    /// The state in one sentence: `Stable: score 72, 3 open violations (2 high, 1 low) in 12 workloads`.
    pub fn sentence(&self) -> String {
        let class = self.score.classification();
        let points = self.score.points;
        let plural = |count: u64, one: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        let workloads = plural(self.workloads, "workload");
        if self.violations() == 0 {
            return format!("{class:?}: score {points}, no open violation in {workloads}");
        }
        let by_severity: Vec<_> = Severity::ALL
            .into_iter()
            .zip(self.open)
            .filter(|(_, open)| *open > 0)
            .map(|(severity, open)| format!("{open} {severity}"))
            .collect();
        let violations = plural(self.violations(), "open violation");
        let by_severity = by_severity.join(", ");
        format!("{class:?}: score {points}, {violations} ({by_severity}) in {workloads}")
    }
}

/// What a report counts, in the words of a PolicyReport; exact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Pairs of a workload and a rule that it keeps.
    pub pass: u64,
    /// Open violations.
    pub fail: u64,
    /// Open violations of checks that could not be decided; they are not in `fail`.
    pub error: u64,
    /// Violations that are exempt.
    pub skip: u64,
}

/// A policy in one namespace.
#[derive(Clone)]
pub struct ObservedNamespace {
    pub policy: Arc<Policy>,
    pub namespace: String,
    pub summary: Summary,
    /// At most twenty, worst first; none where a cluster policy has twenty namespaces with worse ones.
    pub worst: Vec<Violation>,
    /// Every workload with an open violation, where the policy wants them repaired.
    pub violating: Vec<Arc<WorkloadKey>>,
}

/// The remediation part of a policy's status.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ObservedRemediation {
    /// Not observed yet: the status in the cluster stays as it is.
    #[default]
    Unknown,
    /// The policy wants nothing repaired.
    Off,
    Status(RemediationStatus),
}

/// An Event to publish.
#[derive(Clone, Debug)]
pub struct Notice {
    pub about: NoticeAbout,
    /// In CamelCase, as `kubectl describe` shows it.
    pub reason: &'static str,
    pub note: String,
    pub warning: bool,
}

/// What a notice is on.
#[derive(Clone, Debug)]
pub enum NoticeAbout {
    Policy { key: PolicyKey, uid: String },
    Workload(WorkloadKey),
}

/// A violation that began or went.
#[derive(Clone)]
pub struct Change {
    pub policy: Arc<Policy>,
    pub violation: Violation,
    /// Whether it went; else it began.
    pub gone: bool,
}

/// A policy's state, or that it is gone.
pub struct PolicyUpdate {
    pub policy: PolicyKey,
    pub observed: Option<ObservedPolicy>,
}

/// A policy's state in a namespace, or that it judges nothing there any more.
pub struct NamespaceUpdate {
    pub policy: PolicyKey,
    pub namespace: String,
    pub observed: Option<ObservedNamespace>,
}
