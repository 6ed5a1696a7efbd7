//! Reads literals: numbers as Go's `strconv`, strings as `parser/unescape.go` of cel-go.

use super::ast::Literal;

/// An int literal's value. `negative` is whether a minus precedes it.
pub(super) fn int(text: &str, negative: bool) -> Result<Literal, String> {
    let (digits, radix) = radix(text);
    let signed = format!("{}{digits}", if negative { "-" } else { "" });
    i64::from_str_radix(&signed, radix).map(Literal::Int).map_err(|_| {
        let hint =
            if negative { "" } else { "; an unsigned int holds twice as much: write u after it" };
        format!("{text} does not fit into an int, which has 64 bits{hint}")
    })
}

/// A uint literal's value, from text that ends in `u`.
pub(super) fn uint(text: &str) -> Result<Literal, String> {
    let (digits, radix) = radix(text.strip_suffix(['u', 'U']).unwrap_or(text));
    u64::from_str_radix(digits, radix)
        .map(Literal::Uint)
        .map_err(|_| format!("{text} does not fit into a uint, which has 64 bits"))
}

pub(super) fn double(text: &str, negative: bool) -> Result<Literal, String> {
    let value: f64 = text.parse().unwrap_or(f64::INFINITY);
    if value.is_infinite() {
        return Err(format!("{text} does not fit into a double"));
    }
    Ok(Literal::Double(if negative { -value } else { value }))
}

fn radix(text: &str) -> (&str, u32) {
    text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16))
}

/// A string literal's value, from its text with prefix and quotes. Line ends become `\n`.
pub(super) fn string(text: &str) -> Result<Literal, String> {
    unquote(text, false).and_then(|bytes| {
        String::from_utf8(bytes)
            .map(|text| Literal::String(text.into()))
            .map_err(|_| "this string is not valid UTF-8".to_owned())
    })
}

/// A bytes literal's value: `\x` and octal escapes are bytes, not characters.
pub(super) fn bytes(text: &str) -> Result<Literal, String> {
    unquote(text.strip_prefix(['b', 'B']).unwrap_or(text), true)
        .map(|bytes| Literal::Bytes(bytes.into()))
}

fn unquote(text: &str, bytes: bool) -> Result<Vec<u8>, String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (text, raw) =
        text.strip_prefix(['r', 'R']).map_or((text.as_str(), false), |rest| (rest, true));
    let quotes = if text.len() >= 6 && (text.starts_with("'''") || text.starts_with("\"\"\"")) {
        3
    } else {
        1
    };
    let inner = text.get(quotes..text.len().saturating_sub(quotes)).unwrap_or_default();
    if raw {
        return Ok(inner.as_bytes().to_vec());
    }
    let mut value = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(escape) = rest.find('\\') {
        let (before, after) = rest.split_at(escape);
        value.extend_from_slice(before.as_bytes());
        rest = unescape(after, bytes, &mut value)?;
    }
    value.extend_from_slice(rest.as_bytes());
    Ok(value)
}

/// Appends the value of the escape sequence at the beginning, and returns the text after it.
fn unescape<'t>(text: &'t str, bytes: bool, value: &mut Vec<u8>) -> Result<&'t str, String> {
    let malformed = || "this escape sequence is not complete".to_owned();
    let kind = text.as_bytes().get(1).copied().ok_or_else(malformed)?;
    let plain = match kind {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' | b'\'' | b'"' | b'`' | b'?' => kind,
        b'0'..=b'3' => return number(text, 1..4, 8, bytes, value),
        b'x' | b'X' => return number(text, 2..4, 16, bytes, value),
        b'u' | b'U' if bytes => return Err("bytes have no \\u; write \\x for each byte".to_owned()),
        b'u' => return number(text, 2..6, 16, bytes, value),
        b'U' => return number(text, 2..10, 16, bytes, value),
        _ => return Err(malformed()),
    };
    value.push(plain);
    text.get(2..).ok_or_else(malformed)
}

/// Reads an escape sequence of digits: a byte of a bytes literal, or the code point of a character.
fn number<'t>(
    text: &'t str,
    digits: std::ops::Range<usize>,
    radix: u32,
    bytes: bool,
    value: &mut Vec<u8>,
) -> Result<&'t str, String> {
    let malformed = || "this escape sequence is not complete".to_owned();
    let written = text.get(digits.clone()).ok_or_else(malformed)?;
    let point = u32::from_str_radix(written, radix).map_err(|_| malformed())?;
    if bytes {
        value.push(u8::try_from(point).map_err(|_| malformed())?);
    } else {
        let character = char::from_u32(point).ok_or_else(|| {
            format!("{} is not a character", text.get(..digits.end).unwrap_or(text))
        })?;
        value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    text.get(digits.end..).ok_or_else(malformed)
}
