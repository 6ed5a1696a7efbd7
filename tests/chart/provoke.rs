//! Events that make podgate use each of its rights.

use serde_json::json;

use super::permissions::Right;
use super::world::{NAMESPACE, World};

/// The namespace where violations are only audited.
const AUDITED: &str = "audited";

/// Gives podgate a new reason to use a right.
pub fn provoke(world: &World, right: &Right, attempt: usize) {
    let here = ["-n", NAMESPACE];
    match (right.resource.as_str(), right.verb.as_str()) {
        ("secrets", "create") => {
            drop(world.kubectl(&[&["delete", "secret", "podgate-tls"][..], &here].concat()));
        }
        ("secrets", "patch") => {
            let patch = "{\"data\": {\"tls.crt\": null}}";
            let args = ["patch", "secret", "podgate-tls", "--type=merge", "-p", patch];
            world.kubectl(&[&args[..], &here].concat());
        }
        ("leases", "create") => {
            let name = right.name.as_deref().unwrap();
            world.kubectl(&[&["delete", "lease", name][..], &here].concat());
        }
        // podgate reads the list of API servers at the start and once a minute.
        ("endpointslices", _) => restart(world),
        (configurations, "patch") if configurations.ends_with("webhookconfigurations") => {
            let name =
                format!("podgate-{}", configurations.trim_end_matches("webhookconfigurations"));
            let patch = "[{\"op\": \"remove\", \"path\": \"/webhooks/0/clientConfig/caBundle\"}]";
            world.kubectl(&["patch", configurations, &name, "--type=json", "-p", patch]);
        }
        (floor, verb) if floor.starts_with("validatingadmissionpolic") => {
            // The canary is applied at every start.
            match verb {
                "create" => drop(world.kubectl(&["delete", floor, "podgate-floor-canary"])),
                "delete" => left_over(world),
                _ => {}
            }
            restart(world);
        }
        ("reports", verb) => report(world, verb, attempt),
        ("pods" | "namespaces" | "secrets" | "leases", "list" | "watch" | "update")
        | ("secrets" | "leases" | "clusterroles", "get")
        | (_, "list" | "watch") => restart(world),
        (configurations, "get") if configurations.ends_with("webhookconfigurations") => {
            restart(world);
        }
        (
            "devopspolicies"
            | "clusterdevopspolicies"
            | "devopspolicies/status"
            | "clusterdevopspolicies/status",
            _,
        ) => {
            violations(world);
            restart(world);
            policies(world, &format!("maxRestartCount: {attempt}"));
        }
        _ => violations(world),
    }
}

/// Objects of a floor that podgate does not know, and so prunes.
fn left_over(world: &World) {
    let metadata = "{name: podgate-floor-left-over, labels: {devops.stochastic.io/floor: podgate}}";
    world.apply(&format!(
        "{{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding, metadata: {metadata}, \
         spec: {{policyName: podgate-floor-left-over, validationActions: [Audit]}}}}
---
{{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {metadata}, \
         spec: {{failurePolicy: Ignore, validations: [{{expression: 'true'}}], matchConstraints: {{resourceRules: [\
         {{apiGroups: [example.com], apiVersions: [v1], operations: [CREATE], resources: [nothing]}}]}}}}}}
"
    ));
}

fn restart(world: &World) {
    world.kubectl(&["delete", "pods", "--all", "-n", NAMESPACE]);
}

/// A policy of each kind that records violations, edited by these further fields.
fn policies(world: &World, further: &str) {
    if world.get(&["namespace", AUDITED]).is_none() {
        world.namespace(AUDITED);
    }
    for kind in ["DevOpsPolicy", "ClusterDevOpsPolicy"] {
        let namespace = if kind == "DevOpsPolicy" { AUDITED } else { "" };
        world.apply(&format!(
            "{{apiVersion: devops.stochastic.io/v1, kind: {kind}, metadata: {{name: recorded, namespace: '{namespace}'}}, \
             spec: {{forbidLatestTag: true, {further}}}}}"
        ));
    }
}

/// New violations by a workload of each kind.
fn violations(world: &World) {
    policies(world, "maxRestartCount: 10");
    let labels = json!({"app": "bad"});
    for kind in [
        "Pod",
        "ReplicationController",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Job",
    ] {
        let never = if kind == "Job" { "Never" } else { "Always" };
        let pod =
            json!({"restartPolicy": never, "containers": [{"name": "web", "image": "nginx"}]});
        let template = json!({"metadata": {"labels": labels}, "spec": pod});
        let selector = json!({"matchLabels": labels});
        let (version, spec) = match kind {
            "Pod" => ("v1", pod),
            "ReplicationController" => ("v1", json!({"selector": labels, "template": template})),
            "Job" => ("batch/v1", json!({"template": template})),
            "StatefulSet" => (
                "apps/v1",
                json!({"serviceName": "bad", "selector": selector, "template": template}),
            ),
            _ => ("apps/v1", json!({"selector": selector, "template": template})),
        };
        let metadata = json!({"generateName": "bad-", "namespace": AUDITED, "labels": labels});
        let object =
            json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec});
        world.plane.kubectl(&["create", "-f", "-"]).given(&object).ok();
    }
}

/// Makes podgate read, write or delete a report.
fn report(world: &World, verb: &str, attempt: usize) {
    violations(world);
    match verb {
        "list" => restart(world),
        "delete" => {
            let patch = json!({"spec": {"excludeNamespaces": [AUDITED]}}).to_string();
            world.kubectl(&[
                "patch",
                "clusterdevopspolicy",
                "recorded",
                "--type=merge",
                "-p",
                &patch,
            ]);
        }
        // A user has changed it.
        "get" => {
            world.kubectl(&[
                "annotate",
                "reports.openreports.io",
                "--all",
                "-n",
                AUDITED,
                "--overwrite",
                &format!("by=hand-{attempt}"),
            ]);
            violations(world);
        }
        _ => {
            world.kubectl(&["delete", "reports.openreports.io", "--all", "-n", AUDITED]);
            violations(world);
        }
    }
}
