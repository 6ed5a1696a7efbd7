//! podgate's own entry in a policy's `metadata.finalizers`, by server-side apply: others' entries are not touched.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::json;

use crate::api::FINALIZER;
use crate::leader::claim::{Claim, WriteError};

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
    let (uid, version) = (found.metadata.uid, found.metadata.resource_version);
    // Whoever put it there; of one's own entry alone others' are not touched.
    let others = found.metadata.finalizers.unwrap_or_default();
    let finalizers = if hold {
        vec![FINALIZER.to_owned()]
    } else {
        others.into_iter().filter(|it| it != FINALIZER).collect()
    };
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"uid": uid, "resourceVersion": version, "finalizers": finalizers},
    });
    let (params, patch) = if hold {
        (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(patch))
    } else {
        (PatchParams::default(), Patch::Merge(patch))
    };
    claim.write(api.patch(name, &params, &patch)).await.map(|_| ())
}
