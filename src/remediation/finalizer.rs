//! podgate's entry in a policy's `metadata.finalizers`. Other entries stay.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::json;

use super::transaction::FIELD_MANAGER;
use crate::api::FINALIZER;
use crate::leader::claim::{Claim, WriteError};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finalizer {
    Present,
    Absent,
}

/// Adds or removes the entry. A policy that is gone is left alone.
pub(super) async fn set(
    claim: &Claim,
    api: &Api<DynamicObject>,
    resource: &ApiResource,
    name: &str,
    wanted: Finalizer,
) -> Result<(), WriteError> {
    // The UID and the version keep the write from creating a deleted
    // policy again, and from overwriting a concurrent change.
    let Some(found) = api.get_metadata_opt(name).await? else { return Ok(()) };
    let (uid, version) = (found.metadata.uid, found.metadata.resource_version);
    let present = found.metadata.finalizers.unwrap_or_default();
    let finalizers = match wanted {
        // Applied server-side, which keeps the entries of other field managers.
        Finalizer::Present => vec![FINALIZER.to_owned()],
        // Merged, which removes the entry whatever field manager owns it.
        Finalizer::Absent => present.into_iter().filter(|it| it != FINALIZER).collect(),
    };
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"uid": uid, "resourceVersion": version, "finalizers": finalizers},
    });
    let (params, patch) = match wanted {
        Finalizer::Present => (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(patch)),
        Finalizer::Absent => (PatchParams::default(), Patch::Merge(patch)),
    };
    claim.write(api.patch(name, &params, &patch)).await.map(|_| ())
}
