//! The result of a compilation: the objects, and what they lack.

use serde_json::Value;

use super::entry::Action;

/// A `ValidatingAdmissionPolicy` and its binding, which have the same name.
pub struct CompiledPolicy {
    pub name: String,
    pub action: Action,
    pub policy: Value,
    pub binding: Value,
    /// Whether an update that only removes fields can cause one of its violations.
    pub by_removal: bool,
}

/// What the API server cannot judge as podgate does.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Loss {
    /// The policy's label.
    pub policy: String,
    /// `RULE`, `RULE/CHECK`, or a field of the policy's spec.
    pub what: String,
    pub reason: String,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "policy {}: {}: {}", self.policy, self.what, self.reason)
    }
}

/// The objects of a group of policies, and what they lack.
pub struct Compiled {
    pub objects: Vec<CompiledPolicy>,
    pub losses: Vec<Loss>,
}
