//! What a cluster's policy has and a file does not say. Server-side apply leaves a field that somebody else set, so a policy
//! that was applied may still ask for more than the file does. Pure.

use std::collections::BTreeSet;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use serde_json::Value;

use super::FIELD_MANAGER;
use crate::manifests::canonical::canonical;

/// A place at which the two differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Leftover {
    /// Such as `["spec", "maxRestartCount"]`.
    path: Vec<String>,
    /// What the file says, if anything.
    wanted: Option<Value>,
    /// Who set it, other than this command.
    pub managers: BTreeSet<String>,
    /// Whether this command alone set it, at an earlier time: then it may take it away again.
    pub own: bool,
}

/// Where a live policy differs from what is wanted.
pub fn leftovers(live: &Value, wanted: &Value) -> Vec<Leftover> {
    let mut paths = Vec::new();
    differences(&mut Vec::new(), Some(&canonical(live)), Some(wanted), &mut paths);
    let leftover = |(path, wanted): (Vec<String>, Option<Value>)| {
        let mut managers = managers(live, &path);
        let own = managers.remove(FIELD_MANAGER) && managers.is_empty();
        Leftover { path, wanted, managers, own }
    };
    paths.into_iter().map(leftover).collect()
}

/// Lists are one value: the CRDs have none that is merged by item.
fn differences(
    path: &mut Vec<String>,
    live: Option<&Value>,
    wanted: Option<&Value>,
    found: &mut Vec<(Vec<String>, Option<Value>)>,
) {
    match (live, wanted) {
        (live, wanted) if live == wanted => {}
        // An empty object is a value of its own (`namespaceSelector: {}`), but the labels are not: without any, the canonical
        // form has none, while those of a delivery may still be there.
        (Some(Value::Object(live)), wanted)
            if wanted.is_some_and(Value::is_object) || is_metadata(path) =>
        {
            let empty = serde_json::Map::new();
            let wanted = wanted.and_then(Value::as_object).unwrap_or(&empty);
            for key in live.keys().chain(wanted.keys()).collect::<BTreeSet<_>>() {
                path.push(key.clone());
                differences(path, live.get(key), wanted.get(key), found);
                path.pop();
            }
        }
        (_, wanted) => found.push((path.clone(), wanted.cloned())),
    }
}

fn is_metadata(path: &[String]) -> bool {
    path.first().is_some_and(|it| it == "metadata")
}

/// Who set a field, by `metadata.managedFields`.
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
    /// The field, and who set it: `spec.contact, set by kubectl-edit`.
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

/// The patch after which nothing differs. It fails where somebody has changed one of the fields, or made the policy anew.
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
    fn each_field_that_a_file_does_not_say_is_told_with_who_set_it() {
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
    fn the_patch_leaves_what_is_wanted_and_the_labels_of_a_delivery() {
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
