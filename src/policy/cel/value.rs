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

impl Size {
    /// Measures before anything is converted: what is too large is then never held twice.
    pub fn of(values: &[&Value]) -> Self {
        let mut size = Self::default();
        for value in values {
            size.add(value);
        }
        size
    }

    fn add(&mut self, value: &Value) {
        self.values += 1;
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => {
                self.longest_string = self.longest_string.max(text.len() as u64);
            }
            Value::Array(items) => {
                self.longest = self.longest.max(items.len() as u64);
                for item in items {
                    self.add(item);
                }
            }
            Value::Object(fields) => {
                self.longest = self.longest.max(fields.len() as u64);
                for field in fields.values() {
                    self.add(field);
                }
            }
        }
    }
}

/// Converts a value. A null is left out of maps, as the API server leaves it out: the field is not there.
pub(super) fn to_cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(boolean) => CelValue::Bool(*boolean),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => CelValue::Int(integer),
            None => CelValue::Float(number.as_f64().unwrap_or(f64::INFINITY)),
        },
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Array(items) => CelValue::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let given = fields.iter().filter(|(_, value)| !value.is_null());
            let map: HashMap<Key, CelValue> = given
                .map(|(name, value)| (Key::String(Arc::new(name.clone())), to_cel(value)))
                .collect();
            CelValue::Map(Map { map: Arc::new(map) })
        }
    }
}
