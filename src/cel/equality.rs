//! `==`, `<` and `in`, as `Equal` and `Compare` of cel-go's `common/types`: numbers of different types are compared by
//! their values, other values of different types are unequal.

use std::cmp::Ordering;

use super::error::{Error, ErrorKind};
use super::value::{Optional, Value};

/// Whether two values are equal. Comparing an opaque value with a value of another type, other than null, is an error.
pub fn equal(a: &Value<'_>, b: &Value<'_>) -> Result<bool, Error> {
    Ok(match (a, b) {
        (Value::String(a), Value::String(b)) => a.as_str() == b.as_str(),
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), _) => {
            numbers(a, b) == Some(Ordering::Equal)
        }
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| may_be_equal(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.as_slice()
                    .iter()
                    .all(|(key, a)| b.find(key).is_some_and(|b| may_be_equal(a, b)))
        }
        (Value::Optional(a), Value::Optional(b)) => match (a.value(), b.value()) {
            (Some(a), Some(b)) => return equal(a, b),
            (None, None) => true,
            _ => false,
        },
        (Value::Opaque(_), Value::Null) => false,
        (Value::Opaque(a), Value::Opaque(b)) => return a.equals(&**b),
        (Value::Opaque(a), b) => {
            return Err(Error::no_such_overload("==", &[a.type_name(), b.type_name()]));
        }
        _ => false,
    })
}

/// Within lists and maps, values that cannot be compared count as equal: cel-go only looks for a pair that is unequal.
fn may_be_equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    equal(a, b).unwrap_or(true)
}

/// The order of two numbers; `None` if one of them is not a number, or NaN.
fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Double(a), Value::Int(b)) => double_and_int(*a, *b),
        (Value::Int(a), Value::Double(b)) => double_and_int(*b, *a).map(Ordering::reverse),
        (Value::Double(a), Value::Uint(b)) => double_and_uint(*a, *b),
        (Value::Uint(a), Value::Double(b)) => double_and_uint(*b, *a).map(Ordering::reverse),
        _ => None,
    }
}

/// As cel-go: a double outside the range of ints is less or greater, others are compared as doubles.
#[allow(clippy::cast_precision_loss, reason = "as cel-go compares")]
fn double_and_int(a: f64, b: i64) -> Option<Ordering> {
    if a < i64::MIN as f64 {
        Some(Ordering::Less)
    } else if a > i64::MAX as f64 {
        Some(Ordering::Greater)
    } else {
        a.partial_cmp(&(b as f64))
    }
}

#[allow(clippy::cast_precision_loss, reason = "as cel-go compares")]
fn double_and_uint(a: f64, b: u64) -> Option<Ordering> {
    if a < 0.0 {
        Some(Ordering::Less)
    } else if a > u64::MAX as f64 {
        Some(Ordering::Greater)
    } else {
        a.partial_cmp(&(b as f64))
    }
}

/// The order of two values. `operator`, such as `<`, is for the error message.
pub(super) fn compare(operator: &str, a: &Value<'_>, b: &Value<'_>) -> Result<Ordering, Error> {
    let order = match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.as_str().cmp(b.as_str()),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        _ => {
            let is_number =
                |it: &Value<'_>| matches!(it, Value::Int(_) | Value::Uint(_) | Value::Double(_));
            if !is_number(a) || !is_number(b) {
                return Err(Error::no_such_overload(operator, &[a.type_name(), b.type_name()]));
            }
            let nan = || Error::new(ErrorKind::InvalidArgument, "NaN has no order");
            numbers(a, b).ok_or_else(nan)?
        }
    };
    Ok(order)
}

/// `item in container`.
pub(super) fn contains(item: &Value<'_>, container: &Value<'_>) -> Result<bool, Error> {
    match container {
        Value::List(list) => Ok(list.iter().any(|it| equal(item, it).unwrap_or(false))),
        Value::Map(map) => {
            if matches!(item, Value::Bytes(_)) && map.has_general_keys() {
                return Err(unhashable());
            }
            Ok(map.find(item).is_some())
        }
        other => Err(Error::no_such_overload("in", &[item.type_name(), other.type_name()])),
    }
}

/// The error for bytes as a map's key, where cel-go panics.
pub(super) fn unhashable() -> Error {
    Error::new(ErrorKind::Internal, "bytes cannot be the key of a map")
}

/// Whether `optional.ofNonZeroValue()` gives an empty optional for the value.
pub(super) fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(it) => !it,
        Value::Int(it) => *it == 0,
        Value::Uint(it) => *it == 0,
        Value::Double(it) => *it == 0.0,
        Value::String(it) => it.is_empty(),
        Value::Bytes(it) => it.is_empty(),
        Value::List(it) => it.is_empty(),
        Value::Map(it) => it.is_empty(),
        Value::Timestamp(it) => it.seconds == super::time::FIRST_SECOND && it.nanos == 0,
        Value::Duration(it) => it.0 == 0,
        Value::Optional(Optional::None | Optional::Some(_)) | Value::Type(_) | Value::Opaque(_) => {
            false
        }
    }
}
