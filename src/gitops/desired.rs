//! A policy as a file or a command wants it.

use serde_json::Value;

use super::refusal::{Blame, WriteRefusal};
use crate::manifests::canonical::canonical;
use crate::policy::key::PolicyKey;

/// A policy to write to a cluster.
#[derive(Clone, Debug)]
pub struct Desired {
    pub key: PolicyKey,
    /// Where the policy is written, for messages: `FILE:LINE:COLUMN`.
    pub place: String,
    /// The canonical form.
    pub policy: Value,
}

impl Desired {
    pub fn new(place: String, manifest: &Value) -> Self {
        let policy = canonical(manifest);
        Self { key: PolicyKey::of_manifest(&policy), place, policy }
    }

    /// A refusal because of the cluster's state.
    pub(super) fn refused(&self, message: &str) -> WriteRefusal {
        let message = format!("{}: {message}", self.key);
        WriteRefusal { place: self.place.clone(), message, blame: Blame::Cluster }
    }
}
