//! The pods of a StatefulSet that its update strategy keeps at the old revision. The StatefulSet controller makes those
//! below the partition again as they were: `newVersionedStatefulSetPod` in
//! `pkg/controller/statefulset/stateful_set_utils.go` of Kubernetes.

use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatefulSet<'a> {
    #[serde(borrow)]
    spec: Spec<'a>,
    #[serde(borrow)]
    status: Status<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'a> {
    ordinals: Option<Ordinals>,
    #[serde(borrow)]
    update_strategy: Option<UpdateStrategy<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ordinals {
    start: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UpdateStrategy<'a> {
    #[serde(rename = "type")]
    type_: &'a str,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RollingUpdate {
    partition: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status<'a> {
    current_revision: Option<&'a str>,
    update_revision: Option<&'a str>,
}

/// The ordinal below which pods keep the old revision; 0 if none does.
pub(super) fn kept_below(stateful_set: &str) -> Result<u32, serde_json::Error> {
    let StatefulSet { spec, status } = serde_json::from_str(stateful_set)?;
    let strategy = spec.update_strategy.unwrap_or_default();
    if strategy.type_ != "RollingUpdate" || status.current_revision == status.update_revision {
        return Ok(0);
    }
    Ok(match strategy.rolling_update.and_then(|it| it.partition) {
        None | Some(0) => 0,
        Some(partition) => spec.ordinals.unwrap_or_default().start.saturating_add(partition),
    })
}

/// The ordinal of a pod of a StatefulSet, which ends its name.
pub(super) fn ordinal(pod: &str) -> Option<u32> {
    pod.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn pods_below_a_partition_are_kept_while_two_revisions_are_there() {
        let strategy = |partition: Value| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
        let two = json!({"currentRevision": "a", "updateRevision": "b"});
        let one = json!({"currentRevision": "b", "updateRevision": "b"});
        for (spec, status, expected) in [
            (json!({"updateStrategy": strategy(json!(2))}), &two, 2),
            (json!({"updateStrategy": strategy(json!(2)), "ordinals": {"start": 5}}), &two, 7),
            (json!({"updateStrategy": strategy(json!(2))}), &one, 0),
            (json!({"updateStrategy": strategy(json!(0)), "ordinals": {"start": 5}}), &two, 0),
            (json!({"updateStrategy": strategy(Value::Null)}), &two, 0),
            (json!({"updateStrategy": {"type": "OnDelete"}}), &two, 0),
            (json!({"updateStrategy": null, "ordinals": null}), &two, 0),
        ] {
            let set = json!({"spec": spec, "status": status}).to_string();
            assert_eq!(kept_below(&set).unwrap(), expected, "{set}");
        }
        assert_eq!(kept_below("{}").unwrap(), 0);
        assert!(kept_below(r#"{"spec": 1}"#).is_err());
        assert_eq!([ordinal("db-12"), ordinal("db"), ordinal("db-x")], [Some(12), None, None]);
    }
}
