//! The API resource of a kind.

use kube::core::{ApiResource, GroupVersionKind};

use crate::policy::workload::Kind;

/// The resource of a kind that podgate judges, without a request.
pub fn of(kind: Kind) -> ApiResource {
    let names = kind.names();
    let gvk = GroupVersionKind::gvk(names.group, names.version, names.kind);
    ApiResource::from_gvk_with_plural(&gvk, names.resource)
}
