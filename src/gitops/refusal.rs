//! Why the API server does not take a policy, and whose matter that is.

use kube::core::Status;
use kube::core::response::StatusDetails;

use crate::clusters::{Cluster, ClusterError};
use crate::policy::key::PolicyKey;

/// Who has to do something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// What is written is no good.
    Input,
    /// The cluster, or somebody's rights in it.
    Cluster,
}

/// What stands against a policy.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Where it is written, or which it is.
    pub place: String,
    pub message: String,
    pub blame: Blame,
}

impl Refusal {
    /// In whose words a call failed, and what to do about it.
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
                "there is no namespace {namespace}; make it with: kubectl create namespace {namespace}"
            );
            (Blame::Cluster, message)
        }
        // The API server names the object that it has not; of a kind that it has not, it says no more than 404.
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

/// Whether it is the object that is refused, and not who asks: a webhook's and a `ValidatingAdmissionPolicy`'s words.
fn by_admission(message: &str) -> bool {
    message.contains("admission webhook \"") || message.contains("ValidatingAdmissionPolicy")
}

/// A conflict of server-side apply: with whom, about which fields.
fn conflict(message: &str, details: Option<&StatusDetails>) -> String {
    let causes = details.into_iter().flat_map(|it| &it.causes);
    let causes = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    let fields: Vec<_> =
        causes.map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    if fields.is_empty() {
        return format!("{message}; try again");
    }
    format!(
        "{}; take the fields over with --force-conflicts, or leave them to it",
        fields.join(", ")
    )
}
