use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How podgate repairs running workloads that break this policy: it writes the policy's `defaultResources`,
/// `defaultProbe` and `imageTags` into their pod templates, with one rollout each.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Remediation {
    /// `off` (the default; quote it, or YAML takes it for a boolean), `plan` to report the repairs only, or `apply` to
    /// make them, and roll back a repair that makes a workload worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<RemediationMode>,
    /// What to do with workloads that Argo CD, Flux or Helm manage: `propose` the patch (the default), or `apply` it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gitops: Option<GitOps>,
    /// How many workloads may roll out at a time; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub max_concurrent: Option<i32>,
    /// Seconds to wait after one workload before the next; 60 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub cooldown_seconds: Option<i32>,
    /// Seconds that a rollout may take before it is rolled back; 600 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 86400))]
    pub rollout_timeout_seconds: Option<i32>,
}

/// Whether workloads are repaired.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum RemediationMode {
    #[default]
    Off,
    /// Only report the repairs.
    Plan,
    Apply,
}

/// What podgate does with workloads that a tool manages from git.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GitOps {
    /// Propose the patch, so that the change is made in git.
    #[default]
    Propose,
    Apply,
}

/// How many workloads remediation has in which state, and the newest of them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RemediationStatus {
    pub proposed: i32,
    pub in_flight: i32,
    pub repaired: i32,
    pub rolled_back: i32,
    /// The `metadata.generation` that `repaired` and `rolledBack` count from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// At most 20 workloads: repairs in flight and conflicts first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub workloads: Vec<RemediatedWorkload>,
}

/// The state of a workload's repair.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemediatedWorkload {
    /// As `KIND/NAMESPACE/NAME`.
    #[schemars(length(max = 512))]
    pub workload: String,
    pub state: RemediationState,
    /// The reason for the state, and the next step.
    #[schemars(length(max = 512))]
    pub message: String,
    /// The proposed patch (RFC 6902), as JSON; left out if it is too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub patch: Option<String>,
    /// When the workload entered this state.
    pub since: Time,
}

/// The states of a repair, in the order in which a status lists workloads.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub enum RemediationState {
    /// The workload is patched, and its new pods are observed.
    RollingOut,
    /// The repair was undone by others three times.
    Conflict,
    /// The new pods were worse than the old ones, so the repair was rolled back.
    RolledBack,
    /// The repair was undone by others; podgate tries again.
    Undone,
    /// The repair waits for a change in git, or for a policy with `apply`.
    Proposed,
    /// podgate cannot repair the workload.
    Refused,
    Repaired,
}

impl RemediationState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RollingOut => "RollingOut",
            Self::Conflict => "Conflict",
            Self::RolledBack => "RolledBack",
            Self::Undone => "Undone",
            Self::Proposed => "Proposed",
            Self::Refused => "Refused",
            Self::Repaired => "Repaired",
        }
    }
}
