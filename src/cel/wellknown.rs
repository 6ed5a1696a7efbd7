//! The named types of every environment: those of the language, and the protobuf messages that cel-go always knows
//! (`common/types/provider.go`, `common/types/pb/pb.go`).

use super::ast::Name;
use super::types::{CIDR, IP, Type};

/// A type that has a name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    pub of: Type,
    /// Whether the name is a value too, as in `type(x) == int`. Other names serve in struct literals only.
    pub is_value: bool,
}

/// The type of a name.
pub(super) fn named(name: &str) -> Option<Named> {
    let value = |of| Some(Named { of, is_value: true });
    match name {
        "bool" => value(Type::Bool),
        "bytes" => value(Type::Bytes),
        "double" => value(Type::Double),
        "int" => value(Type::Int),
        "uint" => value(Type::Uint),
        "string" => value(Type::String),
        "null_type" => value(Type::Null),
        "type" => value(Type::Type(None)),
        "list" => value(Type::list(Type::Dyn)),
        "map" => value(Type::map(Type::Dyn, Type::Dyn)),
        "optional_type" => value(Type::Opaque("optional_type")),
        "google.protobuf.Duration" => value(Type::Duration),
        "google.protobuf.Timestamp" => value(Type::Timestamp),
        "google.protobuf.Empty" => value(Type::object(name)),
        _ if name == IP => value(Type::Opaque(IP)),
        _ if name == CIDR => value(Type::Opaque(CIDR)),
        _ => message(name).map(|message| Named { of: message.of, is_value: false }),
    }
}

/// The value of a named constant: the only value of the enum `NullValue`.
pub(super) fn constant(name: &str) -> Option<i64> {
    (name == "google.protobuf.NullValue.NULL_VALUE").then_some(0)
}

/// A protobuf message that can be instantiated.
pub(super) struct Message {
    /// The type of an instance in the checker.
    pub of: Type,
    pub fields: Vec<(Name, Type)>,
}

pub(super) fn message(name: &str) -> Option<Message> {
    let wrapper = |of: Type| (Type::wrapper(of.clone()), vec![("value", of)]);
    let json_map = || Type::map(Type::String, Type::Dyn);
    let (of, fields) = match name {
        "google.protobuf.BoolValue" => wrapper(Type::Bool),
        "google.protobuf.BytesValue" => wrapper(Type::Bytes),
        "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" => wrapper(Type::Double),
        "google.protobuf.Int32Value" | "google.protobuf.Int64Value" => wrapper(Type::Int),
        "google.protobuf.UInt32Value" | "google.protobuf.UInt64Value" => wrapper(Type::Uint),
        "google.protobuf.StringValue" => wrapper(Type::String),
        "google.protobuf.Any" => {
            (Type::Any, vec![("type_url", Type::String), ("value", Type::Bytes)])
        }
        "google.protobuf.Duration" | "duration" => {
            (Type::Duration, vec![("seconds", Type::Int), ("nanos", Type::Int)])
        }
        "google.protobuf.Timestamp" | "timestamp" => {
            (Type::Timestamp, vec![("seconds", Type::Int), ("nanos", Type::Int)])
        }
        "google.protobuf.Empty" => (Type::object(name), Vec::new()),
        "google.protobuf.Struct" => (json_map(), vec![("fields", json_map())]),
        "google.protobuf.ListValue" => {
            (Type::list(Type::Dyn), vec![("values", Type::list(Type::Dyn))])
        }
        "google.protobuf.Value" => (
            Type::Dyn,
            vec![
                ("null_value", Type::Int),
                ("number_value", Type::Double),
                ("string_value", Type::String),
                ("bool_value", Type::Bool),
                ("struct_value", json_map()),
                ("list_value", Type::list(Type::Dyn)),
            ],
        ),
        "null_type" => (Type::Null, Vec::new()),
        _ => return None,
    };
    Some(Message { of, fields: fields.into_iter().map(|(name, of)| (name.into(), of)).collect() })
}
