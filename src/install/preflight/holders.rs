//! Who, beside podgate and the cluster itself, has rights by which podgate could be misled: to write or delete the Lease of
//! the beat, and to change the labels by which policies select namespaces.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::super::permissions::Names;
use super::rights::{Deed, Rights};
use super::{Check, Subject};
use crate::api::ClusterDevOpsPolicy;
use crate::clusters::Cluster;
use crate::nonce::LEASE;

/// The most that are named.
const MAX_NAMED: usize = 10;
/// Who has it may do everything.
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
                Subject::Permission.unseen("who may do what (roles and bindings)", &error),
            ];
        }
    };
    let lease = Deed {
        group: "coordination.k8s.io",
        resource: "leases",
        name: LEASE,
        verbs: &["create", "update", "patch", "delete", "deletecollection"],
    };
    let own = format!("Role {} ", names.release);
    let mut writers = rights.holders(release_namespace, &lease);
    writers.retain(|it| !it.starts_with(&own));
    let namespaces =
        Deed { group: "", resource: "namespaces", name: "", verbs: &["update", "patch"] };
    let mut labellers = rights.holders("", &namespaces);
    labellers.retain(|it| !it.starts_with(ADMIN));
    let mut checks = vec![lease_check(&writers)];
    match selecting(cluster).await {
        Ok(selecting) => checks.push(label_check(&selecting, &labellers)),
        Err(error) => checks.push(Subject::Policy.unseen("ClusterDevOpsPolicies", &error)),
    }
    checks
}

fn lease_check(writers: &BTreeSet<String>) -> Check {
    Subject::Permission.ok(if writers.is_empty() {
        format!("nobody but podgate may write or delete the Lease {LEASE}")
    } else {
        format!(
            "the Lease {LEASE} may be deleted, or written where podgate does not refuse it, by {}",
            named(writers)
        )
    })
}

/// Labels matter only where a policy goes by them.
fn label_check(selecting: &[String], labellers: &BTreeSet<String>) -> Check {
    if selecting.is_empty() || labellers.is_empty() {
        let what = if labellers.is_empty() {
            "nobody but cluster admins may change the labels of namespaces".to_owned()
        } else {
            format!(
                "labels of namespaces, by which no policy selects now, may be changed by {}",
                named(labellers)
            )
        };
        return Subject::Permission.ok(what);
    }
    let policies = named(&selecting.iter().cloned().collect());
    Subject::Permission.warning(
        format!(
            "namespaces can be taken out of the namespaceSelector of {policies}, by whoever may change their labels: {}",
            named(labellers)
        ),
        "select by excludeNamespaces or kubernetes.io/metadata.name, or take that right away",
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
        // That the CRD is missing is told by itself.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        listed => listed.map(|()| found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&it| it.to_owned()).collect()
    }

    #[test]
    fn who_may_label_a_namespace_matters_where_a_policy_goes_by_labels() {
        let jane = set(&["Role labels in shop (User jane)"]);
        let production = ["production".to_owned()];
        assert_eq!(label_check(&[], &jane).state, State::Ok);
        assert_eq!(label_check(&production, &set(&[])).state, State::Ok);
        let warned = label_check(&production, &jane);
        assert_eq!(warned.state, State::Warning);
        assert!(
            warned.what.contains("production") && warned.what.contains("User jane"),
            "{}",
            warned.what
        );
    }

    #[test]
    fn of_many_some_are_named_and_the_rest_counted() {
        let many: Vec<_> = (10..32).map(|it| format!("Role r{it}")).collect();
        let told = lease_check(&many.iter().cloned().collect()).what;
        assert!(told.contains("Role r10") && told.ends_with("and 12 more"), "{told}");
    }
}
