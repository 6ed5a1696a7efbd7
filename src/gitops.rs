//! Copies policies between git and a cluster, for `podgate policy export|import|diff|apply`: `live` reads a cluster's
//! policies, `apply` writes the policies of files, `prune` deletes policies that the files no longer have, and `folder`
//! writes files. Policies are always compared in their canonical form (`manifests::canonical`).

pub(crate) mod apply;
mod desired;
pub(crate) mod folder;
pub(crate) mod leftover;
pub(crate) mod live;
pub(crate) mod prune;
mod refusal;
pub(crate) mod selector;

use serde_json::Value;

pub(crate) use desired::Desired;
pub(crate) use refusal::{Blame, WriteRefusal};

/// A policy as one YAML document, without a separator.
///
/// # Errors
/// It cannot be serialized; no JSON value is known to cause this.
pub(crate) fn yaml(policy: &Value) -> std::io::Result<String> {
    serde_saphyr::to_string(policy).map_err(std::io::Error::other)
}

#[cfg(test)]
mod properties;
