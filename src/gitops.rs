//! Policies between git and a cluster, for `podgate policy export|import|diff|apply`: [`live`] reads what a cluster has,
//! [`apply::ApplyPlan`] writes what files say, [`prune`] deletes what they no longer say, and [`folder`] writes files.
//! What is compared is always a policy's canonical form (`manifests::canonical`).

pub mod apply;
pub mod folder;
pub mod leftover;
pub mod live;
pub mod prune;
mod refusal;
pub mod selector;

use serde_json::Value;

use crate::manifests::canonical::canonical;
use crate::policy::key::PolicyKey;

pub use refusal::{Blame, Refusal};

/// Who writes, as `managedFields` names it.
pub const FIELD_MANAGER: &str = "podgate-cli";

/// A policy as a file, or a command, wants it.
#[derive(Clone, Debug)]
pub struct Desired {
    pub key: PolicyKey,
    /// Where it is written, for messages: `FILE:LINE:COLUMN`.
    pub place: String,
    /// The canonical form.
    pub policy: Value,
}

impl Desired {
    pub fn new(place: String, manifest: &Value) -> Self {
        let policy = canonical(manifest);
        Self { key: PolicyKey::of_manifest(&policy), place, policy }
    }
}

/// A policy as one YAML document, without a separator.
///
/// # Errors
/// It cannot be written, which no JSON value is known to cause.
pub fn yaml(policy: &Value) -> std::io::Result<String> {
    serde_saphyr::to_string(policy).map_err(std::io::Error::other)
}

#[cfg(test)]
mod properties;
