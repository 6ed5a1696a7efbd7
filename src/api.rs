//! What users write: the custom resources of `devops.stochastic.io`; and [`Report`], which they read.
//!
//! The types here are the source of the CRDs ([`crds`]), of the policy files
//! that `podgate serve --standalone` reads, and of what the engine compiles.

mod bundle;
mod devops_policy;
mod enforcement_mode;
mod exemption;
mod remediation;
mod report;
mod rules;
mod severity;
mod status;

pub use bundle::BundleName;
pub use devops_policy::{
    ClusterDevOpsPolicy, ClusterDevOpsPolicySpec, DevOpsPolicy, DevOpsPolicySpec,
};
pub use enforcement_mode::EnforcementMode;
pub use exemption::Exemption;
pub use remediation::{
    GitOps, RemediatedWorkload, Remediation, RemediationMode, RemediationState, RemediationStatus,
};
pub use report::{
    REPORT_API_VERSION, REPORT_GROUP, Report, ReportResult, ReportSummary, ResultStatus,
    ResultTime, report_crd,
};
pub use rules::{
    ComputeResource, DefaultProbe, DefaultResources, HttpGet, ImageTag, PodSecurityLevel,
    RequiredLabel, Validation, Variable,
};
pub use severity::Severity;
pub use status::{
    BundleStatus, Classification, DevOpsPolicyStatus, ExemptionStatus, MAX_LAST_GOOD, TopViolation,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of everything podgate defines.
pub const GROUP: &str = "devops.stochastic.io";
/// The version that is served and stored.
pub const VERSION: &str = "v1";
/// `GROUP/VERSION`, as it stands in a manifest's `apiVersion`.
pub const API_VERSION: &str = "devops.stochastic.io/v1";

/// Holds a policy with remediation until what is in flight is finished or taken back.
pub const FINALIZER: &str = "devops.stochastic.io/cleanup";

/// Every CRD podgate needs, in the order they are printed and installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![DevOpsPolicy::crd(), ClusterDevOpsPolicy::crd()]
}
