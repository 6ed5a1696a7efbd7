//! Helm ownership metadata. podgate copies it to an object that it creates anew; without it, `helm uninstall` would
//! leave the object behind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const LABELS: [&str; 1] = ["app.kubernetes.io/managed-by"];
/// The annotations by which Helm recognizes the objects of a release. They do not change during a release's life.
const ANNOTATIONS: [&str; 2] = ["meta.helm.sh/release-name", "meta.helm.sh/release-namespace"];

/// The Helm ownership labels and annotations of an object, and none of its other metadata.
pub fn ownership(metadata: &ObjectMeta) -> ObjectMeta {
    let labels = metadata.labels.iter().flatten().filter(|(key, _)| LABELS.contains(&key.as_str()));
    let annotations = metadata.annotations.iter().flatten();
    let annotations = annotations.filter(|(key, _)| ANNOTATIONS.contains(&key.as_str()));
    ObjectMeta {
        labels: Some(labels.map(|(key, value)| (key.clone(), value.clone())).collect()),
        annotations: Some(annotations.map(|(key, value)| (key.clone(), value.clone())).collect()),
        ..ObjectMeta::default()
    }
}
