use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kinds that an exemption may name: those that podgate judges.
///
/// `kinds` is decoded as text all the same. A policy that was stored before the CRD had this list may name the kind of
/// another controller, and its exemption must not end with an upgrade.
pub const EXEMPT_KINDS: [&str; 9] = [
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
    "PodTemplate",
];

/// Violations that a policy lets pass. Every field that is set must match; a list matches if one of its entries does.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemption {
    /// Rule ids, `podSecurity/CHECK` or `validations/NAME`.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 128)))]
    pub rules: Vec<String>,
    /// Kinds of the object or of the workload that owns it: `Deployment`. For the pods of another controller, leave this
    /// out and list the controller's name in `names`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 16),
        extend("items" = {"type": "string", "enum": EXEMPT_KINDS})
    )]
    pub kinds: Option<Vec<String>>,
    /// Names of the object or of the workload that owns it; `*` stands for any text, `?` for one character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 253)))]
    pub names: Option<Vec<String>>,
    /// Namespaces, in a ClusterDevOpsPolicy; `*` and `?` as in names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub namespaces: Option<Vec<String>>,
    /// Containers, by name; `*` and `?` as in names. A violation of the whole pod has no container and does not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    pub containers: Option<Vec<String>>,
    /// The container's image; `*` and `?` as in names. A pattern is matched against the whole reference. A pattern
    /// without a registry means Docker Hub (`nginx*` is `docker.io/library/nginx*`), as it does for an image; only a
    /// pattern that begins with `*` matches any registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 512)))]
    pub images: Option<Vec<String>>,
    /// Why the violations may pass.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^\P{Cc}*$"))]
    pub reason: String,
    /// The person or team responsible for the exemption.
    #[schemars(length(min = 1, max = 120), regex(pattern = r"^\P{Cc}*$"))]
    pub owner: String,
    /// When the exemption expires (RFC 3339); never by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}
