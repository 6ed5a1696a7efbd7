//! Fields that a cluster's policy has and the file does not. Server-side apply keeps the fields of other field
//! managers, so an applied policy may still make more checks than the file. Pure.

use std::collections::BTreeSet;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use serde_json::Value;

use crate::manifests::canonical::canonical;

/// The field manager of podgate's commands, as `managedFields` has it.
pub(super) const FIELD_MANAGER: &str = "podgate-cli";

/// A field in which the live policy differs from the desired one.
#[derive(Clone, Debug, PartialEq)]
pub struct Leftover {
    /// The field's path, such as `["spec", "maxRestartCount"]`.
    path: Vec<String>,
    /// The desired value; `None` if the field should be absent.
    wanted: Option<Value>,
    /// The field managers that set it, without [`FIELD_MANAGER`].
    pub managers: BTreeSet<String>,
    /// Whether only [`FIELD_MANAGER`] set it, in an earlier apply; removing it is then no conflict.
    pub own: bool,
}

/// The fields in which a live policy differs from the desired one.
pub fn leftovers(live: &Value, wanted: &Value) -> Vec<Leftover> {
    let leftover = |Difference { path, wanted }| {
        let mut managers = managers(live, &path);
        let own = managers.remove(FIELD_MANAGER) && managers.is_empty();
        Leftover { path, wanted, managers, own }
    };
    let differences = differences(&[], Some(&canonical(live)), Some(wanted));
    differences.into_iter().map(leftover).collect()
}

struct Difference {
    path: Vec<String>,
    wanted: Option<Value>,
}

/// Compares two values at a path. A list is compared as a whole: the CRDs have no list that is merged by item.
fn differences(path: &[String], live: Option<&Value>, wanted: Option<&Value>) -> Vec<Difference> {
    match (live, wanted) {
        (live, wanted) if live == wanted => Vec::new(),
        // An empty object counts as a value (`namespaceSelector: {}`), but empty labels and annotations do not: the
        // canonical form leaves them out, while the live policy may still have those of a delivery tool.
        (Some(Value::Object(live)), wanted)
            if wanted.is_some_and(Value::is_object) || is_metadata(path) =>
        {
            let empty = serde_json::Map::new();
            let wanted = wanted.and_then(Value::as_object).unwrap_or(&empty);
            let keys: BTreeSet<_> = live.keys().chain(wanted.keys()).collect();
            let below = |key: &String| {
                let path = [path, std::slice::from_ref(key)].concat();
                differences(&path, live.get(key), wanted.get(key))
            };
            keys.into_iter().flat_map(below).collect()
        }
        (_, wanted) => vec![Difference { path: path.to_vec(), wanted: wanted.cloned() }],
    }
}

fn is_metadata(path: &[String]) -> bool {
    path.first().is_some_and(|it| it == "metadata")
}

/// The field managers that set a field, by `metadata.managedFields`.
fn managers(live: &Value, path: &[String]) -> BTreeSet<String> {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let sets = |entry: &&Value| {
        let mut fields = entry.get("fieldsV1");
        for key in path {
            fields = fields.and_then(|it| it.get(format!("f:{key}")));
        }
        fields.is_some()
    };
    let name = |entry: &Value| entry.get("manager").and_then(Value::as_str).map(str::to_owned);
    entries.into_iter().flatten().filter(sets).filter_map(name).collect()
}

impl Leftover {
    /// The field and its managers: `spec.contact, set by kubectl-edit`.
    pub fn describe(&self) -> String {
        let field = self.path.iter().fold(String::new(), |field, key| {
            let plain = key.chars().all(|c| c.is_ascii_alphanumeric());
            match (plain, field.is_empty()) {
                (true, true) => key.clone(),
                (true, false) => format!("{field}.{key}"),
                (false, _) => format!("{field}[{key}]"),
            }
        });
        let managers: Vec<_> = self.managers.iter().map(String::as_str).collect();
        if managers.is_empty() {
            return field;
        }
        format!("{field}, set by {}", managers.join(" and "))
    }
}

/// The patch that makes the live policy equal to the desired one. Its tests make it fail if one of the fields was
/// changed or the policy was recreated in the meantime.
pub fn patch(live: &Value, leftovers: &[Leftover]) -> json_patch::Patch {
    let test = |path: PointerBuf| {
        let value = path.resolve(live).ok()?.clone();
        Some(PatchOperation::Test(TestOperation { path, value }))
    };
    let mut operations: Vec<_> =
        test(PointerBuf::from_tokens(["metadata", "uid"])).into_iter().collect();
    for leftover in leftovers {
        let path = PointerBuf::from_tokens(&leftover.path);
        operations.extend(test(path.clone()));
        operations.push(match leftover.wanted.clone() {
            Some(value) => PatchOperation::Add(AddOperation { path, value }),
            None => PatchOperation::Remove(RemoveOperation { path }),
        });
    }
    json_patch::Patch(operations)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {
                "name": "a", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                "labels": {"a/b": "1", "kustomize.toolkit.fluxcd.io/name": "policies"},
                "managedFields": [
                    {"manager": "podgate-cli", "fieldsV1": {"f:spec": {"f:forbidLatestTag": {}, "f:podSecurity": {}}}},
                    {"manager": "kubectl-edit", "fieldsV1": {
                        "f:metadata": {"f:labels": {"f:a/b": {}}},
                        "f:spec": {"f:maxRestartCount": {}},
                    }},
                ],
            },
            "spec": {"forbidLatestTag": true, "maxRestartCount": 3, "podSecurity": "baseline"},
        })
    }

    fn wanted() -> Value {
        json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"forbidLatestTag": true},
        })
    }

    #[test]
    fn each_field_that_the_file_lacks_is_described_with_its_managers() {
        let found = leftovers(&live(), &wanted());
        let described: Vec<_> = found.iter().map(Leftover::describe).collect();
        assert_eq!(
            described,
            [
                "metadata.labels[a/b], set by kubectl-edit",
                "spec.maxRestartCount, set by kubectl-edit",
                "spec.podSecurity",
            ]
        );
        assert_eq!(found.iter().map(|it| it.own).collect::<Vec<_>>(), [false, false, true]);
        assert!(leftovers(&wanted(), &wanted()).is_empty());
    }

    #[test]
    fn the_patch_leaves_the_desired_policy_and_the_labels_of_a_delivery_tool() {
        let mut object = live();
        let found = leftovers(&object, &wanted());
        json_patch::patch(&mut object, &patch(&live(), &found)).unwrap();
        assert_eq!(canonical(&object), wanted());
        assert_eq!(
            object["metadata"]["labels"],
            json!({"kustomize.toolkit.fluxcd.io/name": "policies"})
        );
        let mut changed = live();
        changed["spec"]["maxRestartCount"] = json!(4);
        assert!(json_patch::patch(&mut changed, &patch(&live(), &found)).is_err());
    }
}
