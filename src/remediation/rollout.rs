//! Reads a rollout's progress from a workload's status, and judges it. Pure.

use serde_json::Value;

use crate::policy::pointer::at;
use crate::policy::workload::Kind;

/// The restarts of a new pod's container that count as a crash loop.
const CRASHES: i64 = 3;

/// The progress of a rollout.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rollout {
    /// The numbers of new pods, of available pods, and of pods wanted.
    Underway { updated: i64, available: i64, wanted: i64 },
    /// Every pod is new and available.
    Complete,
    /// The controller reports that it makes no progress; its message.
    Failed(String),
}

/// The number of available pods, new or old.
pub fn available(kind: Kind, object: &Value) -> i64 {
    let status = at(object, "/status");
    let number = |field: &str| at(status, &format!("/{field}")).as_i64().unwrap_or(0);
    if kind == Kind::DaemonSet { number("numberAvailable") } else { number("availableReplicas") }
}

/// The progress of the controller with the newest template.
pub fn rollout(kind: Kind, object: &Value) -> Rollout {
    let (spec, status) = (at(object, "/spec"), at(object, "/status"));
    let number = |field: &str| at(status, &format!("/{field}")).as_i64().unwrap_or(0);
    let generation = at(object, "/metadata/generation").as_i64().unwrap_or(0);
    let (wanted, updated) = match kind {
        Kind::DaemonSet => (number("desiredNumberScheduled"), number("updatedNumberScheduled")),
        _ => (at(spec, "/replicas").as_i64().unwrap_or(1), number("updatedReplicas")),
    };
    let available = available(kind, object);
    let underway = Rollout::Underway { updated, available, wanted };
    if number("observedGeneration") < generation {
        // The controller has not seen this template, or a write that it needs for it was refused: no pod is new.
        return Rollout::Underway { updated: 0, available, wanted };
    }
    let conditions = at(status, "/conditions").as_array().into_iter().flatten();
    let mut stuck = conditions.filter(|it| {
        at(it, "/type") == "Progressing" && at(it, "/reason") == "ProgressDeadlineExceeded"
    });
    if let (Kind::Deployment, Some(condition)) = (kind, stuck.next()) {
        let message = at(condition, "/message").as_str().unwrap_or("no progress");
        return Rollout::Failed(format!("its progress deadline is over: {message}"));
    }
    let alone = match kind {
        // `replicas` counts old pods too.
        Kind::Deployment => number("replicas") == wanted,
        Kind::StatefulSet => at(status, "/currentRevision") == at(status, "/updateRevision"),
        // Without a node there is no pod that shows whether the template works.
        _ => wanted > 0,
    };
    if updated >= wanted && available >= wanted && alone { Rollout::Complete } else { underway }
}

/// The verdict on a repair's rollout, with its reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RolloutVerdict {
    /// The rollout goes on; its progress.
    Underway(String),
    /// The repair stays.
    Good(String),
    /// The repair made the workload worse and must be rolled back.
    Worse(String),
}

/// Whether a rollout may take longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deadline {
    Ahead,
    Passed,
}

/// Judges a rollout. `crash` describes a crash loop of its pods, and `before` is the number of pods that were available
/// when it began.
pub fn judge(
    kind: Kind,
    object: &Value,
    crash: Option<String>,
    deadline: Deadline,
    before: i64,
) -> RolloutVerdict {
    let (updated, available, wanted) = match rollout(kind, object) {
        Rollout::Complete => {
            return RolloutVerdict::Good("every pod is new and available".to_owned());
        }
        Rollout::Failed(why) => return RolloutVerdict::Worse(why),
        Rollout::Underway { updated, available, wanted } => (updated, available, wanted),
    };
    let progress = format!("{updated} of {wanted} pods are new, {available} available");
    match crash {
        Some(why) => RolloutVerdict::Worse(why),
        None if deadline == Deadline::Ahead => RolloutVerdict::Underway(progress),
        None if updated >= wanted && available >= before => RolloutVerdict::Good(format!(
            "no worse than before: {available} pods are available, as were {before}"
        )),
        None => RolloutVerdict::Worse(format!("its rollout did not end in time: {progress}")),
    }
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = at(pod, "/status/conditions").as_array().into_iter().flatten();
    conditions.into_iter().any(|it| at(it, "/type") == "Ready" && at(it, "/status") == "True")
}

/// A workload's pod selector, as a list's `labelSelector`.
pub fn selector(object: &Value) -> String {
    let selector = at(object, "/spec/selector");
    let labels = at(selector, "/matchLabels").as_object().into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let expressions = at(selector, "/matchExpressions").as_array().into_iter().flatten();
    let expressions = expressions.filter_map(|it| {
        let key = at(it, "/key").as_str()?;
        let values = at(it, "/values").as_array().into_iter().flatten();
        let values = values.filter_map(Value::as_str).collect::<Vec<_>>().join(",");
        match at(it, "/operator").as_str()? {
            "In" => Some(format!("{key} in ({values})")),
            "NotIn" => Some(format!("{key} notin ({values})")),
            "Exists" => Some(key.to_owned()),
            "DoesNotExist" => Some(format!("!{key}")),
            _ => None,
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

/// Describes a container of a pod that is in a crash loop, if there is one.
pub fn crash(pod: &Value) -> Option<String> {
    let name = at(pod, "/metadata/name").as_str().unwrap_or_default();
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let lists = lists.map(|list| at(pod, list).as_array());
    let mut containers = lists.into_iter().flatten().flatten();
    let restarts = |it: &Value| at(it, "/restartCount").as_i64().unwrap_or(0);
    let crashing = containers.find(|it| restarts(it) >= CRASHES)?;
    let container = at(crashing, "/name").as_str().unwrap_or_default();
    Some(format!(
        "container \"{container}\" of the new pod {name} has restarted {} times",
        restarts(crashing)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_complete_when_every_pod_is_new_and_available_and_the_controller_has_seen_it() {
        let deployment = |generation: i64, updated: i64, all: i64, available: i64| {
            json!({"metadata": {"generation": generation}, "spec": {"replicas": 3}, "status": {
                "observedGeneration": 2, "updatedReplicas": updated, "replicas": all, "availableReplicas": available}})
        };
        let of = |object: Value| rollout(Kind::Deployment, &object);
        assert_eq!(of(deployment(2, 3, 3, 3)), Rollout::Complete);
        for underway in [
            deployment(3, 3, 3, 3),
            deployment(2, 2, 3, 3),
            deployment(2, 3, 4, 3),
            deployment(2, 3, 3, 2),
        ] {
            assert!(matches!(of(underway.clone()), Rollout::Underway { .. }), "{underway}");
        }
        let stateful = |current: &str| {
            json!({"metadata": {"generation": 1}, "spec": {"replicas": 2}, "status": {"observedGeneration": 1,
                "updatedReplicas": 2, "availableReplicas": 2, "currentRevision": current, "updateRevision": "b"}})
        };
        assert_eq!(rollout(Kind::StatefulSet, &stateful("b")), Rollout::Complete);
        assert!(matches!(rollout(Kind::StatefulSet, &stateful("a")), Rollout::Underway { .. }));
        let daemon = json!({"metadata": {"generation": 1}, "spec": {}, "status": {"observedGeneration": 1,
            "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}});
        assert_eq!(rollout(Kind::DaemonSet, &daemon), Rollout::Complete);
        let nowhere = json!({"metadata": {"generation": 1}, "spec": {}, "status": {"observedGeneration": 1,
            "desiredNumberScheduled": 0, "updatedNumberScheduled": 0, "numberAvailable": 0}});
        assert!(matches!(rollout(Kind::DaemonSet, &nowhere), Rollout::Underway { .. }));
    }

    /// The ReplicaSet of a repaired template was refused, so its Deployment's status
    /// described the old one for ever, and the old pods counted as new ones at the deadline.
    #[test]
    fn a_template_that_its_controller_never_took_up_is_no_better_at_the_deadline() {
        let refused = json!({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {
            "observedGeneration": 1, "updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}});
        let verdict = judge(Kind::Deployment, &refused, None, Deadline::Passed, 1);
        assert!(
            matches!(&verdict, RolloutVerdict::Worse(why) if why.contains("0 of 1 pods are new")),
            "{verdict:?}"
        );
    }

    #[test]
    fn pods_are_selected_by_labels_and_expressions() {
        // Without the expressions, the crash of any pod of the namespace rolled a repair back.
        let object = json!({"spec": {"selector": {"matchLabels": {"app": "web"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "track", "operator": "NotIn", "values": ["canary"]},
            {"key": "x", "operator": "Exists"},
            {"key": "y", "operator": "DoesNotExist"},
        ]}}});
        assert_eq!(selector(&object), "app=web,tier in (a,b),track notin (canary),x,!y");
    }

    #[test]
    fn a_progress_deadline_that_is_over_and_a_crash_loop_are_failures() {
        let stuck = json!({"metadata": {"generation": 1}, "spec": {"replicas": 1}, "status": {"observedGeneration": 1,
            "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}]}});
        assert!(
            matches!(rollout(Kind::Deployment, &stuck), Rollout::Failed(why) if why.ends_with(": m"))
        );
        let pod = |restarts: i64| json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{"name": "web", "restartCount": restarts}]}});
        assert_eq!(crash(&pod(2)), None);
        assert!(
            crash(&pod(3))
                .unwrap()
                .starts_with("container \"web\" of the new pod p has restarted 3")
        );
    }
}
