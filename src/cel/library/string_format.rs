//! `string.format(list)`: `ext/formatting.go` of cel-go.

mod double;

use super::super::conversion;
use super::super::error::Error;
use super::super::function::{Call, mismatch};
use super::super::types::Type;
use super::super::value::Value;
use super::quoted;

/// A clause of a format, such as `%s` or `%.3f`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Clause {
    String,
    Decimal,
    Fixed(i64),
    Scientific(i64),
    Binary,
    Hex { upper: bool },
    Octal,
}

/// A part of a format: literal text or a clause.
enum Part<'f> {
    Text(&'f str),
    Clause(Clause),
}

/// The default precision.
const PRECISION: i64 = 6;

/// Splits the first part off a format.
fn next_part(format: &str) -> Result<(Part<'_>, &str), Error> {
    let Some(clause) = format.strip_prefix('%') else {
        let (text, rest) = format.split_at(format.find('%').unwrap_or(format.len()));
        return Ok((Part::Text(text), rest));
    };
    if clause.starts_with('%') {
        let (percent, rest) = clause.split_at(1);
        return Ok((Part::Text(percent), rest));
    }
    let (precision, rest) = precision(clause)?;
    let mut letters = rest.chars();
    let clause = match letters.next() {
        Some('s') => Clause::String,
        Some('d') => Clause::Decimal,
        Some('f') => Clause::Fixed(precision),
        Some('e') => Clause::Scientific(precision),
        Some('b') => Clause::Binary,
        Some('x') => Clause::Hex { upper: false },
        Some('X') => Clause::Hex { upper: true },
        Some('o') => Clause::Octal,
        Some(other) => {
            return Err(Error::invalid(format!(
                "%{other} is not a clause of a format; there are %s, %d, %f, %e, %b, %x, %X and %o; \
                 write %% for a percent sign"
            )));
        }
        None => return Err(Error::invalid("the format ends within a clause; write %% for %")),
    };
    Ok((Part::Clause(clause), letters.as_str()))
}

fn precision(clause: &str) -> Result<(i64, &str), Error> {
    let Some(digits) = clause.strip_prefix('.') else {
        return Ok((PRECISION, clause));
    };
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = digits.split_at(end);
    let precision = digits.parse().map_err(|_| {
        Error::invalid("a precision in a format is a point and a number, as in %.3f")
    })?;
    Ok((precision, rest))
}

impl Clause {
    /// Whether the clause takes values of the type; a `dyn` is decided at run time.
    fn takes(self, of: &Type) -> bool {
        of.is_dyn()
            || match self {
                Self::String => {
                    !matches!(of, Type::Optional(_) | Type::Opaque(_) | Type::Object(_))
                }
                Self::Decimal | Self::Octal => matches!(of, Type::Int | Type::Uint),
                Self::Fixed(_) | Self::Scientific(_) => matches!(of, Type::Double | Type::String),
                Self::Binary => matches!(of, Type::Int | Type::Uint | Type::Bool),
                Self::Hex { .. } => {
                    matches!(of, Type::Int | Type::Uint | Type::String | Type::Bytes)
                }
            }
    }

    /// The types that the clause takes, as the beginning of an error message.
    fn description(self) -> &'static str {
        match self {
            Self::String => {
                "%s takes strings, bools, bytes, numbers, null, types, times, lists and maps"
            }
            Self::Decimal => "%d takes integers",
            Self::Fixed(_) => "%f takes doubles",
            Self::Scientific(_) => "%e takes doubles",
            Self::Binary => "%b takes integers and bools",
            Self::Hex { .. } => "%x takes integers, strings and bytes",
            Self::Octal => "%o takes integers",
        }
    }
}

/// Checks a literal format against the types of its arguments, as cel-go does when it compiles. Each item of `args` is
/// the type of an argument, followed by those of the elements and entries written in it.
pub fn check_format<'t>(
    format: &str,
    mut args: impl Iterator<Item = Vec<&'t Type>>,
) -> Result<(), Error> {
    let mut rest = format;
    while !rest.is_empty() {
        let (part, after) = next_part(rest)?;
        rest = after;
        let Part::Clause(clause) = part else { continue };
        let types = args.next().ok_or_else(|| too_few(format))?;
        // Only %s prints the parts of a list or a map, so only %s checks them.
        let printed = if clause == Clause::String { types.len() } else { 1 };
        if let Some(other) = types.iter().take(printed).find(|of| !clause.takes(of)) {
            return Err(Error::invalid(format!("{}, not {other}", clause.description())));
        }
    }
    match args.next() {
        Some(_) => Err(Error::invalid("the format has fewer clauses than there are arguments")),
        None => Ok(()),
    }
}

fn too_few(format: &str) -> Error {
    Error::invalid(format!("the format {} has more clauses than arguments", quoted::go(format)))
}

/// A text under construction, charged to the meter.
struct Writer<'c, 'm> {
    text: String,
    call: &'c mut Call<'m>,
}

impl Writer<'_, '_> {
    fn push(&mut self, text: &str) -> Result<(), Error> {
        // The text's capacity may be twice its length, and the value is a copy.
        self.call.meter.allocate(text.len().saturating_mul(3))?;
        self.text.push_str(text);
        Ok(())
    }
}

/// `string.format(list)`.
pub fn format<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::String(format), Value::List(list)] = args else {
        return mismatch("format()", args);
    };
    let mut values = list.iter();
    let mut writer = Writer { text: String::new(), call };
    let mut rest: &str = format;
    while !rest.is_empty() {
        let (part, after) = next_part(rest)?;
        rest = after;
        match part {
            Part::Text(text) => writer.push(text)?,
            Part::Clause(clause) => {
                write_clause(&mut writer, clause, values.next().ok_or_else(|| too_few(format))?)?;
            }
        }
    }
    Ok(Value::string(writer.text))
}

fn write_clause(
    writer: &mut Writer<'_, '_>,
    clause: Clause,
    value: &Value<'_>,
) -> Result<(), Error> {
    let text = match (clause, value) {
        (Clause::String, _) => return write_string(writer, value),
        (Clause::Decimal, Value::Int(number)) => number.to_string(),
        (Clause::Decimal, Value::Uint(number)) => number.to_string(),
        (Clause::Fixed(precision), _) => {
            writer.call.meter.allocate(double::most_bytes(precision))?;
            double::fixed(as_double(clause, value)?, precision)
        }
        (Clause::Scientific(precision), _) => {
            writer.call.meter.allocate(double::most_bytes(precision))?;
            double::scientific(as_double(clause, value)?, precision)
        }
        (Clause::Binary, Value::Bool(it)) => u8::from(*it).to_string(),
        (Clause::Binary, Value::Int(number)) => signed(*number, |it| format!("{it:b}")),
        (Clause::Binary, Value::Uint(number)) => format!("{number:b}"),
        (Clause::Octal, Value::Int(number)) => signed(*number, |it| format!("{it:o}")),
        (Clause::Octal, Value::Uint(number)) => format!("{number:o}"),
        (Clause::Hex { upper }, Value::Int(number)) => signed(*number, |it| hex(it, upper)),
        (Clause::Hex { upper }, Value::Uint(number)) => hex(*number, upper),
        (Clause::Hex { upper }, Value::String(text)) => {
            return write_bytes(writer, text.as_bytes(), upper);
        }
        (Clause::Hex { upper }, Value::Bytes(bytes)) => return write_bytes(writer, bytes, upper),
        _ => return Err(not_formatted(clause, value)),
    };
    writer.push(&text)
}

fn not_formatted(clause: Clause, value: &Value<'_>) -> Error {
    Error::invalid(format!("{}, not {}", clause.description(), value.type_name()))
}

fn as_double(clause: Clause, value: &Value<'_>) -> Result<f64, Error> {
    match value {
        Value::Double(number) => Ok(*number),
        Value::String(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(not_formatted(clause, value)),
        },
        _ => Err(not_formatted(clause, value)),
    }
}

/// The digits of an integer, with its sign before them.
fn signed(number: i64, digits: impl Fn(u64) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", digits(number.unsigned_abs()))
}

fn hex(number: u64, upper: bool) -> String {
    if upper { format!("{number:X}") } else { format!("{number:x}") }
}

fn write_bytes(writer: &mut Writer<'_, '_>, bytes: &[u8], upper: bool) -> Result<(), Error> {
    for byte in bytes {
        writer.push(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") })?;
    }
    Ok(())
}

/// `%s`.
fn write_string(writer: &mut Writer<'_, '_>, value: &Value<'_>) -> Result<(), Error> {
    match value {
        Value::String(text) => writer.push(text),
        Value::Null => writer.push("null"),
        Value::Type(name) => writer.push(name),
        Value::List(_) | Value::Map(_) => write_literal(writer, value),
        Value::Optional(_) | Value::Opaque(_) => Err(not_formatted(Clause::String, value)),
        _ => write_converted(writer, value),
    }
}

/// Writes the result of `string(value)`.
fn write_converted(writer: &mut Writer<'_, '_>, value: &Value<'_>) -> Result<(), Error> {
    let converted = conversion::string(writer.call, std::slice::from_ref(value))?;
    writer.push(converted.as_str().unwrap_or_default())
}

/// Writes a value within a list or a map, as a literal of CEL where CEL has one.
fn write_literal(writer: &mut Writer<'_, '_>, value: &Value<'_>) -> Result<(), Error> {
    match value {
        Value::String(text) => write_quoted(writer, text),
        Value::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes)
                .map_err(|_| Error::invalid("%s takes bytes that are UTF-8"))?;
            writer.push("b")?;
            write_quoted(writer, text)
        }
        Value::Double(number) if number.is_finite() => writer.push(&format!("{number:.6}")),
        Value::Double(number) if number.is_nan() => writer.push("\"NaN\""),
        Value::Double(number) => writer.push(if *number > 0.0 { "\"+Inf\"" } else { "\"-Inf\"" }),
        Value::Timestamp(_) | Value::Duration(_) => {
            let of_time = matches!(value, Value::Timestamp(_));
            writer.push(if of_time { "timestamp(\"" } else { "duration(\"" })?;
            write_converted(writer, value)?;
            writer.push("\")")
        }
        Value::List(list) => {
            writer.push("[")?;
            for (at, item) in list.iter().enumerate() {
                writer.push(if at > 0 { ", " } else { "" })?;
                write_literal(writer, item)?;
            }
            writer.push("]")
        }
        Value::Map(map) => {
            let mut entries = Vec::new();
            for (key, value) in map.as_slice() {
                // Entries are sorted by their printed keys.
                let start = writer.text.len();
                write_literal(writer, key)?;
                writer.call.meter.allocate(2 * size_of::<(String, &Value<'_>)>())?;
                entries.push((writer.text.split_off(start), value));
            }
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            writer.push("{")?;
            for (at, (key, value)) in entries.iter().enumerate() {
                writer.push(if at > 0 { ", " } else { "" })?;
                writer.push(key)?;
                writer.push(":")?;
                write_literal(writer, value)?;
            }
            writer.push("}")
        }
        other => write_string(writer, other),
    }
}

fn write_quoted(writer: &mut Writer<'_, '_>, text: &str) -> Result<(), Error> {
    writer.call.meter.allocate(text.len().saturating_mul(10))?;
    writer.push(&quoted::go(text))
}
