//! Helm ownership metadata. podgate copies it to an object that it creates anew; without it, `helm uninstall` would
//! leave the object behind.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const LABELS: [&str; 1] = ["app.kubernetes.io/managed-by"];
/// The annotations by which Helm recognizes the objects of a release. They do not change during a release's life.
const ANNOTATIONS: [&str; 2] = ["meta.helm.sh/release-name", "meta.helm.sh/release-namespace"];

/// The Helm ownership labels and annotations of an object, and none of its other metadata. Of an object that Helm does not
/// own, it is empty.
pub fn ownership(metadata: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        labels: only(metadata.labels.as_ref(), &LABELS),
        annotations: only(metadata.annotations.as_ref(), &ANNOTATIONS),
        ..ObjectMeta::default()
    }
}

/// These keys of a map. `None` where it has none of them: by server-side apply, an empty map would be owned as a whole, and
/// another manager that applies a key of it would have a conflict.
fn only(map: Option<&BTreeMap<String, String>>, keys: &[&str]) -> Option<BTreeMap<String, String>> {
    let mut known = map?.clone();
    known.retain(|key, _| keys.contains(&key.as_str()));
    Some(known).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A Secret that podgate created with empty labels could not be upgraded by Helm 4: "conflicts with podgate:
    /// .metadata.labels".
    #[test]
    fn only_what_helm_knows_a_release_by_is_copied_and_nothing_is_owned_where_there_is_none() {
        let copied = |metadata: serde_json::Value| {
            json!(ownership(&serde_json::from_value(metadata).unwrap()))
        };
        let helms = json!({
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "p", "meta.helm.sh/release-namespace": "n"},
        });
        let mut more = helms.clone();
        more["name"] = json!("podgate-tls");
        more["labels"]["a"] = json!("b");
        more["annotations"]["c"] = json!("d");
        assert_eq!(copied(more), helms);
        for none in [json!({}), json!({"labels": {"a": "b"}, "annotations": {}})] {
            assert_eq!(copied(none), json!({}));
        }
    }
}
