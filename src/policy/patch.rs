//! Fixes as a JSON Patch (RFC 6902). Missing parents are created, and fields with the right value are not touched.

use std::collections::HashSet;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, ReplaceOperation};
use serde_json::{Map, Value};

use super::field_path::{Step, steps};
use super::rule::Fix;

/// The operations that apply fixes to an object.
pub fn operations<'f>(
    object: &Value,
    fixes: impl IntoIterator<Item = &'f Fix>,
) -> Vec<PatchOperation> {
    apply(&mut object.clone(), fixes)
}

/// Applies fixes to an object in their order, each after its [`Fix::beside`], and returns the operations. Of two fixes
/// of one field the first wins. A fix that does not fit the object is left out: its parent is a string, or a list that
/// is too short.
pub fn apply<'f>(
    object: &mut Value,
    fixes: impl IntoIterator<Item = &'f Fix>,
) -> Vec<PatchOperation> {
    let mut operations = Vec::new();
    let mut done = HashSet::new();
    for fix in fixes.into_iter().flat_map(Fix::parts) {
        if done.contains(fix.path.as_str()) {
            continue;
        }
        let Some(operation) = operation(object, fix) else { continue };
        done.insert(fix.path.as_str());
        if json_patch::patch(object, std::slice::from_ref(&operation)).is_ok() {
            operations.push(operation);
        }
    }
    operations
}

/// The operation of a fix: at the field, or at its first missing parent. `None` if it does not fit, or changes nothing.
fn operation(object: &Value, fix: &Fix) -> Option<PatchOperation> {
    let steps = steps(&fix.path)?;
    let mut path = PointerBuf::root();
    let mut at = object;
    for (done, step) in steps.iter().enumerate() {
        let child = match (step, at) {
            (Step::Key(key), Value::Object(fields)) => {
                path.push_back(*key);
                fields.get(*key)
            }
            (Step::Index(index), Value::Array(items)) => {
                path.push_back(*index);
                // A list is never extended: that would add a container.
                Some(items.get(*index)?)
            }
            _ => return None,
        };
        let below = steps.get(done + 1..)?;
        match child {
            // Null counts as missing.
            None | Some(Value::Null) => {
                let value = nested(below, fix.value.clone())?;
                return Some(PatchOperation::Add(AddOperation { path, value }));
            }
            Some(child) => at = child,
        }
    }
    let value = fix.value.clone();
    (*at != value).then_some(PatchOperation::Replace(ReplaceOperation { path, value }))
}

/// A value wrapped in its missing parents; `None` if one of them is a list.
fn nested(steps: &[Step<'_>], value: Value) -> Option<Value> {
    steps.iter().rev().try_fold(value, |value, step| match step {
        Step::Key(key) => Some(Value::Object(Map::from_iter([((*key).to_owned(), value)]))),
        Step::Index(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fix(path: &str, value: Value) -> Fix {
        Fix::new(path.to_owned(), value)
    }

    fn patch(object: &Value, fixes: &[Fix]) -> Value {
        serde_json::to_value(operations(object, fixes)).unwrap()
    }

    #[test]
    fn parents_that_are_missing_are_made_once() {
        let object = json!({"spec": {"containers": [{"name": "web", "resources": null}]}});
        let fixes = [
            fix("spec.containers[0].resources.limits.memory", "1Gi".into()),
            fix("spec.containers[0].resources.limits.cpu", "1".into()),
            fix("spec.containers[0].securityContext.capabilities.drop", json!(["ALL"])),
        ];
        assert_eq!(
            patch(&object, &fixes),
            json!([
                {"op": "add", "path": "/spec/containers/0/resources", "value": {"limits": {"memory": "1Gi"}}},
                {"op": "add", "path": "/spec/containers/0/resources/limits/cpu", "value": "1"},
                {"op": "add", "path": "/spec/containers/0/securityContext", "value": {"capabilities": {"drop": ["ALL"]}}},
            ])
        );
    }

    #[test]
    fn a_field_is_replaced_once_and_what_is_right_is_left_alone() {
        let object = json!({"metadata": {"labels": {"a.b/c": "x"}}, "spec": {"image": "nginx"}});
        let fixes = [
            fix("spec.image", "nginx:1.29".into()),
            fix("spec.image", "nginx:1.30".into()),
            fix(r#"metadata.labels["a.b/c"]"#, "x".into()),
            fix(r#"metadata.labels["d/e~f"]"#, "y".into()),
        ];
        assert_eq!(
            patch(&object, &fixes),
            json!([
                {"op": "replace", "path": "/spec/image", "value": "nginx:1.29"},
                {"op": "add", "path": "/metadata/labels/d~1e~0f", "value": "y"},
            ])
        );
    }

    #[test]
    fn a_fix_that_does_not_fit_the_object_is_left_out() {
        let object = json!({"spec": {"containers": [{"name": "web"}], "text": "x"}});
        for path in
            ["spec.containers[1].image", "spec.text.below", "spec[0]", "spec.new[0].x", "spec.."]
        {
            assert_eq!(patch(&object, &[fix(path, "v".into())]), json!([]), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn fixing_what_was_fixed_changes_nothing(path in "(a|b)(\\.(c|d)){0,2}(\\[0\\])?", value in 0_u8..3) {
            let mut object = json!({"a": {"c": [1]}, "b": null});
            let fixes = [fix(&path, value.into())];
            let first = operations(&object, &fixes);
            json_patch::patch(&mut object, &first).unwrap();
            proptest::prop_assert!(operations(&object, &fixes).is_empty());
        }
    }
}
