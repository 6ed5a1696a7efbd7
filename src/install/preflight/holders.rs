//! Lists who, beside podgate and the cluster itself, could mislead podgate: the subjects that may write or delete the
//! beat's Lease, and those that may change the labels by which policies select namespaces.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::super::permissions::Names;
use super::check::{Check, CheckSubject};
use super::rights::{Action, Rights};
use crate::api::ClusterDevOpsPolicy;
use crate::clusters::Cluster;
use crate::nonce::LEASE;

/// The most subjects or policies that a check names.
const MAX_NAMED: usize = 10;
/// The prefix of cluster admins, who may do everything.
const ADMIN: &str = "ClusterRole cluster-admin ";

pub(super) async fn holders(
    cluster: &Cluster,
    release_namespace: &str,
    names: &Names,
) -> Vec<Check> {
    let rights = match Rights::read(cluster).await {
        Ok(rights) => rights,
        Err(error) => {
            return vec![
                CheckSubject::Permission.unseen("the cluster's roles and bindings", &error),
            ];
        }
    };
    let lease = Action {
        group: "coordination.k8s.io",
        resource: "leases",
        name: LEASE,
        verbs: &["create", "update", "patch", "delete", "deletecollection"],
    };
    let own = format!("Role {} ", names.release);
    let mut writers = rights.holders(release_namespace, &lease);
    writers.retain(|it| !it.starts_with(&own));
    let namespaces =
        Action { group: "", resource: "namespaces", name: "", verbs: &["update", "patch"] };
    let mut labellers = rights.holders("", &namespaces);
    labellers.retain(|it| !it.starts_with(ADMIN));
    let mut checks = vec![lease_check(&writers)];
    match selecting(cluster).await {
        Ok(selecting) => checks.push(label_check(&selecting, &labellers)),
        Err(error) => checks.push(CheckSubject::Policy.unseen("ClusterDevOpsPolicies", &error)),
    }
    checks
}

fn lease_check(writers: &BTreeSet<String>) -> Check {
    CheckSubject::Permission.ok(if writers.is_empty() {
        format!("nobody but podgate may write or delete the Lease {LEASE}")
    } else {
        format!(
            "the Lease {LEASE} may be deleted, or written where podgate does not refuse it, by {}",
            named(writers)
        )
    })
}

/// Labels matter only where a policy selects namespaces by them.
fn label_check(selecting: &[String], labellers: &BTreeSet<String>) -> Check {
    if selecting.is_empty() || labellers.is_empty() {
        let what = if labellers.is_empty() {
            "nobody but cluster admins may change the labels of namespaces".to_owned()
        } else {
            format!(
                "the labels of namespaces may be changed by {}; no policy selects by them now",
                named(labellers)
            )
        };
        return CheckSubject::Permission.ok(what);
    }
    let policies = named(&selecting.iter().cloned().collect());
    CheckSubject::Permission.warning(
        format!(
            "whoever may change the labels of namespaces can take them out of the namespaceSelector of {policies}: {}",
            named(labellers)
        ),
        "select by excludeNamespaces or kubernetes.io/metadata.name, or revoke that right",
    )
}

fn named(all: &BTreeSet<String>) -> String {
    let names: Vec<_> = all.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = all.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    names.join(", ") + &more
}

/// The cluster policies that select namespaces by labels.
async fn selecting(cluster: &Cluster) -> Result<Vec<String>, kube::Error> {
    #[derive(Deserialize)]
    struct View {
        metadata: Metadata,
        #[serde(default)]
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        namespace_selector: Option<serde_json::Value>,
    }
    let mut found = Vec::new();
    let listed = cluster.list::<ClusterDevOpsPolicy>(None, None, |json| {
        if let Ok(View { metadata, spec }) = serde_json::from_str(json)
            && spec.namespace_selector.is_some_and(|it| it.to_string().contains(':'))
        {
            found.push(metadata.name);
        }
    });
    match listed.await {
        // The check of CRDs reports a missing CRD.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        listed => listed.map(|()| found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::CheckState;
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&it| it.to_owned()).collect()
    }

    #[test]
    fn who_may_label_a_namespace_matters_where_a_policy_goes_by_labels() {
        let jane = set(&["Role labels in shop (User jane)"]);
        let production = ["production".to_owned()];
        assert_eq!(label_check(&[], &jane).state, CheckState::Ok);
        assert_eq!(label_check(&production, &set(&[])).state, CheckState::Ok);
        let warned = label_check(&production, &jane);
        assert_eq!(warned.state, CheckState::Warning);
        assert!(
            warned.what.contains("production") && warned.what.contains("User jane"),
            "{}",
            warned.what
        );
    }

    #[test]
    fn of_many_some_are_named_and_the_rest_counted() {
        let many: Vec<_> = (10..32).map(|it| format!("Role r{it}")).collect();
        let what = lease_check(&many.iter().cloned().collect()).what;
        assert!(what.contains("Role r10") && what.ends_with("and 12 more"), "{what}");
    }
}
