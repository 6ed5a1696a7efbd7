//! Manifests of every judged kind around one pod spec.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

/// The kinds a developer applies (a PodTemplate runs nothing by itself).
pub const APPLIED: [Kind; 8] = [
    Kind::Pod,
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::ReplicaSet,
    Kind::ReplicationController,
    Kind::Job,
    Kind::CronJob,
];

/// An object of a kind with this pod in its template, including labels. It has the pod's name.
pub fn held_by(kind: Kind, pod: &Value) -> Value {
    let names = kind.names();
    let mut object = match kind {
        Kind::Pod => pod.clone(),
        _ => in_pod(kind, json!({"metadata": pod["metadata"], "spec": pod["spec"]})),
    };
    if kind != Kind::Pod {
        object["metadata"] = json!({"name": pod["metadata"]["name"]});
    }
    object["apiVersion"] = json!(names.api_version());
    object["kind"] = json!(names.kind);
    object
}

/// A part of a pod at its place in an object of a kind: of `{"spec": …}`, in a PodTemplate,
/// `{"template": {"spec": …}}`.
pub fn in_pod(kind: Kind, part: Value) -> Value {
    match kind.names().spec_path.strip_suffix(".spec") {
        None => part,
        Some(path) => path.rsplit('.').fold(part, |inner, field| json!({ field: inner })),
    }
}

/// A pod spec of one container, `web`, without probes.
pub fn pod(image: &str) -> Value {
    json!({"containers": [{"name": "web", "image": image}]})
}

/// The same with both probes.
pub fn probed_pod(image: &str) -> Value {
    let probe = json!({"tcpSocket": {"port": 80}});
    json!({"containers": [
        {"name": "web", "image": image, "livenessProbe": probe, "readinessProbe": probe},
    ]})
}

/// An object of a kind, named `web`, that runs the pod.
pub fn workload(kind: Kind, mut pod: Value) -> Value {
    if matches!(kind, Kind::Job | Kind::CronJob) {
        pod["restartPolicy"] = json!("Never");
    }
    let labels = json!({"app": "web"});
    let template = json!({"metadata": {"labels": labels}, "spec": pod});
    let selector = json!({"matchLabels": labels});
    let spec = match kind {
        Kind::Pod => pod,
        Kind::Deployment | Kind::ReplicaSet => {
            json!({"replicas": 1, "selector": selector, "template": template})
        }
        Kind::StatefulSet => {
            json!({"replicas": 1, "selector": selector, "serviceName": "web", "template": template})
        }
        Kind::DaemonSet => json!({"selector": selector, "template": template}),
        Kind::ReplicationController => {
            json!({"replicas": 1, "selector": labels, "template": template})
        }
        Kind::Job => json!({"template": template}),
        Kind::CronJob => {
            json!({"schedule": "0 4 * * *", "jobTemplate": {"spec": {"template": template}}})
        }
        Kind::PodTemplate | Kind::ControllerRevision => Value::Null,
    };
    let names = kind.names();
    let mut object = json!({
        "apiVersion": names.api_version(),
        "kind": names.kind,
        "metadata": {"name": "web"},
    });
    match kind {
        Kind::PodTemplate => object["template"] = template,
        _ => object["spec"] = spec,
    }
    object
}
