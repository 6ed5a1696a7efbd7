//! CRDs in a cluster, without their types: decoding the types of schemas would make the binary large.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;

/// The CRDs of a cluster.
pub fn api(client: Client) -> Api<DynamicObject> {
    Api::all_with(client, &ApiResource::erase::<CustomResourceDefinition>(&()))
}

/// Whether the API server serves the objects of a CRD.
pub fn is_established(crd: &DynamicObject) -> bool {
    let conditions = crd.data.pointer("/status/conditions").and_then(Value::as_array);
    let is = |it: &Value, field: &str, value: &str| it.get(field).is_some_and(|it| it == value);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| is(it, "type", "Established") && is(it, "status", "True"))
}
