//! Pods that some checks do not apply to.

use super::super::super::object::PodSpec;

/// Whether the pod declares Windows in `spec.os`, the only field that the standards read for it.
pub fn is_windows(spec: &PodSpec<'_>) -> bool {
    spec.os.as_ref().is_some_and(|os| &*os.name == "windows")
}

/// Whether the pod has a user namespace of its own, so that its root is an unprivileged user on the node. Pod Security
/// admission checks the field without a feature gate since version 1.35 of the standards.
pub fn has_user_namespace(spec: &PodSpec<'_>) -> bool {
    spec.host_users == Some(false)
}

/// [`is_windows`] of the pod `p`, in CEL.
pub const WINDOWS: &str = "p.spec.?os.?name.orValue('') == 'windows'";
/// [`has_user_namespace`] of the pod `p`, in CEL.
pub const USER_NAMESPACE: &str = "p.spec.?hostUsers.orValue(true) == false";
