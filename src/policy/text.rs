//! Texts for people from untrusted values: bounded, and safe for a terminal.

/// The longest name or value in a message, in bytes. With it, the first violation of a denial always fits into 900
/// bytes.
pub const MAX_VALUE: usize = 100;

/// A value in quotes: cut, and with control characters escaped.
pub fn quote(value: &str) -> String {
    format!("\"{}\"", clip(value))
}

/// The same without the quotes.
pub fn clip(value: &str) -> String {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\');
    // A few bytes more than the limit, so that `cut` sees that something is missing.
    let value = head(value, MAX_VALUE + 4);
    if value.bytes().all(plain) {
        return cut(value.to_owned(), MAX_VALUE);
    }
    cut(value.escape_debug().to_string(), MAX_VALUE)
}

/// A text on one line: control characters are escaped, quotes are not. For texts that are composed of clipped values.
pub fn printable(text: &str) -> String {
    // Most are plain: this look at them costs a tenth of going through their characters.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let quote = ['"', '\'', '\\'];
    let mut shown = String::with_capacity(text.len());
    for part in text.split_inclusive(quote) {
        let plain = part.strip_suffix(quote).unwrap_or(part);
        shown.extend(plain.escape_debug());
        shown.extend(part.chars().next_back().filter(|last| quote.contains(last)));
    }
    shown
}

/// The same, cut to at most `max` bytes.
pub fn brief(text: String, max: usize) -> String {
    cut(printable(&cut(text, max)), max)
}

/// The longest prefix of a text with at most `max` bytes.
pub fn head(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or(text)
}

/// A text cut to at most `max` bytes, with an ellipsis at the end if it was longer.
pub fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = text.floor_char_boundary(max - '…'.len_utf8());
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A number and its noun: `1 violation`, `2 violations`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// The FNV-1a hash of 128 bits, in hexadecimal. It is stable across versions, and not cryptographic: someone who makes
/// two policies collide can already write both.
pub fn hash(text: &str) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0100_0000_0000_0000_0000_013b;
    let hash =
        text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_an_object_do_not_reach_a_terminal() {
        assert_eq!(quote("a\u{1b}[31m\n\"b"), r#""a\u{1b}[31m\n\"b""#);
    }

    #[test]
    fn a_composed_text_keeps_its_quotes_and_loses_its_control_characters() {
        let text = "is \"a\\u{1b}\", don't: \u{1b}[2J\u{202e}\n日本";
        assert_eq!(printable(text), r#"is "a\u{1b}", don't: \u{1b}[2J\u{202e}\n日本"#);
        assert_eq!(printable("e\u{301}"), "e\u{301}", "an accent may be a character of its own");
        assert_eq!(printable(""), "");
    }

    #[test]
    fn what_escapes_make_longer_is_bounded_all_the_same() {
        assert_eq!(brief("\u{1b}".repeat(1000), 20).len(), 20);
        assert_eq!(brief("as it is".to_owned(), 20), "as it is");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(clip(&"é".repeat(100)), "é".repeat(48) + "…");
        assert_eq!(clip("nginx:1.29"), "nginx:1.29");
        for (length, shown) in [(100, "a".repeat(100)), (101, "a".repeat(97) + "…")] {
            assert_eq!(clip(&"a".repeat(length)), shown);
        }
        assert_eq!(clip(&"界".repeat(500_000)), "界".repeat(32) + "…");
        assert_eq!(clip(&"<\u{1b}".repeat(700_000)).len(), 100);
    }
}
