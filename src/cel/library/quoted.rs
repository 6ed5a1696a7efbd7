//! Quoted texts: as literals of CEL, and as by Go's `strconv.Quote`.

use std::fmt::Write;
use std::sync::LazyLock;

use super::pattern::Pattern;

/// Characters that Go prints unescaped: letters, marks, numbers, punctuation, symbols and the space.
static PRINTABLE: LazyLock<Option<Pattern>> =
    LazyLock::new(|| Pattern::new(r"^[\pL\pM\pN\pP\pS ]*$", usize::MAX).ok());

fn is_printable(text: &str) -> bool {
    PRINTABLE.as_ref().is_some_and(|printable| printable.is_match(text))
}

/// The text as a literal of CEL, as by `strings.quote` of cel-go: only characters with a short escape are escaped.
pub fn cel(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match short_escape(letter) {
            Some(escape) => quoted.push_str(escape),
            None => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn short_escape(letter: char) -> Option<&'static str> {
    Some(match letter {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\x07' => "\\a",
        '\x08' => "\\b",
        '\x0c' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\x0b' => "\\v",
        _ => return None,
    })
}

/// The text in double quotes, with escapes for characters that
/// are not printable. At most ten times as long as the text.
pub fn go(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        let code = u32::from(letter);
        match letter {
            _ if let Some(escape) = short_escape(letter) => quoted.push_str(escape),
            ' '..='~' => quoted.push(letter),
            '\0'..='\x7f' => _ = write!(quoted, "\\x{code:02x}"),
            _ if is_printable(letter.encode_utf8(&mut [0; 4])) => quoted.push(letter),
            '\u{80}'..='\u{ffff}' => _ = write!(quoted, "\\u{code:04x}"),
            _ => _ = write!(quoted, "\\U{code:08x}"),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_characters_are_escaped_as_in_go() {
        for (text, expected) in [
            ("", r#""""#),
            ("a \"b\" \\", r#""a \"b\" \\""#),
            ("\x07\x08\x0c\n\r\t\x0b\0\x7f", r#""\a\b\f\n\r\t\v\x00\x7f""#),
            ("é日本😀", r#""é日本😀""#),
            ("\u{a0}\u{200b}\u{2028}\u{feff}", r#""\u00a0\u200b\u2028\ufeff""#),
            ("\u{e000}\u{10ffff}\u{fffd}", "\"\\ue000\\U0010ffff\u{fffd}\""),
            ("e\u{301}", "\"e\u{301}\""),
        ] {
            assert_eq!(go(text), expected);
        }
    }
}
