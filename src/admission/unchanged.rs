//! Whether an update leaves the pod or template unchanged. The API server serializes both objects from the same types,
//! so equal values are equal text. Only updates of objects with violations are compared. Pure.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::policy::workload::Kind;

/// What `kubectl rollout restart` writes into a template, so that its controller makes new pods.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Whether the pod template is the same, byte for byte, before and after.
pub(super) fn template_unchanged(kind: Kind, body: &[u8]) -> bool {
    templates(kind, body).is_some_and(|[before, after]| before == after)
}

/// Whether the pod template is the same apart from the annotation of `kubectl rollout restart`.
pub(super) fn template_restarted(kind: Kind, body: &[u8]) -> bool {
    fn read(template: &str) -> Option<Value> {
        let mut template: Value = serde_json::from_str(template).ok()?;
        if let Some(metadata) = template.pointer_mut("/metadata").and_then(Value::as_object_mut)
            && let Some(annotations) =
                metadata.get_mut("annotations").and_then(Value::as_object_mut)
        {
            annotations.remove(RESTARTED_AT);
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
        Some(template)
    }
    let read = |[before, after]: [&str; 2]| Some((read(before)?, read(after)?));
    templates(kind, body).and_then(read).is_some_and(|(before, after)| before == after)
}

/// The JSON of the pod template before and after.
fn templates(kind: Kind, body: &[u8]) -> Option<[&str; 2]> {
    #[derive(Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        request: Request<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        #[serde(borrow)]
        object: Holder<'a>,
        #[serde(borrow)]
        old_object: Holder<'a>,
    }
    /// An object or a spec that may hold a template.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Holder<'a> {
        #[serde(borrow)]
        spec: Option<Box<Holder<'a>>>,
        #[serde(borrow)]
        job_template: Option<Box<Holder<'a>>>,
        #[serde(borrow)]
        template: Option<&'a RawValue>,
    }
    fn template<'a>(kind: Kind, object: &Holder<'a>) -> Option<&'a str> {
        let holder = match kind {
            Kind::PodTemplate => object,
            Kind::CronJob => object.spec.as_ref()?.job_template.as_ref()?.spec.as_ref()?,
            _ => object.spec.as_ref()?,
        };
        holder.template.map(RawValue::get)
    }
    let Review { request } = serde_json::from_slice(body).ok()?;
    Some([template(kind, &request.old_object)?, template(kind, &request.object)?])
}

/// Whether the parts of a pod that built-in rules read (spec, labels, annotations) are the same, byte for byte.
pub(super) fn pod_unchanged(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        request: Request<'a>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request<'a> {
        #[serde(borrow)]
        object: Pod<'a>,
        #[serde(borrow)]
        old_object: Pod<'a>,
    }
    #[derive(Deserialize)]
    struct Pod<'a> {
        #[serde(borrow, default)]
        metadata: Metadata<'a>,
        #[serde(borrow)]
        spec: &'a RawValue,
    }
    #[derive(Default, Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        labels: Option<&'a RawValue>,
        #[serde(borrow)]
        annotations: Option<&'a RawValue>,
    }
    fn parts<'a>(pod: &Pod<'a>) -> [Option<&'a str>; 3] {
        let Metadata { labels, annotations } = pod.metadata;
        [Some(pod.spec), labels, annotations].map(|part| part.map(RawValue::get))
    }
    let Ok(Review { request }) = serde_json::from_slice::<Review<'_>>(body) else { return false };
    parts(&request.object) == parts(&request.old_object)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn unchanged(old: &Value, new: &Value) -> bool {
        let review = json!({"request": {"object": new, "oldObject": old}});
        pod_unchanged(review.to_string().as_bytes())
    }

    #[test]
    fn a_restarted_template_differs_in_one_annotation_only() {
        let template = |annotations: Value| json!({"metadata": {"annotations": annotations, "labels": {"a": "b"}}, "spec": {"x": 1}});
        let restarted = |old: Value, new: Value| {
            let of = |template: Value| json!({"spec": {"template": template}});
            let review = json!({"request": {"object": of(new), "oldObject": of(old)}}).to_string();
            template_restarted(Kind::Deployment, review.as_bytes())
        };
        let at = |time: &str| json!({RESTARTED_AT: time});
        let bare = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}});
        assert!(restarted(bare.clone(), template(at("1"))), "for the first time");
        assert!(restarted(template(at("1")), template(at("2"))));
        assert!(restarted(template(at("1")), bare.clone()));
        assert!(!restarted(bare.clone(), template(json!({RESTARTED_AT: "1", "c": "d"}))));
        assert!(!restarted(
            bare.clone(),
            json!({"metadata": {"labels": {"a": "b"}}, "spec": {"x": 2}})
        ));
        assert!(!restarted(Value::Null, bare) && !template_restarted(Kind::Deployment, b"{"));
    }

    #[test]
    fn a_pod_is_unchanged_where_rules_look() {
        let old = json!({"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}, "ownerReferences": [{}]}, "spec": {"x": 1}});
        let with = |pointer: &str, value: Value| {
            let mut new = old.clone();
            *new.pointer_mut(pointer).unwrap() = value;
            new
        };
        assert!(unchanged(&old, &old));
        assert!(unchanged(&old, &with("/metadata/ownerReferences", json!([]))));
        for field in ["/metadata/labels/a", "/metadata/annotations/c", "/spec/x"] {
            assert!(!unchanged(&old, &with(field, json!(2))), "{field}");
        }
        assert!(!unchanged(&Value::Null, &old) && !unchanged(&old, &Value::Null));
        assert!(!pod_unchanged(b"{"));
    }
}
