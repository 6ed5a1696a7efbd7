//! The created objects: an ordinary pod, alone and in a Deployment, and the same with one change.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

/// The recorded pod, without the fields that the API server and the ReplicaSet set.
pub fn compliant() -> Value {
    let review: Value = serde_json::from_str(include_str!("../reviews/pod.json")).unwrap();
    let recorded = &review["request"]["object"];
    let metadata = &recorded["metadata"];
    json!({
        "metadata": {"labels": metadata["labels"], "annotations": metadata["annotations"]},
        "spec": recorded["spec"],
    })
}

/// An object of this kind with this pod.
pub fn object(kind: Kind, mut pod: Value) -> Value {
    let mut object = match kind {
        Kind::Pod => std::mem::take(&mut pod),
        Kind::Deployment => json!({
            "metadata": {"labels": pod["metadata"]["labels"]},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": pod["metadata"]["labels"]},
                "template": pod,
            },
        }),
        _ => panic!("{kind:?} is not measured"),
    };
    let names = kind.names();
    object["apiVersion"] = names.api_version().into();
    object["kind"] = names.kind.into();
    object["metadata"]["name"] = "checkout".into();
    object
}

/// A change to a pod, and the one rule that it then violates.
pub struct Case {
    pub what: &'static str,
    pub breaks: Option<&'static str>,
    pub change: fn(&mut Value),
}

/// The cases on which all variants must agree.
pub fn cases(kind: Kind) -> impl Iterator<Item = Case> {
    let case = |what, breaks, change| Case { what, breaks, change };
    let all = vec![
        case("as it is", None, |_| ()),
        case("latest", Some("forbidLatestTag"), |spec| {
            spec["containers"][0]["image"] = json!("ghcr.io/example/checkout:latest");
        }),
        case("a port and no tag", Some("forbidLatestTag"), |spec| {
            spec["containers"][0]["image"] = json!("registry.example:5000/checkout");
        }),
        case("an init container without a tag", Some("forbidLatestTag"), |spec| {
            spec["initContainers"][0]["image"] = json!("ghcr.io/example/checkout-migrate");
        }),
        case("an image volume without a tag", Some("forbidLatestTag"), |spec| {
            let volume = json!({"name": "model", "image": {"reference": "ghcr.io/example/model"}});
            spec["volumes"].as_array_mut().unwrap().push(volume);
        }),
        case("latest by digest", None, |spec| {
            let digest = "0".repeat(64);
            let image = format!("ghcr.io/example/checkout:latest@sha256:{digest}");
            spec["containers"][0]["image"] = image.into();
        }),
        case("no liveness probe", Some("requireLivenessProbe"), |spec| {
            without(&mut spec["containers"][0], "livenessProbe");
        }),
        case("no readiness probe", Some("requireReadinessProbe"), |spec| {
            without(&mut spec["containers"][0], "readinessProbe");
        }),
        case("a sidecar without a liveness probe", Some("requireLivenessProbe"), |spec| {
            spec["initContainers"][0]["restartPolicy"] = json!("Always");
            spec["initContainers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 80}});
        }),
    ];
    // A Deployment's pods always restart.
    let ends = case("no probes and an end", None, |spec| {
        spec["restartPolicy"] = json!("Never");
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            without(&mut spec["containers"][0], probe);
        }
    });
    all.into_iter().chain((kind == Kind::Pod).then_some(ends))
}

fn without(container: &mut Value, field: &str) {
    container.as_object_mut().unwrap().remove(field);
}
