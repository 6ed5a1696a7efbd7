//! The JSON Patch operations (RFC 6902) of a repair's writes. Pure.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use serde_json::{Value, json};

use crate::policy::pointer::{at, place};
use crate::policy::record::{ANNOTATION, IN_FLIGHT, LABEL};

/// Whether a write leaves the workload with the label of a repair in flight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InFlight {
    Yes,
    No,
}

pub(super) const TEMPLATE: [&str; 2] = ["spec", "template"];
const VERSION: [&str; 2] = ["metadata", "resourceVersion"];

/// The operations that change one pod template into another, with paths from the object's root.
pub(super) fn changes(from: &Value, to: &Value) -> Vec<PatchOperation> {
    let object = |template: &Value| json!({"spec": {"template": template}});
    json_patch::diff(&object(from), &object(to)).0
}

fn path(tokens: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(tokens.iter().copied())
}

pub(super) fn test(at: &[&str], value: &Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: path(at), value: value.clone() })
}

/// Tests that the workload still has the record that was read;
/// without a record, that its version is the one that was read.
pub(super) fn test_record(object: &Value) -> PatchOperation {
    match at(object, &place("annotations", ANNOTATION)) {
        Value::Null => test(&VERSION, at(object, "/metadata/resourceVersion")),
        record => test(&["metadata", "annotations", ANNOTATION], record),
    }
}

/// The operations that set the record's annotation (`None` removes it) and the label of a repair in flight.
pub(super) fn marks(
    object: &Value,
    record: Option<String>,
    in_flight: InFlight,
) -> Vec<PatchOperation> {
    let label = (in_flight == InFlight::Yes).then(|| IN_FLIGHT.to_owned());
    let wanted = [("annotations", ANNOTATION, record), ("labels", LABEL, label)];
    let mut operations = Vec::new();
    for (part, key, value) in wanted {
        let has_others = at(object, &format!("/metadata/{part}")).is_object();
        match value {
            Some(value) if has_others => {
                let path = path(&["metadata", part, key]);
                operations.push(PatchOperation::Add(AddOperation { path, value: value.into() }));
            }
            Some(value) => {
                // A concurrent write may add the map with other entries, which this one must not overwrite.
                operations.push(test(&VERSION, at(object, "/metadata/resourceVersion")));
                let (path, value) = (path(&["metadata", part]), json!({key: value}));
                operations.push(PatchOperation::Add(AddOperation { path, value }));
            }
            None if !at(object, &place(part, key)).is_null() => {
                let path = path(&["metadata", part, key]);
                operations.push(PatchOperation::Remove(RemoveOperation { path }));
            }
            None => {}
        }
    }
    operations
}
