//! `+ - * / %` and the minus sign: an overflow is an error. Both
//! operands are of one type, or a timestamp and a duration.

use super::error::{Error, ErrorKind};
use super::function::Call;
use super::list::List;
use super::time::{self, Duration, Timestamp};
use super::value::Value;

fn mismatch(operator: &str, a: &Value<'_>, b: &Value<'_>) -> Error {
    Error::no_such_overload(operator, &[a.type_name(), b.type_name()])
}

fn int(result: Option<i64>) -> Result<Value<'static>, Error> {
    result
        .map(Value::Int)
        .ok_or_else(|| Error::overflow("the result does not fit into a 64-bit int"))
}

fn uint(result: Option<u64>) -> Result<Value<'static>, Error> {
    result
        .map(Value::Uint)
        .ok_or_else(|| Error::overflow("the result does not fit into a 64-bit uint"))
}

fn duration(result: Option<i64>) -> Result<Value<'static>, Error> {
    let beyond = || Error::overflow("the duration is longer than 292 years");
    result.map(|it| Value::Duration(Duration(it))).ok_or_else(beyond)
}

fn by_zero() -> Error {
    Error::new(ErrorKind::DivisionByZero, "division by zero")
}

pub(super) fn add<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [a, b] = args else { return Err(Error::no_such_overload("+", &[])) };
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_add(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_add(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        (Value::String(a), Value::String(b)) => {
            call.meter.allocate((a.len() + b.len()).saturating_mul(2))?;
            let mut sum = String::with_capacity(a.len() + b.len());
            sum.push_str(a);
            sum.push_str(b);
            Ok(Value::string(sum))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            call.meter.allocate((a.len() + b.len()).saturating_mul(2))?;
            Ok(Value::bytes([&a[..], &b[..]].concat()))
        }
        (Value::List(a), Value::List(b)) => {
            if a.is_empty() {
                return Ok(Value::List(b.clone()));
            }
            if b.is_empty() {
                return Ok(Value::List(a.clone()));
            }
            List::charge(call.meter, a.len() + b.len())?;
            List::new(a.iter().chain(b.iter()).cloned().collect()).map(Value::List)
        }
        (Value::Duration(a), Value::Duration(b)) => duration(a.0.checked_add(b.0)),
        (Value::Duration(length), Value::Timestamp(at))
        | (Value::Timestamp(at), Value::Duration(length)) => later(*at, length.0),
        _ => Err(mismatch("+", a, b)),
    }
}

pub(super) fn subtract<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [a, b] = args else { return Err(Error::no_such_overload("-", &[])) };
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_sub(*b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_sub(*b)),
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        (Value::Duration(a), Value::Duration(b)) => duration(a.0.checked_sub(b.0)),
        (Value::Timestamp(at), Value::Duration(length)) => match length.0.checked_neg() {
            Some(back) => later(*at, back),
            None => duration(None),
        },
        (Value::Timestamp(a), Value::Timestamp(b)) => {
            let seconds = (a.seconds - b.seconds).checked_mul(time::NANOS);
            let nanos = i64::from(a.nanos) - i64::from(b.nanos);
            duration(seconds.and_then(|it| it.checked_add(nanos)))
        }
        _ => Err(mismatch("-", a, b)),
    }
}

/// The timestamp `nanos` nanoseconds later.
fn later(at: Timestamp, nanos: i64) -> Result<Value<'static>, Error> {
    let total = i64::from(at.nanos) + nanos.rem_euclid(time::NANOS);
    let seconds = at.seconds + nanos.div_euclid(time::NANOS) + total.div_euclid(time::NANOS);
    if !(time::FIRST_SECOND..=time::LAST_SECOND).contains(&seconds) {
        return Err(time::out_of_range());
    }
    let nanos = u32::try_from(total.rem_euclid(time::NANOS)).unwrap_or(0);
    Ok(Value::Timestamp(Timestamp { seconds, nanos, offset: at.offset }))
}

pub(super) fn multiply<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_mul(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_mul(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a * b)),
        [a, b] => Err(mismatch("*", a, b)),
        _ => Err(Error::no_such_overload("*", &[])),
    }
}

pub(super) fn divide<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(by_zero()),
        [Value::Int(a), Value::Int(b)] => int(a.checked_div(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_div(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a / b)),
        [a, b] => Err(mismatch("/", a, b)),
        _ => Err(Error::no_such_overload("/", &[])),
    }
}

pub(super) fn modulo<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(by_zero()),
        [Value::Int(a), Value::Int(b)] => int(a.checked_rem(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_rem(*b)),
        [a, b] => Err(mismatch("%", a, b)),
        _ => Err(Error::no_such_overload("%", &[])),
    }
}

pub(super) fn negate<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [Value::Int(it)] => int(it.checked_neg()),
        [Value::Double(it)] => Ok(Value::Double(-it)),
        [Value::Duration(it)] => duration(it.0.checked_neg()),
        [other] => Err(Error::no_such_overload("-", &[other.type_name()])),
        _ => Err(Error::no_such_overload("-", &[])),
    }
}
