//! AdmissionReviews as the API server writes them.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

/// The creation of an object in a namespace.
pub fn create(namespace: &str, object: &Value) -> Value {
    review("CREATE", namespace, object, &Value::Null)
}

/// An update of an object in a namespace.
pub fn update(namespace: &str, old: &Value, new: &Value) -> Value {
    review("UPDATE", namespace, new, old)
}

fn review(operation: &str, namespace: &str, object: &Value, old: &Value) -> Value {
    let kind = kind_of(object).names();
    let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let resource = json!({"group": kind.group, "version": kind.version, "resource": kind.resource});
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": gvk,
            "resource": resource,
            "requestKind": gvk,
            "requestResource": resource,
            "name": object["metadata"]["name"],
            "namespace": namespace,
            "operation": operation,
            "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": old,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

/// The JSON Patch of a `/mutate` answer, if it has one.
pub fn patch_of(response: &Value) -> Option<json_patch::Patch> {
    assert_eq!(response["allowed"], true, "{response}");
    let patch = response.get("patch");
    assert_eq!(response.get("patchType"), patch.map(|_| json!("JSONPatch")).as_ref());
    let bytes: k8s_openapi::ByteString = serde_json::from_value(patch?.clone()).unwrap();
    Some(serde_json::from_slice(&bytes.0).unwrap())
}

/// The kind of an object, from its `kind` field.
pub fn kind_of(object: &Value) -> Kind {
    let found = Kind::ALL.into_iter().find(|kind| object["kind"] == kind.names().kind);
    found.unwrap_or_else(|| panic!("{} is none of the judged kinds", object["kind"]))
}
