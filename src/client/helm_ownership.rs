//! By what an object is known to belong to a release of a chart, so that it still does after it was made anew: else nobody
//! would take it away with the release.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const LABELS: [&str; 1] = ["app.kubernetes.io/managed-by"];
/// By which Helm knows what it owns. They never change in the life of a release.
const ANNOTATIONS: [&str; 2] = ["meta.helm.sh/release-name", "meta.helm.sh/release-namespace"];

/// The labels and annotations of an object that say so, and nothing else of it.
pub fn belongings(metadata: &ObjectMeta) -> ObjectMeta {
    let labels = metadata.labels.iter().flatten().filter(|(key, _)| LABELS.contains(&key.as_str()));
    let annotations = metadata.annotations.iter().flatten();
    let annotations = annotations.filter(|(key, _)| ANNOTATIONS.contains(&key.as_str()));
    ObjectMeta {
        labels: Some(labels.map(|(key, value)| (key.clone(), value.clone())).collect()),
        annotations: Some(annotations.map(|(key, value)| (key.clone(), value.clone())).collect()),
        ..ObjectMeta::default()
    }
}
