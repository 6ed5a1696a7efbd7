//! What `podgate policy preview` tells, in the shape that its JSON has. Other programs rely on it.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use crate::api::{Classification, Severity};
use crate::findings::Fault;

/// The whole answer: `-o json` prints it with `apiVersion: podgate/v1` before it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// What is previewed: as if it were enforced, whatever mode it is written in.
    pub policies: Vec<PreviewedPolicy>,
    pub summary: Summary,
    /// Those that would be denied, those with a pod that would be refused, and those that would be denied no longer;
    /// worst first.
    pub workloads: Vec<Workload>,
    /// In the order of the policies and of their `spec.exemptions`.
    pub exemptions: Vec<ExemptionUse>,
    /// By name; only those of which pods could be read.
    pub namespaces: Vec<NamespaceChange>,
    /// What could not be read or decided. It is told on stderr, and is no part of the JSON.
    #[serde(skip)]
    pub faults: Vec<Fault>,
    /// What else a person should know; told as faults are.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// A policy that is previewed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedPolicy {
    /// `NAMESPACE/NAME`, or the name alone where it judges all namespaces.
    pub policy: String,
    /// Whether the cluster has a version of it, which is what "before" means everywhere.
    pub replaces: bool,
}

/// The counts.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Those that the previewed policies judge, what a workload makes itself not counted again.
    pub workloads: u64,
    /// Of them, those that would be denied if they were applied today.
    pub denied: u64,
    /// The same by the versions in force, in their own modes; null where there is none.
    pub denied_before: Option<u64>,
    /// The pods that run.
    pub pods: u64,
    /// Of them, those whose replacements would be refused.
    pub refused_pods: u64,
    pub refused_pods_before: Option<u64>,
    /// What would deny workloads.
    pub violations: u64,
    /// Of them, those that the versions in force do not find.
    pub new_violations: u64,
    /// What the versions in force find in workloads and the previewed ones do not; null where there is none in force.
    pub gone_violations: Option<u64>,
    /// Of the cluster; null where no pods could be read.
    pub score: Option<Change>,
}

/// A score as it is and as it would be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub before: Standing,
    pub after: Standing,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    pub score: u8,
    pub classification: Classification,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceChange {
    pub namespace: String,
    #[serde(flatten)]
    pub change: Change,
}

/// What would become of a workload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    pub namespace: String,
    pub kind: String,
    pub name: String,
    /// If it were applied today; null where only its pods were seen, such as those of a foreign controller.
    pub verdict: Option<Verdict>,
    /// The same by the versions in force; null where there is none.
    pub before: Option<Verdict>,
    /// What denies it, worst first. Paths are the workload's own.
    pub violations: Vec<Violation>,
    /// Null where none runs.
    pub pods: Option<Pods>,
}

impl Workload {
    /// Everything that would deny: it, and then its pods.
    pub fn all(&self) -> impl Iterator<Item = &Violation> {
        self.violations.iter().chain(self.pods.iter().flat_map(|pods| &pods.violations))
    }

    /// The same, without what its pods only share with it.
    pub fn distinct(&self) -> impl Iterator<Item = &Violation> {
        fn cause(it: &Violation) -> (&str, &str, Option<&str>) {
            (&it.policy, &it.rule, it.container.as_deref())
        }
        let own: BTreeSet<_> = self.violations.iter().map(cause).collect();
        self.all().filter(move |it| it.pods.is_none() || !own.contains(&cause(it)))
    }

    pub fn is_denied(&self) -> bool {
        self.verdict == Some(Verdict::Denied)
    }

    /// How many of its pods would be refused.
    pub fn refused(&self) -> u64 {
        self.pods.as_ref().map_or(0, |pods| pods.refused)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Denied,
    Admitted,
}

/// The pods of a workload that run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    pub running: u64,
    /// Of them, those whose replacements would be refused.
    pub refused: u64,
    /// The same by the versions in force; null where there is none.
    pub refused_before: Option<u64>,
    /// What refuses them, worst first. Paths are the pods'.
    pub violations: Vec<Violation>,
}

/// What denies.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    pub policy: String,
    /// The rule's id, with its check where it has several.
    pub rule: String,
    pub severity: Severity,
    pub container: Option<String>,
    /// The field at fault, from the object's root.
    pub path: String,
    /// The value found.
    pub value: Option<String>,
    /// What is wrong and what would pass, in a sentence.
    pub message: String,
    /// Whether the version in force does not find it.
    pub new: bool,
    /// How many of the refused pods have it; null where it is the workload's own.
    pub pods: Option<u64>,
}

/// An exemption of a previewed policy, and whether it is needed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExemptionUse {
    pub policy: String,
    /// Its place in `spec.exemptions`, from 0.
    pub index: usize,
    pub state: ExemptionState,
    pub rules: Vec<String>,
    pub reason: String,
    pub owner: String,
    pub expires_at: Option<Time>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExemptionState {
    /// It lets something pass that is there today.
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
