//! Writes protobuf messages as JSON by their [`schema`].

use std::io::Write;

use jiff::Timestamp;

use super::fields::{self, Malformed, Raw};
use super::schema::{self, Field, Shape};

/// What stands before every message that tells its kind.
const MAGIC: &[u8] = b"k8s\0";

/// The JSON of a message that tells its kind (`runtime.Unknown`): an object, a Status, or a list of objects.
///
/// # Errors
/// It is malformed, or of a kind that has no schema.
pub(super) fn object_of_kind(message: &[u8]) -> Result<Vec<u8>, Malformed> {
    let unknown = message.strip_prefix(MAGIC).ok_or(Malformed("no kind stands before it"))?;
    let types = fields::bytes(unknown, 1)?;
    let (version, kind) = (fields::bytes(types, 1)?, fields::bytes(types, 2)?);
    let object = fields::bytes(unknown, 2)?;
    let mut out = b"{\"apiVersion\":".to_vec();
    text(&mut out, version);
    out.extend(b",\"kind\":");
    text(&mut out, kind);
    let kind = str::from_utf8(kind).unwrap_or_default();
    if let Some(of) = schema::object(kind) {
        members(&mut out, of, false, object)?;
    } else {
        let of = kind.strip_suffix("List").and_then(schema::object);
        list(&mut out, of.ok_or(Malformed("its kind is unknown"))?, object)?;
    }
    out.push(b'}');
    Ok(out)
}

/// The members of a list of objects.
fn list(out: &mut Vec<u8>, of: &[Field], message: &[u8]) -> Result<(), Malformed> {
    out.extend(b",\"metadata\":");
    object(out, schema::LIST_METADATA, fields::bytes(message, 1)?)?;
    out.extend(b",\"items\":[");
    let start = out.len();
    let mut written = Ok(());
    fields::each(message, |tag, value| {
        if let (2, Raw::Bytes(item), Ok(())) = (tag, value, written) {
            separate(out, start);
            written = object(out, of, item);
        }
    })?;
    out.push(b']');
    written
}

fn object(out: &mut Vec<u8>, of: &[Field], message: &[u8]) -> Result<(), Malformed> {
    let start = out.len();
    members(out, of, false, message)?;
    match out.get_mut(start) {
        // The comma before the first member.
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
    Ok(())
}

/// The members of an object, each with a comma before it. `open` writes those that are not in the schema, too.
fn members(out: &mut Vec<u8>, of: &[Field], open: bool, message: &[u8]) -> Result<(), Malformed> {
    let mut found = Vec::new();
    fields::each(message, |tag, value| {
        if open || of.iter().any(|field| field.tag == tag) {
            found.push((tag, value));
        }
    })?;
    // API servers write fields in this order; others may put a list's elements apart.
    found.sort_by_key(|(tag, _)| *tag);
    for values in found.chunk_by(|one, next| one.0 == next.0) {
        let Some(&(tag, last)) = values.last() else { continue };
        match of.iter().find(|field| field.tag == tag) {
            Some(field) => member(out, field, last, values.iter().map(|(_, value)| *value))?,
            None => drop(write!(out, ",\"field{tag}\":{{}}")),
        }
    }
    Ok(())
}

/// One member, with a comma before it. Of several values that are no list, the last counts.
fn member<'m>(
    out: &mut Vec<u8>,
    field: &Field,
    last: Raw<'m>,
    values: impl Iterator<Item = Raw<'m>>,
) -> Result<(), Malformed> {
    match (&field.shape, last) {
        (Shape::Inline(of), Raw::Bytes(message)) => return members(out, of, false, message),
        (Shape::Open(of), Raw::Bytes(message)) => return members(out, of, true, message),
        (Shape::Text | Shape::Time, Raw::Bytes([]))
        | (Shape::Number | Shape::Flag, Raw::Number(0)) => return Ok(()),
        _ => {}
    }
    let _ = write!(out, ",\"{}\":", field.name);
    match &field.shape {
        Shape::List(item) => {
            out.push(b'[');
            let start = out.len();
            for value in values {
                separate(out, start);
                write_value(out, item, value)?;
            }
            out.push(b']');
        }
        Shape::Map(item) => {
            out.push(b'{');
            let start = out.len();
            for value in values {
                let Raw::Bytes(entry) = value else { return Err(OTHER_TYPE) };
                separate(out, start);
                text(out, fields::bytes(entry, 1)?);
                out.push(b':');
                write_value(out, item, Raw::Bytes(fields::bytes(entry, 2)?))?;
            }
            out.push(b'}');
        }
        shape => write_value(out, shape, last)?,
    }
    Ok(())
}

const OTHER_TYPE: Malformed = Malformed("a field has another type than in Kubernetes");

fn write_value(out: &mut Vec<u8>, shape: &Shape, value: Raw<'_>) -> Result<(), Malformed> {
    match (shape, value) {
        (Shape::Pointer(shape), value) => write_value(out, shape, value)?,
        (Shape::Text, Raw::Bytes(bytes)) => text(out, bytes),
        (Shape::Number, Raw::Number(number)) => drop(write!(out, "{}", number.cast_signed())),
        (Shape::Flag, Raw::Number(number)) => drop(write!(out, "{}", number != 0)),
        (Shape::Message(of), Raw::Bytes(message)) => object(out, of, message)?,
        (Shape::Present, Raw::Bytes(_)) => out.extend(b"{}"),
        (Shape::Quantity, Raw::Bytes(message)) => text(out, fields::bytes(message, 1)?),
        (Shape::Time, Raw::Bytes(message)) => {
            let seconds = fields::number(message, 1)?.cast_signed();
            let time =
                Timestamp::from_second(seconds).map_err(|_| Malformed("a time is too late"))?;
            let _ = write!(out, "\"{time}\"");
        }
        _ => return Err(OTHER_TYPE),
    }
    Ok(())
}

/// A string. Nothing makes it UTF-8: what is not becomes U+FFFD, byte for byte, as in the API server's own JSON.
pub(super) fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut replaced = String::new();
    let text = str::from_utf8(bytes).unwrap_or_else(|_| {
        for chunk in bytes.utf8_chunks() {
            replaced.push_str(chunk.valid());
            replaced.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        &replaced
    });
    // Memory takes every byte, so this cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests;
