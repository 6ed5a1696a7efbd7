//! Protobuf messages that CEL knows, such as `google.protobuf.Int64Value{value: 1}`. A constructed message becomes a
//! value of the language at once (`common/types/provider.go` of cel-go).

use super::error::Error;
use super::list::List;
use super::map::Map;
use super::meter::Meter;
use super::time::{Duration, NANOS, Timestamp};
use super::value::Value;

type Made<'v> = Result<Value<'v>, Error>;

/// Constructs the message of that name with these fields.
pub(super) fn make<'v>(meter: &mut Meter, name: &str, fields: &[(&str, Value<'v>)]) -> Made<'v> {
    let of =
        |wanted: &str| fields.iter().rev().find(|(field, _)| *field == wanted).map(|(_, it)| it);
    let int = |wanted: &str| match of(wanted) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    };
    let value = of("value").cloned();
    let name = name.strip_prefix('.').unwrap_or(name);
    match name.strip_prefix("google.protobuf.").unwrap_or(name) {
        "BoolValue" => Ok(value.unwrap_or(Value::Bool(false))),
        "BytesValue" => Ok(value.unwrap_or_else(|| Value::bytes([]))),
        "StringValue" => Ok(value.unwrap_or(Value::borrowed(""))),
        "DoubleValue" => Ok(value.unwrap_or(Value::Double(0.0))),
        "FloatValue" => Ok(match value {
            #[allow(clippy::cast_possible_truncation, reason = "the message holds 32 bits")]
            Some(Value::Double(number)) => Value::Double(f64::from(number as f32)),
            other => other.unwrap_or(Value::Double(0.0)),
        }),
        "Int64Value" => Ok(value.unwrap_or(Value::Int(0))),
        "Int32Value" => match value {
            Some(Value::Int(number)) if i32::try_from(number).is_err() => {
                Err(Error::overflow("the number does not fit into a 32-bit int"))
            }
            other => Ok(other.unwrap_or(Value::Int(0))),
        },
        "UInt64Value" => Ok(value.unwrap_or(Value::Uint(0))),
        "UInt32Value" => match value {
            Some(Value::Uint(number)) if u32::try_from(number).is_err() => {
                Err(Error::overflow("the number does not fit into a 32-bit uint"))
            }
            other => Ok(other.unwrap_or(Value::Uint(0))),
        },
        "Duration" | "duration" => {
            let nanos =
                int("seconds").checked_mul(NANOS).and_then(|it| it.checked_add(int("nanos")));
            nanos
                .map(|it| Value::Duration(Duration(it)))
                .ok_or_else(|| Error::overflow("the duration is longer than 292 years"))
        }
        "Timestamp" | "timestamp" => {
            let nanos = int("nanos");
            let mut at =
                Timestamp::from_seconds(int("seconds").saturating_add(nanos.div_euclid(NANOS)))?;
            at.nanos = u32::try_from(nanos.rem_euclid(NANOS)).unwrap_or(0);
            Ok(Value::Timestamp(at))
        }
        "Struct" => {
            of("fields").map_or_else(|| Map::new(Vec::new()).map(Value::Map), |it| json(meter, it))
        }
        "ListValue" => of("values")
            .map_or_else(|| List::new(Vec::new()).map(Value::List), |it| json(meter, it)),
        "Value" => match fields.last() {
            None | Some(("null_value", _)) => Ok(Value::Null),
            Some((_, value)) => json(meter, value),
        },
        _ => Err(Error::invalid(format!("a message of type {name} cannot be constructed"))),
    }
}

/// Converts a value to the JSON types of `google.protobuf.Value`.
#[allow(clippy::cast_precision_loss, reason = "numbers that a double cannot hold become strings")]
fn json<'v>(meter: &mut Meter, value: &Value<'v>) -> Made<'v> {
    const SAFE: u64 = (1 << 53) - 1;
    match value {
        Value::Int(number) if number.unsigned_abs() <= SAFE => Ok(Value::Double(*number as f64)),
        Value::Int(number) => Ok(Value::string(number.to_string())),
        Value::Uint(number) if *number <= SAFE => Ok(Value::Double(*number as f64)),
        Value::Uint(number) => Ok(Value::string(number.to_string())),
        Value::Timestamp(at) => Ok(Value::string(at.to_string())),
        Value::Duration(length) => Ok(Value::string(format!("{}s", length.seconds()))),
        Value::List(list) => {
            List::charge(meter, list.len())?;
            let items = list.iter().map(|it| json(meter, it)).collect::<Result<_, _>>()?;
            List::new(items).map(Value::List)
        }
        Value::Map(map) => {
            Map::charge(meter, map.len())?;
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.as_slice() {
                let Value::String(_) = key else {
                    return Err(Error::invalid("a key of a JSON object must be a string"));
                };
                entries.push((key.clone(), json(meter, value)?));
            }
            Map::new(entries).map(Value::Map)
        }
        Value::Null | Value::Bool(_) | Value::Double(_) | Value::String(_) => Ok(value.clone()),
        other => Err(Error::invalid(format!(
            "a value of type {} cannot be converted to JSON",
            other.type_name()
        ))),
    }
}
