//! The objects of floors ([`crate::policy::vap::floor`]) in a cluster.

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};

use crate::clusters::Cluster;
use crate::policy::vap::floor::LABEL;

pub(super) const POLICY: &str = "ValidatingAdmissionPolicy";
pub(super) const BINDING: &str = "ValidatingAdmissionPolicyBinding";

/// The API of a kind of objects.
pub(super) fn api(cluster: &Cluster, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    Api::all_with(cluster.client.clone(), &ApiResource::from_gvk(&kind))
}

/// The names of the objects of floors, of every release; none where the API server does not serve the kind.
///
/// # Errors
/// The API server's error.
pub(super) async fn names(api: &Api<DynamicObject>) -> Result<Vec<String>, kube::Error> {
    match api.list_metadata(&ListParams::default().labels(LABEL)).await {
        Ok(listed) => Ok(listed.items.into_iter().filter_map(|it| it.metadata.name).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
