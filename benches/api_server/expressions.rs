//! The founding checks in CEL, as a `ValidatingAdmissionPolicy` has them.

use serde_json::{Value, json};

/// The policy, and its binding to a namespace.
pub fn objects(namespace: &str) -> [Value; 2] {
    const CONTAINERS: &str = "variables.pod.containers + variables.init + variables.pod.?ephemeralContainers.orValue([])";
    let variables = [
        ("pod", "has(object.spec.template) ? object.spec.template.spec : object.spec".to_owned()),
        ("init", "variables.pod.?initContainers.orValue([])".to_owned()),
        (
            "images",
            format!(
                "({CONTAINERS}).map(it, it.image) + variables.pod.?volumes.orValue([]).filter(it, has(it.image)).map(it, it.image.reference)"
            ),
        ),
        // Who is asked for probes.
        (
            "serving",
            "variables.pod.?restartPolicy.orValue('Always') != 'Always' ? [] : variables.pod.containers + variables.init.filter(it, it.?restartPolicy.orValue('') == 'Always')".to_owned(),
        ),
    ];
    let validations = [
        (
            "forbidLatestTag",
            "variables.images.all(it, it.matches('@|:[^/]+$') && !it.endsWith(':latest'))",
        ),
        ("requireLivenessProbe", "variables.serving.all(it, has(it.livenessProbe))"),
        ("requireReadinessProbe", "variables.serving.all(it, has(it.readinessProbe))"),
        // An object that is not yet there has not restarted, nor waited.
        ("maxRestartCount", "true"),
        ("forbidPendingDuration", "true"),
    ];
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
        "variables": variables.map(|(name, expression)| json!({"name": name, "expression": expression})),
        "validations":
            validations.map(|(rule, expression)| json!({"message": rule, "expression": expression})),
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
