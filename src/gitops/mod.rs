//! Policies between git and a cluster, for `podgate policy export|import|diff|apply`: [`live`] reads what a cluster has,
//! [`apply::Plan`] writes what files say, [`prune`] deletes what they no longer say, and [`folder`] writes files.
//! What is compared is always a policy's canonical form (`manifests::canonical`).

pub mod apply;
pub mod folder;
pub mod leftover;
pub mod live;
pub mod prune;
mod refusal;
pub mod selector;

use std::fmt;

use serde_json::Value;

use crate::manifests::canonical::canonical;

pub use refusal::{Blame, Refusal};

/// Who writes, as `managedFields` names it.
pub const FIELD_MANAGER: &str = "podgate-cli";

/// Which policy. Its order is that of an export: the cluster's own come first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// `None` for a `ClusterDevOpsPolicy`.
    pub namespace: Option<String>,
    pub name: String,
}

impl Key {
    /// Of an object; what it does not name is empty.
    pub fn of(object: &Value) -> Self {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        // A namespace that the cluster's own policy names is the API server's to refuse.
        let namespaced = text("/kind").is_none_or(|kind| kind == "DevOpsPolicy");
        Self {
            namespace: text("/metadata/namespace").filter(|_| namespaced),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }

    /// Its kind, as it stands in a manifest.
    pub fn kind(&self) -> &'static str {
        if self.namespace.is_some() { "DevOpsPolicy" } else { "ClusterDevOpsPolicy" }
    }

    /// As kubectl takes it: `devopspolicy.devops.stochastic.io/NAME -n NAMESPACE`.
    pub fn argument(&self) -> String {
        match &self.namespace {
            Some(namespace) => {
                format!("devopspolicy.devops.stochastic.io/{} -n {namespace}", self.name)
            }
            None => format!("clusterdevopspolicy.devops.stochastic.io/{}", self.name),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind(), self.name),
            None => write!(f, "{} {}", self.kind(), self.name),
        }
    }
}

/// A policy as a file, or a command, wants it.
#[derive(Clone, Debug)]
pub struct Desired {
    pub key: Key,
    /// Where it is written, for messages: `FILE:LINE:COLUMN`.
    pub place: String,
    /// The canonical form.
    pub policy: Value,
}

impl Desired {
    pub fn new(place: String, manifest: &Value) -> Self {
        let policy = canonical(manifest);
        Self { key: Key::of(&policy), place, policy }
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
