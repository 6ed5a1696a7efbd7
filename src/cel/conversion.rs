//! Conversions between types, such as `int()`, `string()` and `timestamp()`: `ConvertToType` of cel-go's
//! `common/types`. Text is read as Go's `strconv` and `time` read it.

use std::borrow::Cow;

use super::error::Error;
use super::function::{Call, mismatch};
use super::time::{Duration, Timestamp, quoted};
use super::value::Value;

/// 2⁶³ and 2⁶⁴ as doubles.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

fn unreadable<T>(text: &str, what: &str) -> Result<T, Error> {
    Err(Error::invalid(format!("{} is not a valid {what}", quoted(text))))
}

pub(super) fn dynamic<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [value] => Ok(value.clone()),
        _ => mismatch("dyn()", args),
    }
}

pub(super) fn type_of<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [value] => Ok(Value::Type(value.type_name())),
        _ => mismatch("type()", args),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn int<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let beyond = || Error::overflow("the number does not fit into a 64-bit int");
    let number = match args {
        [Value::Int(number)] => *number,
        [Value::Uint(number)] => i64::try_from(*number).map_err(|_| beyond())?,
        // As in cel-go, the least int is out of range too.
        [Value::Double(number)] if *number > -INT_END && *number < INT_END => *number as i64,
        [Value::Double(_)] => return Err(beyond()),
        [Value::String(text)] => match decimal(text) {
            Some(digits) => digits.parse().or_else(|_| unreadable(text, "int"))?,
            None => return unreadable(text, "int"),
        },
        [Value::Timestamp(at)] => at.seconds,
        [Value::Duration(length)] => length.0,
        _ => return mismatch("int()", args),
    };
    Ok(Value::Int(number))
}

/// The text, if it has the form that Go's `ParseInt` reads with base 10: an optional sign and digits.
fn decimal(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let all_digits = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    all_digits.then_some(text)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
pub(super) fn uint<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let beyond = || Error::overflow("the number does not fit into a 64-bit uint");
    let number = match args {
        [Value::Uint(number)] => *number,
        [Value::Int(number)] => u64::try_from(*number).map_err(|_| beyond())?,
        [Value::Double(number)] if (0.0..UINT_END).contains(number) => *number as u64,
        [Value::Double(_)] => return Err(beyond()),
        [Value::String(text)] if text.bytes().all(|it| it.is_ascii_digit()) => {
            text.parse().or_else(|_| unreadable(text, "uint"))?
        }
        [Value::String(text)] => return unreadable(text, "uint"),
        _ => return mismatch("uint()", args),
    };
    Ok(Value::Uint(number))
}

#[allow(clippy::cast_precision_loss, reason = "as Go rounds")]
pub(super) fn double<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let number = match args {
        [Value::Double(number)] => *number,
        [Value::Int(number)] => *number as f64,
        [Value::Uint(number)] => *number as f64,
        [Value::String(text)] => match without_underscores(text).and_then(|it| parse_double(&it)) {
            Some(number) => number,
            None => return unreadable(text, "double"),
        },
        _ => return mismatch("double()", args),
    };
    Ok(Value::Double(number))
}

/// The number without underscores; `None` if an underscore is neither
/// between digits nor after `0x` (`underscoreOK` of Go's `strconv`).
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
    let is_digit = |it: char| it.is_ascii_digit() || digits.is_some() && it.is_ascii_hexdigit();
    let mut before = if digits.is_some() { '0' } else { ' ' };
    for next in digits.unwrap_or(unsigned).chars().chain([' ']) {
        if next == '_' && !is_digit(before) || before == '_' && !is_digit(next) {
            return None;
        }
        before = next;
    }
    Some(Cow::Owned(text.replace('_', "")))
}

/// Reads a double as Go's `ParseFloat`: decimal or hexadecimal, `inf`,
/// `infinity` and `nan` in any case. `None` if it is out of range.
fn parse_double(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = unsigned.get(..unsigned.len().min(8))?.to_ascii_lowercase();
    let magnitude = match lower.as_str() {
        "inf" | "infinity" if unsigned.len() == lower.len() => f64::INFINITY,
        // Go does not read `nan` with a sign.
        "nan" if unsigned.len() == 3 && unsigned.len() == text.len() => f64::NAN,
        _ if lower.starts_with("0x") => parse_hexadecimal(unsigned.get(2..)?)?,
        _ => {
            let plain = unsigned
                .bytes()
                .all(|it| matches!(it, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
            if !plain {
                return None;
            }
            unsigned.parse().ok().filter(|it: &f64| it.is_finite())?
        }
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Reads `1.8p3` of `0x1.8p3`. The exponent is required.
#[allow(clippy::cast_precision_loss, reason = "the bits that do not fit are rounded")]
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent: i64 = decimal(exponent)?.parse().unwrap_or(if exponent.starts_with('-') {
        -100_000
    } else {
        100_000
    });
    let (mut bits, mut scale) = (0_u128, 0_i64);
    let digits = whole.chars().map(|it| (it, 0)).chain(fraction.chars().map(|it| (it, -4)));
    for (digit, shift) in digits {
        let digit = digit.to_digit(16)?;
        if bits >> 120 == 0 {
            bits = bits << 4 | u128::from(digit);
            scale += shift;
        } else {
            // Digits beyond 120 bits matter only for rounding a tie.
            bits |= u128::from(digit != 0);
            scale += shift + 4;
        }
    }
    if bits == 0 {
        return Some(0.0);
    }
    let power = i32::try_from(scale.saturating_add(exponent).clamp(-5_000, 5_000)).ok()?;
    let (half, rest) = (power / 2, power - power / 2);
    let value = bits as f64 * 2_f64.powi(half) * 2_f64.powi(rest);
    value.is_finite().then_some(value)
}

pub(super) fn boolean<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let truth = match args {
        [Value::Bool(truth)] => *truth,
        [Value::String(text)] => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => return unreadable(text, "bool"),
        },
        _ => return mismatch("bool()", args),
    };
    Ok(Value::Bool(truth))
}

pub(super) fn bytes<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    match args {
        [Value::Bytes(_)] => dynamic(call, args),
        [Value::String(text)] => {
            call.meter.allocate(text.len())?;
            Ok(Value::bytes(text.as_bytes()))
        }
        _ => mismatch("bytes()", args),
    }
}

pub(super) fn string<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    /// Numbers, times and bools are shorter than this.
    const SHORT: usize = 64;
    let text = match args {
        [Value::String(_)] => return dynamic(call, args),
        [Value::Bytes(bytes)] => {
            call.meter.allocate(bytes.len())?;
            return match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Value::string(text)),
                Err(_) => Err(Error::invalid("the bytes are not UTF-8")),
            };
        }
        [Value::Bool(it)] => return Ok(Value::borrowed(if *it { "true" } else { "false" })),
        [Value::Int(number)] => number.to_string(),
        [Value::Uint(number)] => number.to_string(),
        [Value::Double(number)] => general(*number),
        [Value::Timestamp(at)] => at.to_string(),
        [Value::Duration(length)] => format!("{}s", plain(length.seconds())),
        [Value::Opaque(opaque)] if let Some(text) = opaque.text() => text,
        _ => return mismatch("string()", args),
    };
    call.meter.allocate(SHORT)?;
    Ok(Value::string(text))
}

/// Formats as Go's `%g`: the shortest digits that read back as
/// the same number, with an exponent below 1e-4 and from 1e6 on.
fn general(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = shortest(number);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return plain(number);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The shortest digits of a number below 1e16, without an exponent.
fn plain(number: f64) -> String {
    let scientific = shortest(number);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let behind_point = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let behind_point = i64::try_from(behind_point).unwrap_or(0) - exponent.parse().unwrap_or(0);
    format!("{number:.*}", usize::try_from(behind_point).unwrap_or(0))
}

/// The shortest digits that read back as the same number. Of two
/// equally near ones Go takes the one with the even last digit.
fn shortest(number: f64) -> String {
    let shortest = format!("{number:e}");
    let digits = shortest.split('e').next().unwrap_or_default().bytes().filter(u8::is_ascii_digit);
    let nearest = format!("{number:.*e}", digits.count().saturating_sub(1));
    if nearest.parse() == Ok(number) { nearest } else { shortest }
}

pub(super) fn timestamp<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let at = match args {
        [Value::Timestamp(at)] => *at,
        [Value::Int(seconds)] => Timestamp::from_seconds(*seconds)?,
        [Value::String(text)] => Timestamp::parse(text)?,
        _ => return mismatch("timestamp()", args),
    };
    Ok(Value::Timestamp(at))
}

pub(super) fn duration<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let length = match args {
        [Value::Duration(length)] => *length,
        [Value::String(text)] => Duration::parse(text)?,
        _ => return mismatch("duration()", args),
    };
    Ok(Value::Duration(length))
}
