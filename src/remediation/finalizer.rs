//! podgate's own entry in a policy's `metadata.finalizers`, by server-side apply: others' entries are not touched.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::json;

use crate::api::FINALIZER;
use crate::clusters::claim::{Claim, WriteError};

const FIELD_MANAGER: &str = "podgate-remediation";

/// Puts it there, or takes it away.
pub async fn set(
    claim: &Claim,
    api: &Api<DynamicObject>,
    resource: &ApiResource,
    name: &str,
    hold: bool,
) -> Result<(), WriteError> {
    // A policy that is gone must not be made anew.
    let Some(found) = api.get_metadata_opt(name).await? else { return Ok(()) };
    let finalizers = if hold { vec![FINALIZER] } else { Vec::new() };
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "uid": found.metadata.uid,
            "resourceVersion": found.metadata.resource_version,
            "finalizers": finalizers,
        },
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    claim.write(api.patch(name, &params, &Patch::Apply(patch))).await.map(|_| ())
}
