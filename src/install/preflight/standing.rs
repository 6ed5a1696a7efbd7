//! Checks what policies refuse, would refuse, and never judged, by their statuses.

use jiff::{SignedDuration, Timestamp};
use kube::Resource;
use kube::core::ObjectMeta;
use serde::Deserialize;

use super::check::{Check, CheckSubject};
use crate::api::{
    AffectedStatus, ClusterDevOpsPolicy, DevOpsPolicy, GraceStatus, RefusedStatus,
    RefusedWorkloadStatus,
};
use crate::clusters::Cluster;
use crate::policy::key::PolicyKey;
use crate::policy::text;

/// The workloads that a check names.
const NAMED: usize = 3;
/// The time before the end of a grace from which pods at risk are told.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A policy, of which only this is read.
#[derive(Deserialize)]
struct PolicyView {
    metadata: ObjectMeta,
    status: Option<StatusView>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    refused: Option<RefusedStatus>,
    at_risk: Option<AffectedStatus>,
    slipped: Option<AffectedStatus>,
    grace: Option<GraceStatus>,
}

/// Warns of each policy that refuses new pods of workloads, that would refuse pods which run, or that did not judge
/// what was admitted. Without CRDs there is nothing to check.
pub(super) async fn standing(cluster: &Cluster) -> Vec<Check> {
    let now = Timestamp::now();
    let mut checks = of_kind::<DevOpsPolicy>(cluster, "DevOpsPolicies", now).await;
    let all = of_kind::<ClusterDevOpsPolicy>(cluster, "ClusterDevOpsPolicies", now).await;
    checks.extend(all);
    checks
}

async fn of_kind<K: Resource<DynamicType = ()>>(
    cluster: &Cluster,
    kinds: &str,
    now: Timestamp,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let listed = cluster.list::<K>(None, None, |json| checks.extend(of_policy(json, now))).await;
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
fn of_policy(json: &str, now: Timestamp) -> Vec<Check> {
    let Ok(PolicyView { metadata, status: Some(status) }) = serde_json::from_str(json) else {
        return Vec::new();
    };
    let Some(name) = metadata.name else { return Vec::new() };
    let key = PolicyKey { namespace: metadata.namespace, name };
    let StatusView { refused, at_risk, slipped, grace } = status;
    let refused = refused.filter(|it| it.workloads > 0).map(|it| refuses(&key, &it));
    let at_risk = at_risk.filter(|it| it.pods > 0);
    let at_risk = at_risk.and_then(|it| endangers(&key, &it, grace.as_ref(), now));
    let slipped = slipped.filter(|it| it.workloads > 0).map(|it| did_not_judge(&key, &it));
    refused.into_iter().chain(at_risk).chain(slipped).collect()
}

fn refuses(key: &PolicyKey, refused: &RefusedStatus) -> Check {
    let worst = refused.worst.iter().map(|it| {
        let RefusedWorkloadStatus { workload, wanted, running, message, .. } = it;
        let pods = text::count(u64::try_from(*wanted).unwrap_or_default(), "pod");
        format!("{workload} has {running} of {pods} ({message})")
    });
    let whose = match refused.workloads {
        1 => "its pod template, exempt it",
        _ => "their pod templates, exempt them",
    };
    CheckSubject::Policy.warning(
        format!("policy {} refuses new pods of {}", key.label(), named(refused.workloads, worst)),
        format!(
            "fix {whose} (spec.exemptions), or set enforcementMode to warn; all of them: {}",
            listed(key, "refused")
        ),
    )
}

/// A warning of pods that would not come back; `None` for a grace that lasts longer than a week.
fn endangers(
    key: &PolicyKey,
    at_risk: &AffectedStatus,
    grace: Option<&GraceStatus>,
    now: Timestamp,
) -> Option<Check> {
    let ends = grace.map(|it| it.until.0).filter(|end| now < *end);
    if ends.is_some_and(|end| end.duration_since(now) > WEEK) {
        return None;
    }
    let when = match ends {
        Some(end) => format!("when its grace has ended, at {end}"),
        None => "at the next node drain".to_owned(),
    };
    let pods = text::count(u64::try_from(at_risk.pods).unwrap_or_default(), "pod");
    let worst = at_risk.worst.iter().map(|it| format!("{} ({})", it.workload, it.message));
    let what = format!(
        "policy {} would not let {pods} be made again {when}: {}",
        key.label(),
        named(at_risk.workloads, worst)
    );
    let todo = format!(
        "fix or exempt them before (spec.exemptions), or give a grace (spec.graceUntil); podgate drain-check --all names \
         the pods, {} the workloads",
        listed(key, "atRisk")
    );
    Some(CheckSubject::Policy.warning(what, todo))
}

fn did_not_judge(key: &PolicyKey, slipped: &AffectedStatus) -> Check {
    let worst = slipped.worst.iter().map(|it| format!("{} ({})", it.workload, it.message));
    CheckSubject::Policy.warning(
        format!(
            "policy {} did not judge what it would have denied: {}",
            key.label(),
            named(slipped.workloads, worst)
        ),
        format!(
            "delete, fix or exempt them (spec.exemptions), and see why podgate was not asked: podgate_called and the \
             condition Enforcing; all of them: {}",
            listed(key, "slipped")
        ),
    )
}

/// The command that prints a field of the policy's status.
fn listed(key: &PolicyKey, field: &str) -> String {
    format!("kubectl get {} -o jsonpath='{{.status.{field}}}'", key.argument())
}

/// The number of workloads, and some of them.
fn named(workloads: i32, worst: impl Iterator<Item = String>) -> String {
    let mut named: Vec<_> = worst.take(NAMED).collect();
    let count = usize::try_from(workloads).unwrap_or_default();
    let more = count.saturating_sub(named.len());
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    format!("{}: {}", text::count(count as u64, "workload"), named.join(", "))
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
        let check = only(&policy(&json!({"workloads": 5, "worst": worst})));
        assert_eq!(check.state, CheckState::Warning);
        insta::assert_snapshot!(check.what, @"policy shop/own refuses new pods of 5 workloads: Deployment/w0 has 0 of 4 pods (spec.containers[0].image has no tag), Deployment/w1 has 0 of 4 pods (spec.containers[0].image has no tag), Deployment/w2 has 0 of 4 pods (spec.containers[0].image has no tag), and 2 more");
        insta::assert_snapshot!(check.todo.unwrap(), @"fix their pod templates, exempt them (spec.exemptions), or set enforcementMode to warn; all of them: kubectl get devopspolicy.devops.stochastic.io/own -n shop -o jsonpath='{.status.refused}'");
        let one = json!({"workloads": 1, "worst": [workload("cart", 1)]});
        assert_eq!(
            only(&policy(&one)).what,
            "policy shop/own refuses new pods of 1 workload: Deployment/cart has 0 of 1 pod (spec.containers[0].image has no tag)"
        );
    }

    #[test]
    fn a_policy_that_refuses_none_or_has_a_foreign_status_is_no_finding() {
        for refused in [json!(null), json!({"workloads": 0, "worst": []}), json!("all of them")] {
            assert!(of_policy(&policy(&refused), NOW).is_empty(), "{refused}");
        }
        for object in [r#"{"metadata": {"name": "new"}}"#, "[]", "{}"] {
            assert!(of_policy(object, NOW).is_empty(), "{object}");
        }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn only(policy: &str) -> Check {
        let [check] = of_policy(policy, NOW).try_into().ok().unwrap();
        check
    }

    fn with(status: &serde_json::Value) -> String {
        json!({"metadata": {"name": "all"}, "status": status}).to_string()
    }

    fn affected() -> serde_json::Value {
        let cart = json!({
            "workload": "Deployment/shop/cart", "pods": 4, "rules": ["forbidLatestTag"], "message": "no tag",
        });
        json!({"pods": 4, "workloads": 1, "worst": [cart]})
    }

    #[test]
    fn pods_at_risk_are_a_warning_unless_a_grace_lasts_for_more_than_a_week() {
        let risk = |until: Option<&str>, state: &str| {
            let grace = until.map(|until| json!({"until": until, "state": state}));
            with(&json!({"atRisk": affected(), "grace": grace}))
        };
        let check = only(&risk(None, ""));
        assert_eq!(check.state, CheckState::Warning);
        insta::assert_snapshot!(check.what, @"policy all would not let 4 pods be made again at the next node drain: 1 workload: Deployment/shop/cart (no tag)");
        insta::assert_snapshot!(check.todo.unwrap(), @"fix or exempt them before (spec.exemptions), or give a grace (spec.graceUntil); podgate drain-check --all names the pods, kubectl get clusterdevopspolicy.devops.stochastic.io/all -o jsonpath='{.status.atRisk}' the workloads");
        insta::assert_snapshot!(only(&risk(Some("1970-01-08T00:00:00Z"), "Active")).what, @"policy all would not let 4 pods be made again when its grace has ended, at 1970-01-08T00:00:00Z: 1 workload: Deployment/shop/cart (no tag)");
        assert!(of_policy(&risk(Some("1970-01-08T00:00:01Z"), "Active"), NOW).is_empty());
        let ended = only(&risk(Some("1969-12-31T00:00:00Z"), "Ended")).what;
        assert!(ended.contains("at the next node drain"), "{ended}");
    }

    #[test]
    fn what_nobody_judged_is_a_warning() {
        let check = only(&with(&json!({"slipped": affected()})));
        insta::assert_snapshot!(check.what, @"policy all did not judge what it would have denied: 1 workload: Deployment/shop/cart (no tag)");
        insta::assert_snapshot!(check.todo.unwrap(), @"delete, fix or exempt them (spec.exemptions), and see why podgate was not asked: podgate_called and the condition Enforcing; all of them: kubectl get clusterdevopspolicy.devops.stochastic.io/all -o jsonpath='{.status.slipped}'");
    }
}
