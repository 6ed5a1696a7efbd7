//! CRDs in a cluster, without their types: decoding the types of schemas would make the binary large.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject};

/// The CRDs of a cluster.
pub fn api(client: Client) -> Api<DynamicObject> {
    Api::all_with(client, &ApiResource::erase::<CustomResourceDefinition>(&()))
}

/// Whether the API server serves the objects of a CRD.
pub fn is_established(crd: &DynamicObject) -> bool {
    let mut conditions = crd.data["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|it| it["type"] == "Established" && it["status"] == "True")
}
