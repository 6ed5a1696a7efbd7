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

/// A CRD of this binary.
///
/// # Errors
/// None in practice: a test parses each.
pub fn parse(yaml: &str) -> Result<DynamicObject, String> {
    // By way of JSON: decoding a type from YAML adds much to the binary.
    let value: Value = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Whether the API server serves the objects of a CRD.
pub fn is_established(crd: &DynamicObject) -> bool {
    let conditions = crd.data.pointer("/status/conditions").and_then(Value::as_array);
    let is = |it: &Value, field: &str, value: &str| it.get(field).is_some_and(|it| it == value);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| is(it, "type", "Established") && is(it, "status", "True"))
}

/// Whether two values are equal. The API server writes the number 0.0 as 0.
pub fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| is_same(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}
