//! JSON as CEL reads it, and how much of it there is.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::Value as CelValue;
use kube_cel::cel::objects::{Key, Map};
use serde_json::Value;

/// How much a document holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    /// Values of any kind.
    pub values: u64,
    /// Entries of the longest list or map.
    pub longest: u64,
    /// Bytes of the longest string.
    pub longest_string: u64,
}

/// Converts a value. A null is left out of maps, as the API server leaves it out: the field is not there.
pub(super) fn to_cel(value: &Value, size: &mut Size) -> CelValue {
    size.values += 1;
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(boolean) => CelValue::Bool(*boolean),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => CelValue::Int(integer),
            None => CelValue::Float(number.as_f64().unwrap_or(f64::INFINITY)),
        },
        Value::String(text) => {
            size.longest_string = size.longest_string.max(text.len() as u64);
            CelValue::String(Arc::new(text.clone()))
        }
        Value::Array(items) => {
            size.longest = size.longest.max(items.len() as u64);
            CelValue::List(Arc::new(items.iter().map(|item| to_cel(item, size)).collect()))
        }
        Value::Object(fields) => {
            size.longest = size.longest.max(fields.len() as u64);
            let given = fields.iter().filter(|(_, value)| !value.is_null());
            let map: HashMap<Key, CelValue> = given
                .map(|(name, value)| (Key::String(Arc::new(name.clone())), to_cel(value, size)))
                .collect();
            CelValue::Map(Map { map: Arc::new(map) })
        }
    }
}
