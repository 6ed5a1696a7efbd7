//! Implementations of the language's own functions, by name: operators, conversions, strings, times (`common/stdlib` of
//! cel-go), and optional values (`cel/library.go`). They dispatch on the types of the values at run time.

use std::cmp::Ordering;

use super::arithmetic::{add, divide, modulo, multiply, negate, subtract};
use super::clock;
use super::conversion;
use super::equality::{compare, contains, is_zero};
use super::error::{Error, ErrorKind};
use super::function::{Call, Implementation, mismatch, size_of_value};
use super::list::List;
use super::operators;
use super::value::{Optional, Value};

/// The implementation of a function.
pub(super) fn find(name: &str) -> Option<Implementation> {
    Some(match name {
        operators::NOT => not,
        operators::NOT_STRICTLY_FALSE => not_strictly_false,
        operators::ADD => add,
        operators::SUBTRACT => subtract,
        operators::MULTIPLY => multiply,
        operators::DIVIDE => divide,
        operators::MODULO => modulo,
        operators::NEGATE => negate,
        operators::LESS => less,
        operators::LESS_EQUALS => less_equals,
        operators::GREATER => greater,
        operators::GREATER_EQUALS => greater_equals,
        operators::IN => within,
        "size" => size,
        "dyn" => conversion::dynamic,
        "type" => conversion::type_of,
        "bool" => conversion::boolean,
        "int" => conversion::int,
        "uint" => conversion::uint,
        "double" => conversion::double,
        "string" => conversion::string,
        "bytes" => conversion::bytes,
        "timestamp" => conversion::timestamp,
        "duration" => conversion::duration,
        "contains" => string_contains,
        "startsWith" => starts_with,
        "endsWith" => ends_with,
        "optional.of" => optional_of,
        "optional.ofNonZeroValue" => of_non_zero_value,
        "optional.none" => none,
        "value" => value,
        "hasValue" => has_value,
        "first" => first,
        "last" => last,
        "optional.unwrap" | "unwrapOpt" => unwrap,
        _ => return clock::find(name),
    })
}

/// The conversions that cel-go evaluates at compile time if the argument is constant (`IsTypeConversionFunction`).
pub(super) fn is_conversion(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "bytes"
            | "double"
            | "duration"
            | "dyn"
            | "int"
            | "string"
            | "timestamp"
            | "type"
            | "uint"
    )
}

fn not<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [Value::Bool(it)] => Ok(Value::Bool(!it)),
        _ => mismatch("!", args),
    }
}

/// The evaluator has replaced an error by true already.
#[allow(clippy::unnecessary_wraps, reason = "as all functions")]
fn not_strictly_false<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    Ok(Value::Bool(!matches!(args, [Value::Bool(false)])))
}

fn ordered<'v>(
    operator: &str,
    args: &[Value<'v>],
    holds: fn(Ordering) -> bool,
) -> Result<Value<'v>, Error> {
    match args {
        [a, b] => Ok(Value::Bool(holds(compare(operator, a, b)?))),
        _ => mismatch(operator, args),
    }
}

fn less<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    ordered("<", args, Ordering::is_lt)
}

fn less_equals<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    ordered("<=", args, Ordering::is_le)
}

fn greater<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    ordered(">", args, Ordering::is_gt)
}

fn greater_equals<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    ordered(">=", args, Ordering::is_ge)
}

fn within<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [item, container] => contains(item, container).map(Value::Bool),
        _ => mismatch("in", args),
    }
}

fn size<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [it @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_))] => {
            Ok(Value::Int(i64::try_from(size_of_value(it)).unwrap_or(i64::MAX)))
        }
        _ => mismatch("size()", args),
    }
}

fn strings<'a>(function: &str, args: &'a [Value<'_>]) -> Result<(&'a str, &'a str), Error> {
    match args {
        [Value::String(text), Value::String(part)] => Ok((text, part)),
        _ => mismatch(function, args),
    }
}

fn string_contains<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    strings("contains()", args).map(|(text, part)| Value::Bool(text.contains(part)))
}

fn starts_with<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    strings("startsWith()", args).map(|(text, part)| Value::Bool(text.starts_with(part)))
}

fn ends_with<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    strings("endsWith()", args).map(|(text, part)| Value::Bool(text.ends_with(part)))
}

/// An optional with a value.
pub(super) fn some<'v>(call: &mut Call<'_>, value: Value<'v>) -> Result<Value<'v>, Error> {
    call.meter.allocate(Optional::BYTES)?;
    Optional::of(value).map(Value::Optional)
}

fn optional_of<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [value] => some(call, value.clone()),
        _ => mismatch("optional.of()", args),
    }
}

fn of_non_zero_value<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [value] if is_zero(value) => Ok(Value::Optional(Optional::None)),
        [value] => some(call, value.clone()),
        _ => mismatch("optional.ofNonZeroValue()", args),
    }
}

#[allow(clippy::unnecessary_wraps, reason = "as all functions")]
fn none<'v>(_: &mut Call<'_>, _: &[Value<'v>]) -> Result<Value<'v>, Error> {
    Ok(Value::Optional(Optional::None))
}

fn value<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [Value::Optional(optional)] => optional.value().cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                "the optional has no value; test it first with hasValue()",
            )
        }),
        _ => mismatch("value()", args),
    }
}

fn has_value<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [Value::Optional(optional)] => Ok(Value::Bool(optional.value().is_some())),
        _ => mismatch("hasValue()", args),
    }
}

fn end_of<'v>(
    call: &mut Call<'_>,
    function: &str,
    args: &[Value<'v>],
    end: for<'a> fn(&'a [Value<'v>]) -> Option<&'a Value<'v>>,
) -> Result<Value<'v>, Error> {
    match args {
        [Value::List(list)] => match end(list) {
            Some(value) => some(call, value.clone()),
            None => Ok(Value::Optional(Optional::None)),
        },
        _ => mismatch(function, args),
    }
}

fn first<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    end_of(call, "first()", args, <[Value<'v>]>::first)
}

fn last<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    end_of(call, "last()", args, <[Value<'v>]>::last)
}

fn unwrap<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::List(list)] = args else { return mismatch("optional.unwrap()", args) };
    List::charge(call.meter, list.len())?;
    let mut values = Vec::with_capacity(list.len());
    for item in list.iter() {
        match item {
            Value::Optional(optional) => values.extend(optional.value().cloned()),
            other => return mismatch("optional.unwrap()", std::slice::from_ref(other)),
        }
    }
    List::new(values).map(Value::List)
}
