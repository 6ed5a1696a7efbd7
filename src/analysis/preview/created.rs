//! A cluster's objects as they would be at their creation.

use serde::Deserialize;
use serde_json::Value;

use crate::policy::object::{Object, Text};
use crate::policy::workload::Kind;

/// The metadata that the API server sets, which no manifest has.
const SERVER_METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// An object's owner references with their API groups, which [`Object`] leaves out.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata<'a> {
    #[serde(borrow)]
    owner_references: Option<Vec<Owner<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Owner<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    controller: Option<bool>,
}

/// Whether an object is a workload of its own. An object that a judged kind controls is not: it counts for its owner.
/// Neither is a pod with any other controller: it counts as a running pod of its owner.
pub fn is_workload(kind: Kind, json: &str) -> Result<bool, serde_json::Error> {
    let head: Head<'_> = serde_json::from_str(json)?;
    let mut owners = head.metadata.owner_references.iter().flatten();
    let Some(controller) = owners.find(|it| it.controller == Some(true)) else { return Ok(true) };
    let (group, _) = controller.api_version.split_once('/').unwrap_or_default();
    let judged = Kind::ALL.into_iter().map(Kind::names);
    let judged = judged.into_iter().any(|it| it.group == group && it.kind == &*controller.kind);
    Ok(kind != Kind::Pod && !judged)
}

/// The object as rules see it. A new pod and a pod template have no ephemeral containers.
pub fn view(json: &str) -> Result<Object<'_>, serde_json::Error> {
    let mut object: Object<'_> = serde_json::from_str(json)?;
    if let Some(spec) = &mut object.spec {
        spec.pod.ephemeral_containers = None;
    }
    Ok(object)
}

/// The whole object, for expressions and `mutate`, which may read any field.
pub fn whole(kind: Kind, json: &str) -> Option<Value> {
    let mut object: Value = serde_json::from_str(json).ok()?;
    if kind == Kind::Pod
        && let Some(pod) = object.as_object_mut()
    {
        pod.remove("status");
        if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("ephemeralContainers");
            // Set by the scheduler. A node name from the manifest looks the same and is removed too.
            spec.remove("nodeName");
        }
        if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in SERVER_METADATA {
                metadata.remove(field);
            }
        }
    }
    Some(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_judged_kind_controls_is_no_workload_of_its_own() {
        let owned = |api_version: &str, kind: &str, controller: bool| {
            let owner = json!({"apiVersion": api_version, "kind": kind, "name": "x", "controller": controller});
            json!({"metadata": {"ownerReferences": [owner]}}).to_string()
        };
        for (kind, object, expected) in [
            (Kind::ReplicaSet, owned("apps/v1", "Deployment", true), false),
            (Kind::ReplicaSet, owned("argoproj.io/v1alpha1", "Rollout", true), true),
            (Kind::ReplicaSet, owned("apps/v1", "Deployment", false), true),
            (Kind::Job, owned("batch/v1", "CronJob", true), false),
            (Kind::Job, owned("batch.example.com/v1", "CronJob", true), true),
            (Kind::Pod, owned("v1", "ReplicationController", true), false),
            (Kind::Pod, owned("batch.volcano.sh/v1", "Job", true), false),
            (Kind::Pod, owned("v1", "Node", false), true),
            (Kind::Pod, "{}".to_owned(), true),
            (Kind::Deployment, r#"{"metadata": {"ownerReferences": null}}"#.to_owned(), true),
        ] {
            assert_eq!(is_workload(kind, &object).unwrap(), expected, "{kind:?} {object}");
        }
    }

    #[test]
    fn a_live_pod_is_judged_as_if_it_were_new() {
        let pod = json!({
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "managedFields": [], "labels": {"a": "b"}},
            "spec": {"nodeName": "n", "containers": [{"name": "web"}], "ephemeralContainers": [{"name": "debug"}]},
            "status": {"phase": "Running"},
        })
        .to_string();
        let object = view(&pod).unwrap();
        assert!(object.spec.unwrap().pod.ephemeral_containers.is_none());
        let expected = json!({
            "metadata": {"name": "a", "labels": {"a": "b"}},
            "spec": {"containers": [{"name": "web"}]},
        });
        assert_eq!(whole(Kind::Pod, &pod).unwrap(), expected);
        for odd in ["null", "[]", r#"{"spec": 1, "metadata": 2}"#] {
            assert!(whole(Kind::Pod, odd).is_some(), "{odd}");
        }
    }
}
