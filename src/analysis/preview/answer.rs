//! The result of `podgate policy preview`. The field names are those of its JSON, which other programs rely on.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use super::super::observed::ObservedReviews;
use crate::api::{Classification, EndsWithin, EnforcementMode, Severity};
use crate::findings::Fault;

/// A whole preview. `-o json` prints it with `apiVersion: podgate/v1` as its first field.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    pub versions: Versions,
    pub policies: Vec<PreviewedPolicy>,
    pub summary: PreviewSummary,
    /// The workloads that would be denied, that have a pod whose replacement would be refused, or that would no longer
    /// be denied; worst first.
    pub workloads: Vec<PreviewWorkload>,
    /// In the order of the policies and of their `spec.exemptions`.
    pub exemptions: Vec<ExemptionUse>,
    /// Sorted by name; only the namespaces whose pods could be read.
    pub namespaces: Vec<NamespaceChange>,
    /// The reviews of the previewed policies that the running replicas have counted; null if they were not asked.
    pub observed: Option<ObservedReviews>,
    /// What could not be read or decided. Printed on stderr, and not part of the JSON.
    #[serde(skip)]
    pub faults: Vec<Fault>,
    /// Notes, printed on stderr like the faults.
    #[serde(skip)]
    pub notes: Vec<String>,
}

impl Preview {
    /// Adds what the replicas have counted for the previewed policies.
    pub fn observe(&mut self, mut observed: ObservedReviews) {
        let labels: BTreeSet<_> = self.policies.iter().map(|it| it.policy.as_str()).collect();
        observed.retain(|label| labels.contains(label));
        self.observed = Some(observed);
    }
}

/// Which versions of policies are previewed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Versions {
    /// Those of files, or a bundle. Each is judged as if it were enforced, whatever its mode.
    Given,
    /// Those in force, each in its mode.
    InForce,
}

/// A policy that is previewed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedPolicy {
    /// `NAMESPACE/NAME`, or only the name of a policy that judges all namespaces.
    pub policy: String,
    /// Whether the policy replaces the cluster's version of it. The `before` fields refer to that version.
    pub replaces: bool,
    /// The mode in which it is judged.
    pub mode: EnforcementMode,
    /// Workloads that it denies or, in another mode than `enforce`, would deny in that mode.
    pub would_deny: u64,
    /// Running pods whose replacements it refuses or would refuse, likewise.
    pub would_refuse_pods: u64,
    /// Until when it admits the pods that Kubernetes' controllers create; null without `spec.graceUntil`.
    pub grace_until: Option<Time>,
}

/// The counts.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewSummary {
    /// Workloads that the previewed policies judge. Objects that a workload controls are not counted again.
    pub workloads: u64,
    /// Workloads that would be denied if they were applied today.
    pub denied: u64,
    /// Workloads that the versions in force deny, in their own modes; null if none is in force.
    pub denied_before: Option<u64>,
    /// Running pods.
    pub pods: u64,
    /// Running pods whose replacements would be refused.
    pub refused_pods: u64,
    /// Running pods whose replacements would be refused, were no policy in its grace. They are not among `refusedPods`.
    pub graced_pods: u64,
    /// Running pods whose replacements the versions in force refuse; null if none is in force.
    pub refused_pods_before: Option<u64>,
    /// Violations that would deny workloads.
    pub violations: u64,
    /// Violations that the versions in force do not find.
    pub new_violations: u64,
    /// Violations that only the versions in force find; null if none is in force.
    pub gone_violations: Option<u64>,
    /// The cluster's score; null if no pods could be read.
    pub score: Option<Change>,
}

/// A score before and after the change.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub before: Standing,
    pub after: Standing,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Null if there is no workload, and so is the class.
    pub score: Option<u8>,
    pub classification: Option<Classification>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceChange {
    pub namespace: String,
    #[serde(flatten)]
    pub change: Change,
}

/// A workload, and whether it would be denied.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewWorkload {
    pub namespace: String,
    pub kind: String,
    pub name: String,
    /// The verdict if it were applied today; null if only its pods were read, such as those of a custom controller.
    pub verdict: Option<Verdict>,
    /// The verdict of the versions in force; null if none is in force.
    pub before: Option<Verdict>,
    /// The violations that deny it, worst first. Paths are fields of the workload.
    pub violations: Vec<PreviewViolation>,
    /// Null if no pod runs.
    pub pods: Option<Pods>,
}

impl PreviewWorkload {
    /// The violations of the workload, followed by those of its pods.
    pub fn all(&self) -> impl Iterator<Item = &PreviewViolation> {
        self.violations.iter().chain(self.pods.iter().flat_map(|pods| &pods.violations))
    }

    /// [`Self::all`] without the pods' violations that the workload itself has too.
    pub fn distinct(&self) -> impl Iterator<Item = &PreviewViolation> {
        fn cause(it: &PreviewViolation) -> (&str, &str, Option<&str>) {
            (&it.policy, &it.rule, it.container.as_deref())
        }
        let own: BTreeSet<_> = self.violations.iter().map(cause).collect();
        self.all().filter(move |it| it.pods.is_none() || !own.contains(&cause(it)))
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Denied,
    Admitted,
}

/// The running pods of a workload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    pub running: u64,
    /// Pods whose replacements would be refused.
    pub refused: u64,
    /// Pods whose replacements only the grace of a policy admits.
    pub graced: u64,
    /// Pods whose replacements the versions in force refuse; null if none is in force.
    pub refused_before: Option<u64>,
    /// The violations that refuse them, now or after the grace, worst first. Paths are fields of the pods.
    pub violations: Vec<PreviewViolation>,
}

/// A violation that would deny a workload or a pod.
#[derive(Clone, Debug, Serialize)]
pub struct PreviewViolation {
    pub policy: String,
    /// The rule's id, followed by the check if the rule has several.
    pub rule: String,
    pub severity: Severity,
    pub container: Option<String>,
    /// The path of the field at fault, from the object's root.
    pub path: String,
    /// The value of that field.
    pub value: Option<String>,
    /// A sentence that says what is wrong and what would pass.
    pub message: String,
    /// Whether the version in force does not find this violation.
    pub new: bool,
    /// How many of the refused pods have it; null for a violation of the workload itself.
    pub pods: Option<u64>,
}

/// An exemption of a previewed policy, and whether it is needed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExemptionUse {
    pub policy: String,
    /// Its index in `spec.exemptions`, from 0.
    pub index: usize,
    pub state: ExemptionState,
    pub rules: Vec<String>,
    pub reason: String,
    pub owner: String,
    pub expires_at: Option<Time>,
    /// How near its end is; null if it ends later than in a week, never, or has ended.
    pub ends_within: Option<EndsWithin>,
}

impl ExemptionUse {
    /// When it expires, as a cell of a table; empty if it never does.
    pub fn expires(&self) -> String {
        let end = self.expires_at.as_ref().map(|end| end.0.to_string()).unwrap_or_default();
        self.ends_within.map_or(end.clone(), |within| format!("{end} ({within})"))
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExemptionState {
    /// It exempts at least one present violation.
    Used,
    Unused,
    Expired,
}

impl ExemptionState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Unused => "unused",
            Self::Expired => "expired",
        }
    }
}
