// Clippy takes the printer columns' fields for repeated attributes.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::bundle::BundleName;
use super::enforcement_mode::EnforcementMode;
use super::exemption::Exemption;
use super::remediation::Remediation;
use super::rules::{
    ComputeResource, DefaultProbe, DefaultResources, ImageTag, PodSecurityLevel, RequiredLabel,
    Validation, Variable,
};
use super::severity::Severity;
use super::status::DevOpsPolicyStatus;

/// Defines a policy's spec. Both kinds have all of these fields. serde cannot flatten a struct into another and refuse
/// unknown fields at once, so this macro repeats the fields.
macro_rules! policy_spec {
    ($(#[$attribute:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($own)*

            /// What happens to an object that breaks a rule: `audit` (the default) records it, `warn` admits it with
            /// a warning, `enforce` denies it.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub enforcement_mode: Option<EnforcementMode>,

            /// The end of the grace (RFC 3339). Until then `enforce` admits, with a warning, what Kubernetes' own
            /// controllers create from templates that are there, and a changed template is denied only for violations
            /// that the old one did not have. From then on, and without this field, `enforce` denies them.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub grace_until: Option<Time>,

            /// Forbids images whose tag is `latest` or missing, which means the same. An image pinned by digest passes.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub forbid_latest_tag: Option<bool>,

            /// Requires a liveness probe on every app container and native sidecar of a long-running pod.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub require_liveness_probe: Option<bool>,

            /// Requires a readiness probe on every app container and native sidecar of a long-running pod.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub require_readiness_probe: Option<bool>,

            /// The most restarts a container may have. More restarts are a violation that only the audit can detect; it
            /// never denies.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(with = "Option<i32>", range(min = 0))]
            pub max_restart_count: Option<u32>,

            /// The most seconds a pod may be Pending, counted from its creation. A longer time is a violation that only
            /// the audit can detect; it never denies. Pods held by scheduling gates do not count.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(with = "Option<i32>", range(min = 0))]
            pub forbid_pending_duration: Option<u32>,

            /// Requires every image to be pinned by digest, as in `nginx:1.29@sha256:…`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub require_image_digest: Option<bool>,

            /// The registries, or paths in them, that images may come from, each as `host[:port][/path]`. An image
            /// without a registry comes from `docker.io/library`.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
            pub allowed_registries: Option<Vec<String>>,

            /// The resources that every container must request. A limit counts as the request where that is missing,
            /// and the pod's own requests count for its containers.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 3))]
            pub require_resource_requests: Option<Vec<ComputeResource>>,

            /// The resources that every container must limit.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 3))]
            pub require_resource_limits: Option<Vec<ComputeResource>>,

            /// The labels that every pod, or a workload's pod template, must carry.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 32))]
            pub required_labels: Option<Vec<RequiredLabel>>,

            /// The Pod Security Standard that pods must meet, check for check as the API server's own Pod Security
            /// admission decides it.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub pod_security: Option<PodSecurityLevel>,

            /// Rules of your own, in CEL. `object` is always a Pod: the pod under review, or the pod that a workload's
            /// template would create.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 16))]
            pub validations: Option<Vec<Validation>>,

            /// CEL expressions that validations use as `variables.NAME`. A variable may use the variables before it.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 16))]
            pub variables: Option<Vec<Variable>>,

            /// In `enforce`, violations less severe than this only warn. The default is `low`: all deny.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub deny_severity: Option<Severity>,

            /// Overrides of severities in this policy, by rule id, `podSecurity/CHECK` or `validations/NAME`.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(extend("maxProperties" = 64))]
            pub severity_overrides: Option<BTreeMap<String, Severity>>,

            /// The built-in bundle that this policy starts from. A field set here wins over the bundle's, an explicit
            /// `false` too; lists replace.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub bundle: Option<BundleName>,

            /// Violations that this policy lets pass, each with a reason and an optional expiry. Other policies are not
            /// affected.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 64))]
            pub exemptions: Option<Vec<Exemption>>,

            /// Whether podgate adds to a pod on creation, before the rules are evaluated, values of this policy that
            /// the pod does not set itself: `defaultResources`, `imageTags`, `defaultProbe` where a probe is required,
            /// and the fields that `podSecurity: restricted` requires (`allowPrivilegeEscalation: false`,
            /// `seccompProfile: RuntimeDefault`, and `capabilities.drop: [ALL]` where the container is known not to run
            /// as root). A pod or container that is exempt from a rule is not changed for that rule. The pod's
            /// annotation `devops.stochastic.io/mutated-by` lists the changes.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub mutate: Option<bool>,

            /// The resources for a container that sets none.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub default_resources: Option<DefaultResources>,

            /// The probe for a container that needs one and has none, if the container declares the probe's port.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub default_probe: Option<DefaultProbe>,

            /// Replacements for the tags of images.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 64))]
            pub image_tags: Option<Vec<ImageTag>>,

            /// How podgate repairs running workloads that break this policy.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub remediation: Option<Remediation>,

            /// The contact for developers whose object is denied; printed at the end of a denial.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 120), regex(pattern = r"^\P{Cc}*$"))]
            pub contact: Option<String>,
        }
    };
}

policy_spec! {
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
        printcolumn(name = "Mode", type_ = "string", json_path = ".status.effectiveMode", description = "What happens to a pod that breaks a rule."),
        printcolumn(name = "Score", type_ = "integer", json_path = ".status.healthScore", description = "0 to 100; 80 and more is healthy."),
        printcolumn(name = "Violations", type_ = "integer", json_path = ".status.violations", description = "How many violations are open now."),
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether the policy is compiled, in force and evaluated, and covers a namespace."),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    pub struct DevOpsPolicySpec {}
}

policy_spec! {
    /// A policy for the pods of every namespace that it selects.
    #[derive(Clone, CustomResource, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
    #[kube(
        group = "devops.stochastic.io",
        version = "v1",
        kind = "ClusterDevOpsPolicy",
        plural = "clusterdevopspolicies",
        shortname = "cdop",
        category = "policy",
        status = "DevOpsPolicyStatus",
        derive = "PartialEq",
        doc = "A policy for the pods of every namespace that it selects. Each rule is a field of `spec`; a field that is not set switches its rule off.",
        printcolumn(name = "Mode", type_ = "string", json_path = ".status.effectiveMode", description = "What happens to a pod that breaks a rule."),
        printcolumn(name = "Score", type_ = "integer", json_path = ".status.healthScore", description = "0 to 100; 80 and more is healthy."),
        printcolumn(name = "Violations", type_ = "integer", json_path = ".status.violations", description = "How many violations are open now."),
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether the policy is compiled, in force and evaluated, and covers a namespace."),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    pub struct ClusterDevOpsPolicySpec {
        /// The namespaces that the policy applies to, by their labels; all of them by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub namespace_selector: Option<LabelSelector>,

        /// Namespaces that the policy does not apply to, by their exact names.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
        pub exclude_namespaces: Option<Vec<String>>,
    }
}

/// Copies the fields that both specs share. A field missing from the list is a compile error.
macro_rules! shared_fields {
    ($from:ident, $($field:ident),*) => {
        DevOpsPolicySpec { $($field: $from.$field.clone()),* }
    };
}

impl ClusterDevOpsPolicySpec {
    /// The fields that a cluster policy shares with a `DevOpsPolicy`.
    pub fn rules(&self) -> DevOpsPolicySpec {
        shared_fields!(
            self,
            enforcement_mode,
            grace_until,
            forbid_latest_tag,
            require_liveness_probe,
            require_readiness_probe,
            max_restart_count,
            forbid_pending_duration,
            require_image_digest,
            allowed_registries,
            require_resource_requests,
            require_resource_limits,
            required_labels,
            pod_security,
            validations,
            variables,
            deny_severity,
            severity_overrides,
            bundle,
            exemptions,
            mutate,
            default_resources,
            default_probe,
            image_tags,
            remediation,
            contact
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_policy_has_every_rule_of_a_namespaced_one() {
        let spec = json!({
            "enforcementMode": "enforce",
            "graceUntil": "2027-01-31T00:00:00Z",
            "podSecurity": "restricted",
            "requiredLabels": [{"key": "team"}],
            "validations": [{"name": "a", "expression": "true", "message": "m"}],
            "severityOverrides": {"podSecurity": "low"},
            "contact": "#platform",
        });
        let mut cluster = spec.clone();
        cluster["namespaceSelector"] = json!({"matchLabels": {"team": "a"}});
        cluster["excludeNamespaces"] = json!(["lab"]);
        let cluster: ClusterDevOpsPolicySpec = serde_json::from_value(cluster).unwrap();
        assert_eq!(cluster.rules(), serde_json::from_value(spec).unwrap());
    }

    #[test]
    fn the_two_specs_differ_by_the_selection_of_namespaces() {
        let fields = |crd: &_| {
            let crd = serde_json::to_value(crd).unwrap();
            let spec = crd
                .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties")
                .cloned();
            serde_json::from_value::<BTreeMap<String, serde_json::Value>>(spec.unwrap()).unwrap()
        };
        let [own, cluster] = super::super::crds().try_into().unwrap();
        let (own, mut cluster) = (fields(&own), fields(&cluster));
        assert!(cluster.remove("namespaceSelector").is_some());
        assert!(cluster.remove("excludeNamespaces").is_some());
        assert_eq!(own, cluster);
    }
}
