//! The custom resources of `devops.stochastic.io`, which users write, and [`Report`], which they read.
//!
//! The types define the CRDs ([`crds`]), the policy files that `podgate serve --standalone` reads, and the input of the
//! engine.

mod affected;
mod bundle;
mod devops_policy;
mod effect;
mod enforcement_mode;
mod exemption;
mod refused;
mod remediation;
mod report;
mod rules;
mod severity;
mod status;

pub use affected::{AffectedStatus, AffectedWorkloadStatus};
pub use bundle::BundleName;
pub use devops_policy::{
    ClusterDevOpsPolicy, ClusterDevOpsPolicySpec, DevOpsPolicy, DevOpsPolicySpec,
};
pub use effect::Effect;
pub use enforcement_mode::EnforcementMode;
pub use exemption::{EXEMPT_KINDS, Exemption};
pub use refused::{RefusedStatus, RefusedWorkloadStatus};
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
    BundleStatus, Classification, DevOpsPolicyStatus, EndsWithin, ExemptionPhase, ExemptionStatus,
    GracePhase, GraceStatus, ListedExemption, MAX_LAST_GOOD, TopViolation,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of everything podgate defines.
pub const GROUP: &str = "devops.stochastic.io";
/// The version that is served and stored.
pub const VERSION: &str = "v1";
/// `GROUP/VERSION`: the `apiVersion` of a manifest.
pub const API_VERSION: &str = "devops.stochastic.io/v1";

/// The finalizer of a policy with remediation: it delays deletion until in-flight repairs are finished or rolled back.
pub const FINALIZER: &str = "devops.stochastic.io/cleanup";

/// The CRDs that podgate needs, as YAML, in the order in which they are printed and installed. `make docs` writes them
/// from the types ([`crds`]): deriving and encoding schemas would make the binary half a megabyte larger.
pub const CRDS: [&str; 2] = [
    include_str!("../charts/podgate/definitions/devopspolicies.devops.stochastic.io.yaml"),
    include_str!("../charts/podgate/definitions/clusterdevopspolicies.devops.stochastic.io.yaml"),
];
/// The CRD of reports, which podgate can do without; likewise, from [`report_crd`].
pub const REPORT_CRD: &str = include_str!("api/report_crd.yaml");

/// The CRDs that podgate needs, from the types.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![DevOpsPolicy::crd(), ClusterDevOpsPolicy::crd()]
}
