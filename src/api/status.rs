use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::affected::AffectedStatus;
use super::enforcement_mode::EnforcementMode;
use super::refused::RefusedStatus;
use super::remediation::RemediationStatus;
use super::severity::Severity;

/// The longest spec that a status stores, in bytes. With a spec of ordinary size an object stays far below etcd's limit
/// of 1.5 MiB.
pub const MAX_LAST_GOOD: usize = 131_072;

/// What the audit found when it last evaluated the policy.
///
/// Every field is optional on the wire: a policy that is not audited yet has an empty status, and a reader must not
/// take an absent number for a zero.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DevOpsPolicyStatus {
    /// 0 (worst) to 100. Absent without a workload, and so are `healthy` and `classification`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub health_score: Option<i32>,

    /// The exact number of open violations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub violations: Option<i64>,

    /// Whether the score is 80 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,

    /// The state in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,

    /// What happens to a pod that breaks a rule: the mode in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_mode: Option<EnforcementMode>,

    /// The grace of a policy with the mode `enforce`, also once `spec.graceUntil` was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<GraceStatus>,

    /// When an evaluation last changed the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_evaluated: Option<Time>,

    /// The `metadata.generation` that was evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// The score's class: Healthy from 80, Stable from 60, Degraded from 40, else Critical.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classification: Option<Classification>,

    /// The worst violations, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub top_violations: Vec<TopViolation>,

    /// The workloads that want more pods than they have, and whose new pods the policy refuses; absent if there are
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedStatus>,

    /// The pods that the policy would refuse if they were made again now, by the templates of their controllers; a grace
    /// does not count. Absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_risk: Option<AffectedStatus>,

    /// The workloads and pods that were made after `enforcedSince` of a rule that they break: they were admitted while
    /// podgate did not judge. Absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slipped: Option<AffectedStatus>,

    /// Since when each rule denies, by rule or, for validations, `validations/NAME`; absent in other modes than
    /// `enforce`. A time moves when what the rule demands changes, or the namespaces or exemptions that it is for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub enforced_since: BTreeMap<String, Time>,

    /// The points that each rule costs; their sum is 100 minus the score.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost_points: BTreeMap<String, i32>,

    /// `Ready`, `Reconciling` and `Stalled`, as kstatus reads them; `Enforcing` of a policy with the mode `enforce`,
    /// which says whether the API servers call podgate, and, where podgate keeps a floor, its `FloorReady` and
    /// `FloorComplete`; and `Refusing`, `UnknownFields` and `RemediationConflict` while they are true. Violations never
    /// make `Ready` false; a policy that covers no namespace is not ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The built-in bundle the policy starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleStatus>,

    /// The exemptions: how many are in which state, and each of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemptions: Option<ExemptionStatus>,

    /// The last spec that was put in force, as JSON. It stays in force while a newer spec does not compile. Left out if
    /// it is longer than 128 KiB: of a newer spec that does not compile, the rules that compile are in force then, and
    /// the others are undecided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 131_072))]
    pub last_good: Option<String>,

    /// What remediation did under this policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<RemediationStatus>,
}

/// The grace of a policy.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct GraceStatus {
    /// When it ends: `spec.graceUntil`, or the time at which that was removed.
    pub until: Time,
    /// `Active` until then; `Ended` from then on, so that `spec.graceUntil` changes nothing any more.
    pub state: GracePhase,
}

/// The state of a grace.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum GracePhase {
    Active,
    Ended,
}

/// The class of a health score.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Classification {
    Healthy,
    Stable,
    Degraded,
    Critical,
}

impl Classification {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Stable => "Stable",
            Self::Degraded => "Degraded",
            Self::Critical => "Critical",
        }
    }
}

/// One of the worst violations, with the details to find it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopViolation {
    /// The top owner, as `KIND/NAME` or, in a cluster policy, `KIND/NAMESPACE/NAME`.
    #[schemars(length(max = 512))]
    pub workload: String,
    /// The rule's id.
    #[schemars(length(max = 128))]
    pub rule: String,
    pub severity: Severity,
    /// The container, if the violation concerns a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
    /// The path of the field that violates the rule, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub field_path: Option<String>,
    #[schemars(length(max = 256))]
    pub message: String,
}

/// A built-in bundle in force.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct BundleStatus {
    #[schemars(length(max = 63))]
    pub name: String,
    #[schemars(length(max = 63))]
    pub version: String,
}

/// A policy's exemptions.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default)]
pub struct ExemptionStatus {
    /// How many are in the state `Active`.
    pub used: i32,
    /// How many are in the state `Unused`.
    pub unused: i32,
    /// How many are in the state `Expired`.
    pub expired: i32,
    /// Each exemption, in the order of `spec.exemptions`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub list: Vec<ListedExemption>,
}

/// An exemption of a policy, and how many workloads need it. Of longer lists, the first eight entries are repeated here.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedExemption {
    #[schemars(length(max = 8), inner(length(max = 128)))]
    pub rules: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 128)))]
    pub kinds: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 128)))]
    pub names: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 128)))]
    pub namespaces: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 128)))]
    pub containers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 128)))]
    pub images: Vec<String>,
    #[schemars(length(max = 128))]
    pub owner: String,
    /// Why the violations may pass.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// `Week` from a week before it expires, `Day` from a day before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_within: Option<EndsWithin>,
    /// The number of workloads with a violation that it lets pass.
    pub workloads: i32,
    /// `Active` lets a violation pass; `Unused` would, and there is none; `Expired` lets nothing pass any more.
    pub state: ExemptionPhase,
}

/// The state of an exemption.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ExemptionPhase {
    Active,
    Unused,
    Expired,
}

/// How near the end of an exemption is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum EndsWithin {
    Week,
    Day,
}

impl Display for EndsWithin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Week => "within a week",
            Self::Day => "within a day",
        })
    }
}
