// Clippy takes the printer columns' fields for repeated attributes.
#![allow(clippy::duplicated_attributes)]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DevOpsPolicyStatus;

/// A policy for the pods of its own namespace. Each rule is a field of `spec`; a field that is not set
/// switches its rule off.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "devops.stochastic.io",
    version = "v1",
    kind = "DevOpsPolicy",
    plural = "devopspolicies",
    shortname = "dop",
    category = "policy",
    namespaced,
    status = "DevOpsPolicyStatus",
    derive = "PartialEq",
    doc = "A policy for the pods of its own namespace. Each rule is a field of `spec`; a field that is not set switches its rule off.",
    printcolumn(
        name = "Mode",
        type_ = "string",
        json_path = ".spec.enforcementMode",
        description = "What happens to a pod that breaks a rule."
    ),
    printcolumn(
        name = "Score",
        type_ = "integer",
        json_path = ".status.healthScore",
        description = "0 to 100; 80 and more is healthy."
    ),
    printcolumn(
        name = "Violations",
        type_ = "integer",
        json_path = ".status.violations",
        description = "How many violations are open now."
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the policy is compiled, in force and evaluated."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DevOpsPolicySpec {
    /// What happens to an object that breaks a rule: `audit` records it, `warn` admits it with a warning,
    /// `enforce` denies it.
    #[serde(default)]
    pub enforcement_mode: EnforcementMode,

    /// Forbids images whose tag is `latest` or missing, which means the same. An image pinned by digest passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forbid_latest_tag: Option<bool>,

    /// Requires a liveness probe on every app container and native sidecar of a long-running pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_liveness_probe: Option<bool>,

    /// Requires a readiness probe on every app container and native sidecar of a long-running pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_readiness_probe: Option<bool>,

    /// The most restarts a container may have. More is a violation, which only the audit can see: it never denies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0))]
    pub max_restart_count: Option<u32>,

    /// The most seconds a pod may be Pending, counted from its creation. Longer is a violation, which only the
    /// audit can see: it never denies. Pods held by scheduling gates do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0))]
    pub forbid_pending_duration: Option<u32>,
}

/// What happens to an object that breaks a rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnforcementMode {
    /// Record the violation; say nothing to the developer.
    #[default]
    Audit,
    /// Admit, with a warning that kubectl prints.
    Warn,
    /// Deny.
    Enforce,
}

impl EnforcementMode {
    /// The name used in manifests and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}
