//! Whether an update leaves the pod or template unchanged. The API server serializes both objects from the same types,
//! so equal values are equal text. Only updates of objects with violations are compared. Pure.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::policy::workload::Kind;

/// Whether the pod template is the same, byte for byte, before and after.
pub(super) fn template_unchanged(kind: Kind, body: &[u8]) -> bool {
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
    let Ok(Review { request }) = serde_json::from_slice::<Review<'_>>(body) else { return false };
    let before = template(kind, &request.old_object);
    before.is_some() && before == template(kind, &request.object)
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
