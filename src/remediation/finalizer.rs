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
    // A policy that is gone must not be made anew, nor a list be written that somebody else has changed meanwhile.
    let Some(found) = api.get_metadata_opt(name).await? else { return Ok(()) };
    let metadata =
        json!({"uid": found.metadata.uid, "resourceVersion": found.metadata.resource_version});
    if hold {
        let mut patch = json!({
            "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata,
        });
        patch["metadata"]["finalizers"] = json!([FINALIZER]);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        return claim.write(api.patch(name, &params, &Patch::Apply(patch))).await.map(|_| ());
    }
    // Whoever put it there.
    let others = found.metadata.finalizers.unwrap_or_default();
    let others: Vec<_> = others.into_iter().filter(|it| it != FINALIZER).collect();
    let mut patch = json!({ "metadata": metadata });
    patch["metadata"]["finalizers"] = json!(others);
    let params = PatchParams::default();
    claim.write(api.patch(name, &params, &Patch::Merge(patch))).await.map(|_| ())
}
