//! Validations in CEL, for a `ValidatingAdmissionPolicy` and for a `DevOpsPolicy`.

use serde_json::{Value, json};

/// The default checks that apply at creation: a new object has no restarts and was never Pending.
pub const DEFAULT_CHECKS: [(&str, &str); 5] =
    [LATEST, LIVENESS, READINESS, ("maxRestartCount", "true"), ("forbidPendingDuration", "true")];
/// Five validations with some work.
pub const ORDINARY: [(&str, &str); 5] = [
    LATEST,
    LIVENESS,
    READINESS,
    (
        "unprivileged",
        "variables.pod.containers.all(it, !it.?securityContext.privileged.orValue(false))",
    ),
    ("limited", "variables.pod.containers.all(it, has(it.resources.limits.memory))"),
];

const LATEST: (&str, &str) = (
    "forbidLatestTag",
    "variables.images.all(it, it.matches('@|:[^/]+$') && !it.endsWith(':latest'))",
);
const LIVENESS: (&str, &str) =
    ("requireLivenessProbe", "variables.serving.all(it, has(it.livenessProbe))");
const READINESS: (&str, &str) =
    ("requireReadinessProbe", "variables.serving.all(it, has(it.readinessProbe))");

/// Variables that the validations share.
pub fn variables() -> Value {
    const CONTAINERS: &str = "variables.pod.containers + variables.init + variables.pod.?ephemeralContainers.orValue([])";
    let variables: [(&str, String); 4] = [
        ("pod", "has(object.spec.template) ? object.spec.template.spec : object.spec".to_owned()),
        ("init", "variables.pod.?initContainers.orValue([])".to_owned()),
        (
            "images",
            format!(
                "({CONTAINERS}).map(it, it.image) + variables.pod.?volumes.orValue([]).filter(it, has(it.image)).map(it, it.image.reference)"
            ),
        ),
        // The containers that need probes.
        (
            "serving",
            "variables.pod.?restartPolicy.orValue('Always') != 'Always' ? [] : variables.pod.containers + variables.init.filter(it, it.?restartPolicy.orValue('') == 'Always')".to_owned(),
        ),
    ];
    variables.map(|(name, expression)| json!({"name": name, "expression": expression})).into()
}

/// The policy, and its binding to a namespace.
pub fn objects(namespace: &str, validations: &[(&str, &str)]) -> [Value; 2] {
    let rule = |group: &str, resource: &str| {
        json!({
            "apiGroups": [group], "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"], "resources": [resource],
        })
    };
    let object = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": namespace},
            "spec": spec,
        })
    };
    let policy = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule("", "pods"), rule("apps", "deployments")]},
        "variables": variables(),
        "validations": validations
            .iter()
            .map(|(rule, expression)| json!({"message": rule, "expression": expression}))
            .collect::<Vec<_>>(),
    });
    let binding = json!({
        "policyName": namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": super::variants::selector(namespace)},
    });
    [
        object("ValidatingAdmissionPolicy", policy),
        object("ValidatingAdmissionPolicyBinding", binding),
    ]
}
