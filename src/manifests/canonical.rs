//! The canonical form of a policy, for git: the fields that a person wrote, without those that a cluster added.

use std::fmt::Write;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use crate::api::API_VERSION;

/// Annotations and labels with which a tool marks the objects that it delivered to one cluster.
const DELIVERY: [&str; 9] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
    "helm.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/namespace",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
];

/// `apiVersion`, `kind`, `spec`, and the metadata's name, namespace, labels and annotations. Two policies with equal
/// canonical forms make the same checks in the same namespaces.
pub fn canonical(policy: &Value) -> Value {
    let at = |path: &str| policy.pointer(path).cloned();
    let mut metadata = Map::new();
    for field in ["name", "namespace"] {
        metadata.extend(at(&format!("/metadata/{field}")).map(|it| (field.to_owned(), it)));
    }
    for field in ["annotations", "labels"] {
        if let Some(Value::Object(mut pairs)) = at(&format!("/metadata/{field}")) {
            pairs.retain(|key, _| !DELIVERY.contains(&key.as_str()));
            if !pairs.is_empty() {
                metadata.insert(field.to_owned(), Value::Object(pairs));
            }
        }
    }
    let spec = at("/spec").filter(|it| !it.is_null()).unwrap_or_else(|| json!({}));
    json!({
        "apiVersion": API_VERSION,
        "kind": at("/kind").unwrap_or_default(),
        "metadata": metadata,
        "spec": without_nulls(spec),
    })
}

/// Removes fields that are null: the API server stores none, so a file's nulls must not count as a difference.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(field, value)| (field, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// The first twelve hexadecimal digits of the SHA-256 of a policy's `spec`. Field order and layout do not change it.
/// Two policies with the same hash make the same checks.
pub fn content_hash(policy: &Value) -> String {
    let spec = canonical(policy).pointer("/spec").map(Value::to_string).unwrap_or_default();
    let digest = digest(&SHA256, spec.as_bytes());
    digest.as_ref().iter().take(6).fold(String::new(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_adds_is_left_out_and_what_a_person_wrote_is_kept() {
        let live = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {
                "name": "baseline", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 3,
                "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{}], "finalizers": ["a/b"],
                "labels": {"team": "cart", "kustomize.toolkit.fluxcd.io/name": "policies"},
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "spec": {"forbidLatestTag": true, "contact": null},
            "status": {"violations": 3},
        });
        let written = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": "baseline", "namespace": "shop", "labels": {"team": "cart"}},
            "spec": {"forbidLatestTag": true},
        });
        assert_eq!(canonical(&live), written);
        assert_eq!(canonical(&written), written);
    }

    #[test]
    fn a_hash_depends_on_the_spec_but_not_on_the_name_or_the_field_order() {
        let policy = |name: &str, spec: &str| json!({"kind": "DevOpsPolicy", "metadata": {"name": name}, "spec": serde_json::from_str::<Value>(spec).unwrap()});
        let hash = content_hash(&policy("a", r#"{"bundle": "baseline", "contact": "x"}"#));
        assert_eq!(hash.len(), 12);
        assert_eq!(hash, content_hash(&policy("b", r#"{"contact": "x", "bundle": "baseline"}"#)));
        assert_ne!(hash, content_hash(&policy("a", r#"{"bundle": "restricted", "contact": "x"}"#)));
    }
}
