//! Resolves YAML scalars to JSON types. kubectl and Helm read YAML 1.1 (`sigs.k8s.io/yaml`), so `yes` and `on` are
//! booleans here too: a scan must not accept a manifest that they refuse.

use std::borrow::Cow;

/// A scalar by its JSON type.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'t> {
    Null,
    Bool(bool),
    Integer(i64),
    /// A whole number above `i64::MAX`.
    Natural(u64),
    Float(f64),
    String(Cow<'t, str>),
}

impl<'t> Scalar<'t> {
    /// Resolves a scalar that has neither quotes nor a tag.
    pub fn plain(text: Cow<'t, str>) -> Self {
        let Some(first) = text.bytes().next() else { return Self::Null };
        // The first character rules out numbers, booleans and null for most scalars.
        match first {
            b'0'..=b'9' | b'+' | b'-' | b'.' => number(&text).unwrap_or(Self::String(text)),
            b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'o' | b'O' => {
                word(&text).unwrap_or(Self::String(text))
            }
            _ => Self::String(text),
        }
    }
}

fn word(text: &str) -> Option<Scalar<'static>> {
    match text {
        "~" | "null" | "Null" | "NULL" => Some(Scalar::Null),
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            Some(Scalar::Bool(true))
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            Some(Scalar::Bool(false))
        }
        _ => None,
    }
}

fn number(text: &str) -> Option<Scalar<'static>> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Some(Scalar::Float(f64::INFINITY));
        }
        "-.inf" | "-.Inf" | "-.INF" => return Some(Scalar::Float(f64::NEG_INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Scalar::Float(f64::NAN)),
        _ => {}
    }
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let plain = if digits.contains('_') {
        Cow::Owned(digits.replace('_', ""))
    } else {
        Cow::Borrowed(digits)
    };
    let (radix, digits) = match plain.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, plain.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, plain.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, plain.get(2..)?),
        [b'0', (b'0'..=b'7'), ..] if plain.bytes().all(|it| matches!(it, b'0'..=b'7')) => {
            (8, plain.get(1..)?)
        }
        _ => (10, &*plain),
    };
    if digits.bytes().next()?.is_ascii_hexdigit()
        && let Ok(magnitude) = u64::from_str_radix(digits, radix)
    {
        return Some(match (i64::try_from(magnitude), 0_i64.checked_sub_unsigned(magnitude)) {
            (Ok(number), _) if !negative => Scalar::Integer(number),
            (_, Some(number)) if negative => Scalar::Integer(number),
            (Err(_), _) if !negative => Scalar::Natural(magnitude),
            #[expect(clippy::cast_precision_loss, reason = "as JSON reads such a number")]
            _ => Scalar::Float(-(magnitude as f64)),
        });
    }
    // `strip_prefix` removed one sign; a second one makes it a string.
    let signed = plain.starts_with(['+', '-']);
    let shaped = !signed
        && plain.bytes().all(|it| matches!(it, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        && plain.bytes().any(|it| it.is_ascii_digit());
    let number: f64 = plain.parse().ok().filter(|_| shaped && radix == 10)?;
    Some(Scalar::Float(if negative { -number } else { number }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_they_mean_to_kubectl() {
        let string = |text: &'static str| Scalar::String(Cow::Borrowed(text));
        for (text, expected) in [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("null", Scalar::Null),
            ("nULL", string("nULL")),
            ("true", Scalar::Bool(true)),
            ("on", Scalar::Bool(true)),
            ("y", Scalar::Bool(true)),
            ("NO", Scalar::Bool(false)),
            ("nginx", string("nginx")),
            ("0", Scalar::Integer(0)),
            ("8080", Scalar::Integer(8080)),
            ("-5", Scalar::Integer(-5)),
            ("+5", Scalar::Integer(5)),
            ("1_000", Scalar::Integer(1000)),
            ("0x1F", Scalar::Integer(31)),
            ("0o17", Scalar::Integer(15)),
            ("017", Scalar::Integer(15)),
            ("0b11", Scalar::Integer(3)),
            ("-0X1f", Scalar::Integer(-31)),
            ("-9223372036854775808", Scalar::Integer(i64::MIN)),
            ("-9223372036854775809", Scalar::Float(-9_223_372_036_854_775_808.0)),
            ("089", Scalar::Integer(89)),
            ("18446744073709551615", Scalar::Natural(u64::MAX)),
            ("18446744073709551616", Scalar::Float(18_446_744_073_709_551_616.0)),
            ("1.5", Scalar::Float(1.5)),
            ("-.5", Scalar::Float(-0.5)),
            ("1e3", Scalar::Float(1000.0)),
            ("-.inf", Scalar::Float(f64::NEG_INFINITY)),
            ("1.29.3", string("1.29.3")),
            ("100m", string("100m")),
            ("1.5Gi", string("1.5Gi")),
            ("-", string("-")),
            ("--5", string("--5")),
            ("+-5", string("+-5")),
            (".", string(".")),
            ("1-2", string("1-2")),
            ("0x", string("0x")),
            ("0xg", string("0xg")),
            ("2026-01-01", string("2026-01-01")),
            ("e3", string("e3")),
            ("-e", string("-e")),
        ] {
            assert_eq!(Scalar::plain(Cow::Borrowed(text)), expected, "{text:?}");
        }
    }
}
