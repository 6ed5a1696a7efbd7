//! Reads foreign objects by pointers: a field that is missing, or of another type, is none.

use serde_json::Value;

static NULL: Value = Value::Null;

/// The text at a pointer.
#[inline(never)]
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

pub(super) trait Fields {
    /// The value at a pointer; null if there is none.
    fn at(&self, pointer: &str) -> &Value;
    /// The items of a list; none of another value.
    fn items(&self) -> &[Value];
    /// The items of a list that are texts.
    fn texts(&self) -> Vec<String>;
    /// Whether it is null, or a list or map without entries.
    fn is_empty_value(&self) -> bool;
}

impl Fields for Value {
    #[inline(never)]
    fn at(&self, pointer: &str) -> &Value {
        self.pointer(pointer).unwrap_or(&NULL)
    }

    fn items(&self) -> &[Value] {
        self.as_array().map(Vec::as_slice).unwrap_or_default()
    }

    #[inline(never)]
    fn texts(&self) -> Vec<String> {
        self.items().iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    #[inline(never)]
    fn is_empty_value(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        }
    }
}
