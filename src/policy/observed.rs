//! The audit's observations of each policy. Status, reports, Events, metrics and the terminal are rendered from them.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::compile::Policy;
use super::enforced::Enforced;
use super::event::EventReason;
use super::exemption::ObservedExemption;
use super::key::PolicyKey;
use super::score::Score;
use super::text::{brief, count};
use crate::api::{ExemptionPhase, RemediationStatus, Severity};

/// The faults that a text about a refused workload tells, and the longest message of each, in bytes.
const TOLD_FAULTS: usize = 3;
const MAX_MESSAGE: usize = 300;

/// A workload: the top owner of its pods, and the unit in which violations are counted.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WorkloadKey {
    pub namespace: String,
    pub kind: String,
    pub name: String,
}

impl WorkloadKey {
    /// `KIND/NAME` for a policy of this namespace, `KIND/NAMESPACE/NAME` for a cluster policy.
    pub fn label_in(&self, namespace: Option<&str>) -> String {
        match namespace {
            Some(_) => format!("{}/{}", self.kind, self.name),
            None => format!("{}/{}/{}", self.kind, self.namespace, self.name),
        }
    }
}

/// A breach of a workload's pods, the same in all of them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Fault {
    pub rule: &'static str,
    /// `RULE` or `RULE/CHECK`.
    pub id: String,
    pub container: Option<String>,
    /// The field at fault, from the pod's root; empty if it is the whole pod.
    pub path: String,
    /// `PATH PROBLEM; REMEDY`.
    pub message: String,
    /// Whether the check could not be decided. That counts as a violation.
    pub undecided: bool,
}

/// An open violation: one for each workload, rule or check, container and path, whatever the number of pods.
#[derive(Clone, Debug)]
pub struct Violation {
    pub workload: Arc<WorkloadKey>,
    pub severity: Severity,
    pub fault: Arc<Fault>,
    /// When the audit first observed it.
    pub began: Timestamp,
    /// How many pods have it.
    pub pods: u32,
}

/// The identity of a violation across restarts of podgate, so that its start time is kept. The path is not part of it,
/// because inserting a container changes the paths of the others.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BeganKey {
    /// The policy's label.
    pub policy: String,
    pub workload: WorkloadKey,
    /// The fault's id.
    pub rule: String,
    pub container: Option<String>,
}

/// A policy's state over all namespaces that it judges.
#[derive(Clone)]
pub struct ObservedPolicy {
    pub policy: Arc<Policy>,
    /// `None` if there is no workload.
    pub score: Option<Score>,
    /// The number of workloads with at least one counted pod.
    pub workloads: u64,
    /// The number of open violations by severity, worst first.
    pub open: [u64; 4],
    /// At most ten open violations, worst first.
    pub worst: Vec<Violation>,
    /// In the order of `spec.exemptions`.
    pub exemptions: Vec<ObservedExemption>,
    pub refused: Refused,
    /// The pods that the policy would refuse if they were made again now.
    pub at_risk: Affected,
    /// What was admitted while nobody judged.
    pub slipped: Affected,
    /// Since when its rules deny.
    pub enforced: Enforced,
    /// Why it covers no namespace, as a sentence; `None` if it covers one.
    pub covers_nothing: Option<String>,
}

/// The workloads that a policy keeps from making pods.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// The number of workloads.
    pub workloads: u64,
    /// At most ten of them, those that lack the most pods first.
    pub worst: Vec<RefusedWorkload>,
}

/// Pods of workloads that break rules of a policy that enforces.
#[derive(Clone, Debug, Default)]
pub struct Affected {
    /// The number of pods. A CronJob counts one between its runs, and so does a slipped workload without pods.
    pub pods: u64,
    pub workloads: u64,
    /// At most ten of the workloads, those with the most pods first.
    pub worst: Vec<ViolatingPods>,
}

/// The pods of a workload that break rules of a policy that enforces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ViolatingPods {
    pub workload: Arc<WorkloadKey>,
    pub pods: u32,
    /// The policy's faults, worst first.
    pub faults: Vec<Arc<Fault>>,
}

impl ViolatingPods {
    /// The rules or checks that the pods break, worst first, each once.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        rules(&self.faults)
    }

    /// What is wrong with them, on one line: the messages of the worst faults.
    pub fn why(&self) -> String {
        why(&self.faults)
    }
}

/// A workload that wants more pods than it has, and whose new pods admission would refuse.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefusedWorkload {
    pub workload: Arc<WorkloadKey>,
    /// The number of pods that it wants. A CronJob wants one: that of its next run.
    pub wanted: u32,
    /// The number of pods that it has.
    pub running: u32,
    /// The policy's faults that its new pods would be denied for, worst first.
    pub faults: Vec<Arc<Fault>>,
}

impl RefusedWorkload {
    /// `0 of 4 pods`.
    pub fn pods(&self) -> String {
        format!("{} of {}", self.running, count(self.wanted.into(), "pod"))
    }

    /// The rules or checks that its new pods break, worst first, each once.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        rules(&self.faults)
    }

    /// Why its new pods are refused, on one line: the messages of the worst faults.
    pub fn why(&self) -> String {
        why(&self.faults)
    }
}

fn rules(faults: &[Arc<Fault>]) -> impl Iterator<Item = &str> {
    let mut seen = BTreeSet::new();
    faults.iter().map(|it| it.id.as_str()).filter(move |id| seen.insert(*id))
}

fn why(faults: &[Arc<Fault>]) -> String {
    let told = faults.iter().take(TOLD_FAULTS);
    let told: Vec<_> = told.map(|it| brief(it.message.clone(), MAX_MESSAGE)).collect();
    let more = match faults.len() - told.len() {
        0 => String::new(),
        more => format!(" · and {more} more"),
    };
    told.join(" · ") + &more
}

impl ObservedPolicy {
    /// The number of open violations.
    pub fn violations(&self) -> u64 {
        self.open.iter().sum()
    }

    /// The index in `spec.exemptions` and the end, in seconds since the epoch, of each exemption that is in use and
    /// expires.
    pub fn exemption_ends(&self) -> impl Iterator<Item = (usize, i64)> {
        let used = self.exemptions.iter().enumerate();
        let used = used.filter(|(_, it)| it.phase == ExemptionPhase::Active);
        used.filter_map(|(index, it)| Some((index, it.expires_at?.as_second())))
    }

    /// The state in one sentence: `Stable: score 72, 3 open violations (2 high, 1 low) in 12 workloads`, or `No score:
    /// there is no workload to judge`. Refused workloads come first: `refuses new pods of 2 workloads; Stable: ...`.
    pub fn sentence(&self) -> String {
        if let Some(why) = &self.covers_nothing {
            return format!("covers nothing: {why}");
        }
        let audited = self.audited();
        match self.refused.workloads {
            0 => audited,
            refused => format!("refuses new pods of {}; {audited}", count(refused, "workload")),
        }
    }

    fn audited(&self) -> String {
        let Some(score) = &self.score else {
            return "No score: there is no workload to judge".to_owned();
        };
        let (class, points) = (score.classification().as_str(), score.points);
        let workloads = count(self.workloads, "workload");
        if self.violations() == 0 {
            return format!("{class}: score {points}, no open violation in {workloads}");
        }
        let by_severity: Vec<_> = Severity::ALL
            .into_iter()
            .zip(self.open)
            .filter(|(_, open)| *open > 0)
            .map(|(severity, open)| format!("{open} {severity}"))
            .collect();
        let violations = count(self.violations(), "open violation");
        let by_severity = by_severity.join(", ");
        format!("{class}: score {points}, {violations} ({by_severity}) in {workloads}")
    }
}

/// The counts of a PolicyReport's summary.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Pairs of a workload and a rule that it passes.
    pub pass: u64,
    /// Open violations.
    pub fail: u64,
    /// Open violations of checks that could not be decided. `fail` does not include them.
    pub error: u64,
    /// Exempt violations.
    pub skip: u64,
}

/// A policy's state in one namespace.
#[derive(Clone)]
pub struct ObservedNamespace {
    pub policy: Arc<Policy>,
    pub namespace: String,
    pub summary: Summary,
    /// At most twenty open violations, worst first. Empty if a cluster policy has twenty namespaces with worse ones.
    pub worst: Vec<Violation>,
    /// Every workload with an open violation, if the policy has remediation; else empty.
    pub violating: Vec<Arc<WorkloadKey>>,
}

/// The remediation part of a policy's status.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ObservedRemediation {
    /// Not observed yet: the status in the cluster does not change.
    #[default]
    Unknown,
    /// The policy has no remediation.
    Off,
    Status(RemediationStatus),
}

/// An Event to publish.
#[derive(Clone, Debug)]
pub struct Notice {
    pub about: NoticeAbout,
    pub reason: EventReason,
    pub note: String,
}

/// The object of an Event.
#[derive(Clone, Debug)]
pub enum NoticeAbout {
    Policy { key: PolicyKey, uid: String },
    Workload(WorkloadKey),
}

/// A change of a policy's state that has an Event and a line in `podgate watch`.
#[derive(Clone)]
pub struct Change {
    pub policy: Arc<Policy>,
    pub what: Changed,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum Changed {
    /// A violation began.
    Opened(Violation),
    /// A violation ended.
    Closed(Violation),
    /// Admission would refuse the new pods of a workload that lacks some.
    Refused(RefusedWorkload),
    /// A workload or pods of it were admitted while nobody judged.
    Slipped(ViolatingPods),
}

/// A policy's new state; `None` if the policy was deleted.
pub struct PolicyUpdate {
    pub policy: PolicyKey,
    pub observed: Option<ObservedPolicy>,
}

/// A policy's new state in a namespace; `None` if it judges nothing there any more.
pub struct NamespaceUpdate {
    pub policy: PolicyKey,
    pub namespace: String,
    pub observed: Option<ObservedNamespace>,
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// A Deployment in `shop` with so many pods of so many, whose new pods break these rules.
    pub fn refused(
        name: &str,
        (running, wanted): (u32, u32),
        rules: &[&'static str],
    ) -> RefusedWorkload {
        let [namespace, kind, name] = ["shop", "Deployment", name].map(str::to_owned);
        let fault = |rule: &&'static str| Fault {
            rule,
            id: (*rule).to_owned(),
            container: Some("web".to_owned()),
            path: "spec.containers[0]".to_owned(),
            message: format!("spec.containers[0] breaks {rule}"),
            undecided: false,
        };
        RefusedWorkload {
            workload: Arc::new(WorkloadKey { namespace, kind, name }),
            wanted,
            running,
            faults: rules.iter().map(fault).map(Arc::new).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::refused;

    #[test]
    fn a_refused_workload_tells_its_worst_three_faults_and_each_rule_once() {
        let rules = ["podSecurity", "podSecurity", "forbidLatestTag", "requiredLabels"];
        let four = refused("cart", (0, 1), &rules);
        assert_eq!(four.pods(), "0 of 1 pod");
        assert_eq!(
            four.rules().collect::<Vec<_>>(),
            ["podSecurity", "forbidLatestTag", "requiredLabels"]
        );
        let told = rules[..3].iter().map(|rule| format!("spec.containers[0] breaks {rule}"));
        assert_eq!(four.why(), told.collect::<Vec<_>>().join(" · ") + " · and 1 more");
        assert_eq!(refused("cart", (3, 4), &["a"]).why(), "spec.containers[0] breaks a");
    }
}
