use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How workloads that run already, and break this policy, are repaired: what the policy has for it (`defaultResources`,
/// `defaultProbe`, `imageTags`) is put into their pod templates, one rollout each.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Remediation {
    /// `off` (the default; quote it, or YAML takes it for a boolean), `plan`: say what would be done, `apply`: do it, and
    /// take it back where it makes a workload worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<RemediationMode>,
    /// What to do with workloads that Argo CD, Flux or Helm manage: `propose` (the default) the patch, or `apply` it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gitops: Option<GitOps>,
    /// How many workloads may roll out at a time; 1 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    pub max_concurrent: Option<i32>,
    /// How long to wait after one workload before the next; 60 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub cooldown_seconds: Option<i32>,
    /// How long a rollout may take before it is taken back; 600 by default.
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
    /// Only say what would be done.
    Plan,
    Apply,
}

/// What becomes of workloads that a tool manages from git.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GitOps {
    /// The patch is proposed: git is where it belongs.
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
    /// At most 20: what is under way and what stands in the way first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub workloads: Vec<RemediatedWorkload>,
}

/// What remediation has to say of a workload.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemediatedWorkload {
    /// As `KIND/NAMESPACE/NAME`.
    #[schemars(length(max = 512))]
    pub workload: String,
    pub state: RemediationState,
    /// Why, and what to do.
    #[schemars(length(max = 512))]
    pub message: String,
    /// The patch (RFC 6902) that is proposed, as JSON; left out where it is too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub patch: Option<String>,
    /// Since when it is in this state.
    pub since: Time,
}

/// How far a workload's repair is. In the order in which a status names them.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
pub enum RemediationState {
    /// It was patched, and its new pods are watched.
    RollingOut,
    /// Somebody undid it three times.
    Conflict,
    /// Its new pods were worse than the old ones, so it is as it was.
    RolledBack,
    /// Somebody undid it; it is tried again.
    Undone,
    /// It waits for somebody: git, or a policy that says `apply`.
    Proposed,
    /// Nothing can be done for it.
    Refused,
    Repaired,
}
