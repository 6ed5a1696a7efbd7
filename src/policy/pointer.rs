//! JSON pointers (RFC 6901) into objects.

use serde_json::Value;

/// The JSON pointer to one of an object's labels (`part` is `labels`) or annotations (`annotations`).
pub fn place(part: &str, key: &str) -> String {
    format!("/metadata/{part}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The value at a JSON pointer; null if there is none.
pub fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    static NULL: Value = Value::Null;
    value.pointer(pointer).unwrap_or(&NULL)
}
