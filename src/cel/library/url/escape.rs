//! Percent-encoding of the parts of a URL (`net/url`, RFC 3986).

use super::super::quoted;
use super::error::UrlError;

/// A part of a URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Component {
    Path,
    Host,
    /// The zone of an IPv6 address in a host.
    Zone,
    UserPassword,
    Query,
    Fragment,
}

impl Component {
    /// Whether a byte needs no encoding in this part.
    pub fn allows(self, byte: u8) -> bool {
        let host = matches!(self, Self::Host | Self::Zone);
        byte.is_ascii_alphanumeric()
            || match byte {
                b'-' | b'_' | b'.' | b'~' => true,
                b'$' | b'&' | b'+' | b',' | b';' | b'=' => self != Self::Query,
                b':' => !matches!(self, Self::UserPassword | Self::Query),
                b'/' | b'@' => matches!(self, Self::Path | Self::Fragment),
                b'?' => self == Self::Fragment,
                b'!' | b'(' | b')' | b'*' => host || self == Self::Fragment,
                b'\'' | b'[' | b']' | b'<' | b'>' | b'"' => host,
                _ => false,
            }
    }
}

/// Decodes percent-encoded bytes. In a host only bytes beyond ASCII and `%` may be encoded.
pub fn unescape(encoded: &[u8], component: Component) -> Result<Vec<u8>, UrlError> {
    let host = matches!(component, Component::Host | Component::Zone);
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'%' => {
                let byte = decoded(after).filter(|byte| match component {
                    Component::Host => *byte >= 0x80 || *byte == b'%',
                    Component::Zone => b"% ".contains(byte) || Component::Host.allows(*byte),
                    _ => true,
                });
                let shown = rest.get(..rest.len().min(3)).unwrap_or_default();
                bytes.push(byte.ok_or_else(|| UrlError::Escape(quoted::go(&text(shown))))?);
                rest = after.get(2..).unwrap_or_default();
                continue;
            }
            b'+' if component == Component::Query => bytes.push(b' '),
            byte if host && *byte < 0x80 && !component.allows(*byte) => {
                return Err(UrlError::HostCharacter(quoted::go(&text(&[*byte]))));
            }
            byte => bytes.push(*byte),
        }
        rest = after;
    }
    Ok(bytes)
}

/// The byte of two hexadecimal digits.
fn decoded(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    Some(hex(*high)? << 4 | hex(*low)?)
}

/// Percent-encodes the bytes that need it.
pub fn escape(bytes: &[u8], component: Component) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if component.allows(*byte) {
            text.push(char::from(*byte));
        } else {
            text.push('%');
            for half in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(half.into(), 16).map(|it| it.to_ascii_uppercase()));
            }
        }
    }
    text
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The bytes as text. As in Go, every byte that is not UTF-8 becomes a U+FFFD of its own.
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn escaping_and_unescaping_returns_the_same_bytes(bytes: Vec<u8>) {
            for component in [Component::Path, Component::UserPassword, Component::Fragment] {
                let escaped = escape(&bytes, component);
                proptest::prop_assert_eq!(
                    unescape(escaped.as_bytes(), component).unwrap(), bytes.clone()
                );
            }
        }
    }

    #[test]
    fn a_host_encodes_bytes_beyond_ascii_only() {
        assert_eq!(unescape(b"h%C3%A9", Component::Host), Ok("hé".as_bytes().to_vec()));
        let escape = |it: &str| Err(UrlError::Escape(it.to_owned()));
        assert_eq!(unescape(b"h%41", Component::Host), escape("\"%41\""));
        assert_eq!(unescape(b"%2", Component::Path), escape("\"%2\""));
        let space = UrlError::HostCharacter("\" \"".to_owned());
        assert_eq!(unescape(b"h h", Component::Host), Err(space));
        assert_eq!(unescape(b"a+b", Component::Query), Ok(b"a b".to_vec()));
    }

    #[test]
    fn every_byte_that_is_no_text_counts_as_one_character() {
        assert_eq!(text(b"a\xff\xf0\x9fz"), "a\u{fffd}\u{fffd}\u{fffd}z");
    }
}
