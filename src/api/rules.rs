//! The types of the rules' parameters.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::severity::Severity;

/// A resource that a container requests or limits.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ComputeResource {
    Cpu,
    Memory,
    EphemeralStorage,
}

impl ComputeResource {
    /// Its key under `resources.requests` and `resources.limits`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::EphemeralStorage => "ephemeral-storage",
        }
    }
}

/// A label that pods must carry.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequiredLabel {
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// A regular expression that the whole value must match; without it, any value passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub pattern: Option<String>,
}

/// A level of the Pod Security Standards.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PodSecurityLevel {
    /// Forbids known privilege escalations.
    Baseline,
    /// Requires the known measures to harden pods, beyond the restrictions of baseline.
    Restricted,
}

/// A custom rule, in CEL.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validation {
    /// Its name in messages, exemptions and overrides: `validations/NAME`.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$")
    )]
    pub name: String,
    /// CEL that is true for a pod that passes. It sees `object` (a Pod), `namespaceObject` (its metadata) and
    /// `variables`.
    #[schemars(length(min = 1, max = 1024))]
    pub expression: String,
    /// The message for a developer whose pod does not pass.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^\P{Cc}*$"))]
    pub message: String,
    /// Medium by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// A named expression.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variable {
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    #[schemars(length(min = 1, max = 1024))]
    pub expression: String,
}

/// Quantities as Kubernetes writes them, such as `100m` and `128Mi`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DefaultResources {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub cpu_request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub cpu_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub memory_request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub memory_limit: Option<String>,
}

/// A probe for containers that have none.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("!(has(self.tcpPort) && has(self.httpGet))", "give tcpPort or httpGet, not both"))]
pub struct DefaultProbe {
    /// The port to connect to; a container that does not declare it gets no probe. If neither this nor `httpGet` is
    /// given, it is the container's only TCP port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub tcp_port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub initial_delay_seconds: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub period_seconds: Option<i32>,
}

/// The HTTP request of a probe. It has no host: a probe connects to its own pod.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpGet {
    #[schemars(length(min = 1, max = 256))]
    pub path: String,
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// A replacement for an image's tag.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageTag {
    /// The image without tag and digest: `nginx`, `ghcr.io/team/web`.
    #[schemars(length(min = 1, max = 255))]
    pub image: String,
    /// The tag to replace; `latest` includes images without a tag.
    #[schemars(length(min = 1, max = 128))]
    pub from: String,
    /// A tag, or a digest as `sha256:…`, of the same repository.
    #[schemars(length(min = 1, max = 200))]
    pub to: String,
}
