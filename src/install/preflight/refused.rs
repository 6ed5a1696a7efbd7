//! Checks whether workloads lack pods because a policy refuses new ones, by the statuses of the policies.

use kube::Resource;
use kube::core::ObjectMeta;
use serde::Deserialize;

use super::check::{Check, CheckSubject};
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy, RefusedStatus, RefusedWorkloadStatus};
use crate::clusters::Cluster;
use crate::policy::key::PolicyKey;
use crate::policy::text;

/// The workloads that a check names.
const NAMED: usize = 3;

/// A policy, of which only this is read.
#[derive(Deserialize)]
struct PolicyView {
    metadata: ObjectMeta,
    status: Option<StatusView>,
}

#[derive(Deserialize)]
struct StatusView {
    refused: Option<RefusedStatus>,
}

/// Warns of each policy that refuses new pods of workloads. Without CRDs there is nothing to check.
pub(super) async fn refused(cluster: &Cluster) -> Vec<Check> {
    let mut checks = of_kind::<DevOpsPolicy>(cluster, "DevOpsPolicies").await;
    checks.extend(of_kind::<ClusterDevOpsPolicy>(cluster, "ClusterDevOpsPolicies").await);
    checks
}

async fn of_kind<K: Resource<DynamicType = ()>>(cluster: &Cluster, kinds: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    let listed = cluster.list::<K>(None, None, |json| checks.extend(of_policy(json))).await;
    match listed {
        Ok(()) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => {
            let what = format!("the workloads that {kinds} refuse");
            checks.push(CheckSubject::Policy.unseen(&what, &error));
        }
    }
    checks
}

/// A status that cannot be read was not written by podgate, which replaces it.
fn of_policy(json: &str) -> Option<Check> {
    let PolicyView { metadata, status } = serde_json::from_str(json).ok()?;
    let refused = status?.refused.filter(|it| it.workloads > 0)?;
    let key = PolicyKey { namespace: metadata.namespace, name: metadata.name? };
    let worst = refused.worst.iter().take(NAMED);
    let mut named: Vec<_> = worst
        .map(|RefusedWorkloadStatus { workload, wanted, running, message, .. }| {
            let pods = text::count(u64::try_from(*wanted).unwrap_or_default(), "pod");
            format!("{workload} has {running} of {pods} ({message})")
        })
        .collect();
    let count = usize::try_from(refused.workloads).unwrap_or_default();
    let (plural, whose) = if count == 1 {
        ("", "its pod template, exempt it")
    } else {
        ("s", "their pod templates, exempt them")
    };
    let more = count.saturating_sub(named.len());
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    Some(CheckSubject::Policy.warning(
        format!("policy {} refuses new pods of {count} workload{plural}: {}", key.label(), named.join(", ")),
        format!(
            "fix {whose} (spec.exemptions), or set enforcementMode to warn; all of them: kubectl get {} -o jsonpath='{{.status.refused}}'",
            key.argument()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check::CheckState;
    use super::*;

    fn policy(refused: &serde_json::Value) -> String {
        json!({"metadata": {"name": "own", "namespace": "shop"}, "status": {"refused": refused}})
            .to_string()
    }

    fn workload(name: &str, wanted: i32) -> serde_json::Value {
        json!({"workload": format!("Deployment/{name}"), "wanted": wanted, "running": 0,
            "rules": ["forbidLatestTag"], "message": "spec.containers[0].image has no tag"})
    }

    #[test]
    fn a_policy_that_refuses_pods_is_a_warning_that_names_three_workloads_and_the_next_step() {
        let worst: Vec<_> = (0..5).map(|index| workload(&format!("w{index}"), 4)).collect();
        let check = of_policy(&policy(&json!({"workloads": 5, "worst": worst}))).unwrap();
        assert_eq!(check.state, CheckState::Warning);
        insta::assert_snapshot!(check.what, @"policy shop/own refuses new pods of 5 workloads: Deployment/w0 has 0 of 4 pods (spec.containers[0].image has no tag), Deployment/w1 has 0 of 4 pods (spec.containers[0].image has no tag), Deployment/w2 has 0 of 4 pods (spec.containers[0].image has no tag), and 2 more");
        insta::assert_snapshot!(check.todo.unwrap(), @"fix their pod templates, exempt them (spec.exemptions), or set enforcementMode to warn; all of them: kubectl get devopspolicy.devops.stochastic.io/own -n shop -o jsonpath='{.status.refused}'");
        let one = json!({"workloads": 1, "worst": [workload("cart", 1)]});
        assert_eq!(
            of_policy(&policy(&one)).unwrap().what,
            "policy shop/own refuses new pods of 1 workload: Deployment/cart has 0 of 1 pod (spec.containers[0].image has no tag)"
        );
    }

    #[test]
    fn a_policy_that_refuses_none_or_has_a_foreign_status_is_no_finding() {
        for refused in [json!(null), json!({"workloads": 0, "worst": []}), json!("all of them")] {
            assert!(of_policy(&policy(&refused)).is_none(), "{refused}");
        }
        for object in [r#"{"metadata": {"name": "new"}}"#, "[]", "{}"] {
            assert!(of_policy(object).is_none(), "{object}");
        }
    }
}
