// Clippy takes the printer columns' fields for repeated attributes.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
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

/// Defines a policy's spec. Both kinds have every field of the catalogue; serde cannot both flatten a
/// struct into another and refuse unknown fields, so they share their text instead.
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

            /// Requires every image to be pinned by digest, as in `nginx:1.29@sha256:…`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub require_image_digest: Option<bool>,

            /// The registries, or paths in them, that images may come from, each as `host[:port][/path]`. An image
            /// that names none comes from `docker.io/library`.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
            pub allowed_registries: Option<Vec<String>>,

            /// The resources that every container must request. A limit stands for a missing request, and the pod's
            /// own for its containers'.
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

            /// Rules of your own, in CEL. `object` is always a Pod: the one under review, or the one the template
            /// would make.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 16))]
            pub validations: Option<Vec<Validation>>,

            /// CEL expressions that validations use as `variables.NAME`, each of them those before it.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 16))]
            pub variables: Option<Vec<Variable>>,

            /// In `enforce`, violations less severe than this only warn. The default is `low`: all deny.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub deny_severity: Option<Severity>,

            /// Severities of this policy's own, by rule id, `podSecurity/CHECK` or `validations/NAME`.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(extend("maxProperties" = 64))]
            pub severity_overrides: Option<BTreeMap<String, Severity>>,

            /// The built-in bundle that this policy starts from. A field set here wins over the bundle's, an explicit
            /// `false` too; lists replace.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub bundle: Option<BundleName>,

            /// What this policy lets pass, with the reason and until when. It weakens no other policy.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 64))]
            pub exemptions: Option<Vec<Exemption>>,

            /// Whether a pod that is created gets, before it is judged, what this policy has for it and it does not say
            /// itself: `defaultResources`, `imageTags`, `defaultProbe` where a probe is required, and what `podSecurity:
            /// restricted` asks for (`allowPrivilegeEscalation: false`, `seccompProfile: RuntimeDefault`, and
            /// `capabilities.drop: [ALL]` where the container is known not to run as root). Nothing that is exempt from
            /// the rule in question is changed. The pod says what was put in, in the annotation
            /// `devops.stochastic.io/mutated-by`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub mutate: Option<bool>,

            /// The resources to give a container that says none.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub default_resources: Option<DefaultResources>,

            /// The probe to give a container that needs one and has none, if it declares the probe's port.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub default_probe: Option<DefaultProbe>,

            /// Which version to put in place of which image's tag.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schemars(length(max = 64))]
            pub image_tags: Option<Vec<ImageTag>>,

            /// How workloads that run already, and break this policy, are repaired.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub remediation: Option<Remediation>,

            /// Whom a denied developer may ask; printed at the end of a denial.
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
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether the policy is compiled, in force and evaluated."),
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
        printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether the policy is compiled, in force and evaluated."),
        printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
    )]
    pub struct ClusterDevOpsPolicySpec {
        /// Which namespaces it judges, by their labels; all of them by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub namespace_selector: Option<LabelSelector>,

        /// Namespaces that it does not judge, by their exact names.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
        pub exclude_namespaces: Option<Vec<String>>,
    }
}

/// Copies fields of the one spec into the other: the compiler refuses a list from which one is missing.
macro_rules! shared_fields {
    ($from:ident, $($field:ident),*) => {
        DevOpsPolicySpec { $($field: $from.$field.clone()),* }
    };
}

impl ClusterDevOpsPolicySpec {
    /// All that it has in common with a `DevOpsPolicy`.
    pub fn rules(&self) -> DevOpsPolicySpec {
        shared_fields!(
            self,
            enforcement_mode,
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
    fn the_two_specs_differ_by_what_selects_namespaces() {
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
