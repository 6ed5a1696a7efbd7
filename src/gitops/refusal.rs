//! Why the API server refuses a policy, and whether the input or the cluster must change.

use kube::core::Status;
use kube::core::response::StatusDetails;

use crate::clusters::{Cluster, ClusterError};
use crate::policy::key::PolicyKey;

/// What must change, for the exit code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// The policy is invalid.
    Input,
    /// The cluster, or the caller's permissions in it.
    Cluster,
}

/// Why a policy cannot be written or deleted.
#[derive(Clone, Debug)]
pub struct WriteRefusal {
    /// Where the policy is written, or the flag that chose it.
    pub place: String,
    pub message: String,
    pub blame: Blame,
}

impl WriteRefusal {
    /// Explains a failed request, with the next step.
    pub fn of(place: String, key: &PolicyKey, cluster: &Cluster, error: kube::Error) -> Self {
        let (blame, message) = match error {
            kube::Error::Api(status) => describe(key, cluster, *status),
            error => (Blame::Cluster, cluster.explain(error).to_string()),
        };
        Self { place, message: format!("{key}: {message}"), blame }
    }
}

fn describe(key: &PolicyKey, cluster: &Cluster, status: Status) -> (Blame, String) {
    let details = status.details.as_ref();
    match status.code {
        404 if details.is_some_and(|it| it.kind == "namespaces") => {
            let namespace = key.namespace.as_deref().unwrap_or_default();
            let message = format!(
                "there is no namespace {namespace}; create it with: kubectl create namespace {namespace}"
            );
            (Blame::Cluster, message)
        }
        // A 404 names the missing object; without a name, the API server does not serve the kind.
        404 if details.is_none_or(|it| it.name.is_empty()) => {
            (Blame::Cluster, ClusterError::NotServed(key.kind()).to_string())
        }
        409 => (Blame::Cluster, conflict(&status.message, details)),
        400 | 422 => (Blame::Input, status.message),
        403 if by_admission(&status.message) => (Blame::Input, status.message),
        _ => {
            let error = cluster.explain(kube::Error::Api(status.boxed()));
            (Blame::Cluster, error.to_string())
        }
    }
}

/// Whether a webhook or a `ValidatingAdmissionPolicy` refused the object. Other 403 errors refuse the caller.
fn by_admission(message: &str) -> bool {
    message.contains("admission webhook \"") || message.contains("ValidatingAdmissionPolicy")
}

/// Describes a conflict of server-side apply: the fields, and their managers.
fn conflict(message: &str, details: Option<&StatusDetails>) -> String {
    let causes = details.into_iter().flat_map(|it| &it.causes);
    let causes = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    let fields: Vec<_> =
        causes.map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    if fields.is_empty() {
        return format!("{message}; try again");
    }
    format!(
        "{}; take the fields over with --force-conflicts, or remove them from the file",
        fields.join(", ")
    )
}
