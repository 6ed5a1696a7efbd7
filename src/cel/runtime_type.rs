//! The check of a value against a declared type at run time (`IsAssignableRuntimeType` of cel-go's `common/types`). Of
//! lists and maps only the first element is checked.

use super::types::{NAMED_FORMAT, QUANTITY, SEMVER, Type, URL};
use super::value::Value;

pub(super) fn takes(declared: &Type, value: &Value<'_>) -> bool {
    match (declared, value) {
        (Type::Dyn | Type::Any | Type::Param(_) | Type::Variable(_), _)
        | (Type::Null | Type::Wrapper(_), Value::Null)
        | (Type::Bool, Value::Bool(_))
        | (Type::Int, Value::Int(_))
        | (Type::Uint, Value::Uint(_))
        | (Type::Double, Value::Double(_))
        | (Type::String, Value::String(_))
        | (Type::Bytes, Value::Bytes(_))
        | (Type::Duration, Value::Duration(_))
        | (Type::Timestamp, Value::Timestamp(_))
        | (Type::Type(_), Value::Type(_))
        | (Type::Optional(_), Value::Optional(_)) => true,
        (Type::Wrapper(of), value) => takes(of, value),
        (Type::List(of), Value::List(list)) => list.first().is_none_or(|it| takes(of, it)),
        (Type::Map(key, of), Value::Map(map)) => {
            map.as_slice().first().is_none_or(|(k, v)| takes(key, k) && takes(of, v))
        }
        (Type::Opaque(name), Value::Opaque(opaque)) => *name == opaque.type_name(),
        (Type::Object(name), Value::Opaque(opaque)) => **name == *opaque.type_name(),
        _ => false,
    }
}

/// The name of a type as a value.
pub(super) fn name_of(of: &Type) -> &'static str {
    match of {
        Type::Null => "null_type",
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Uint => "uint",
        Type::Double => "double",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Duration => "google.protobuf.Duration",
        Type::Timestamp => "google.protobuf.Timestamp",
        Type::Wrapper(of) => name_of(of),
        Type::List(_) => "list",
        Type::Map(..) => "map",
        Type::Optional(_) => "optional_type",
        Type::Type(_) => "type",
        Type::Opaque(name) | Type::Param(name) => name,
        Type::Object(name) => [URL, QUANTITY, SEMVER, NAMED_FORMAT, "google.protobuf.Empty"]
            .into_iter()
            .find(|known| **known == **name)
            .unwrap_or("object"),
        Type::Dyn | Type::Any | Type::Variable(_) => "dyn",
    }
}
