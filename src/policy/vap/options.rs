//! What the objects depend on beside the policies.

use super::super::grace::ControllerUsers;
use super::super::protected::Protected;

/// The oldest Kubernetes whose API server takes the objects.
pub const OLDEST_KUBERNETES: &str = "1.33";

/// What the objects depend on beside the policies.
pub struct Options<'a> {
    /// The first part of every object's name.
    pub prefix: &'a str,
    /// The end of every object's name: empty, or [`STATIC`].
    pub suffix: &'a str,
    /// Namespaces that no object covers.
    pub protected: &'a Protected,
    /// The users of Kubernetes' controllers, for policies in their grace.
    pub controllers: &'a ControllerUsers,
    /// A condition in CEL under which only what a removal of fields can cause is judged, and only in updates: the API
    /// server puts no time on a write that only removes fields. `None` judges everything.
    pub removals_if: Option<&'a str>,
    /// A list in CEL of times that have passed when a write is judged, beside its own.
    pub passed: Option<&'a str>,
    /// A text in CEL at the end of a denial.
    pub ending: Option<&'a str>,
}

/// The end of the names of policies that an API server reads from files (KEP-5793).
pub const STATIC: &str = ".static.k8s.io";
