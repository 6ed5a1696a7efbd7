//! Skips JSON, and validates it on the way. Each function takes a text that begins with its subject, and returns the
//! text after it; `None` where the text is not JSON.

/// Skips a value of any depth.
pub(super) fn value(mut rest: &[u8]) -> Option<&[u8]> {
    let mut open = Open::default();
    rest = space(rest);
    loop {
        rest = match rest {
            [b'"', rest @ ..] => string(rest)?,
            [b'{', inner @ ..] => match space(inner) {
                [b'}', rest @ ..] => rest,
                inner => {
                    open.push(Container::Object);
                    rest = key(inner)?;
                    continue;
                }
            },
            [b'[', inner @ ..] => match space(inner) {
                [b']', rest @ ..] => rest,
                inner => {
                    open.push(Container::List);
                    rest = inner;
                    continue;
                }
            },
            [b't', b'r', b'u', b'e', rest @ ..]
            | [b'f', b'a', b'l', b's', b'e', rest @ ..]
            | [b'n', b'u', b'l', b'l', rest @ ..] => rest,
            _ => number(rest)?,
        };
        // A value is skipped: another one follows, or its container ends.
        rest = loop {
            let Some(container) = open.last() else { return Some(rest) };
            match (container, space(rest)) {
                (Container::Object, [b',', next @ ..]) => break key(next)?,
                (Container::List, [b',', next @ ..]) => break space(next),
                (Container::Object, [b'}', next @ ..]) | (Container::List, [b']', next @ ..]) => {
                    rest = next;
                }
                _ => return None,
            }
            open.pop();
        };
    }
}

/// Skips a field's name and colon, and the white space around them.
#[inline]
fn key(rest: &[u8]) -> Option<&[u8]> {
    let [b'"', rest @ ..] = space(rest) else { return None };
    let [b':', rest @ ..] = space(string(rest)?) else { return None };
    Some(space(rest))
}

#[inline]
pub(super) fn space(rest: &[u8]) -> &[u8] {
    // The API server writes no white space.
    if let [(..=b' '), ..] = rest { skip_space(rest) } else { rest }
}

#[cold]
fn skip_space(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\t' | b'\r', next @ ..] = rest {
        rest = next;
    }
    rest
}

/// Skips a string, after its opening quote.
#[inline]
pub(super) fn string(rest: &[u8]) -> Option<&[u8]> {
    match plain(rest) {
        [b'"', rest @ ..] => Some(rest),
        rest => escapes(rest),
    }
}

/// Skips the rest of a string, from an escape on.
fn escapes(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => {
                plain(rest)
            }
            [b'\\', b'u', a, b, c, d, rest @ ..]
                if [a, b, c, d].iter().all(|it| it.is_ascii_hexdigit()) =>
            {
                plain(rest)
            }
            _ => return None,
        };
    }
}

/// Skips the part of a string before a quote, a backslash or a control character.
#[inline]
pub(super) fn plain(mut rest: &[u8]) -> &[u8] {
    while let Some((chunk, next)) = rest.split_first_chunk() {
        let special = special_bytes(u64::from_le_bytes(*chunk));
        if special != 0 {
            let plain = special.trailing_zeros() as usize / 8;
            return rest.get(plain..).unwrap_or_default();
        }
        rest = next;
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
    let plain = rest.iter().position(special).unwrap_or(rest.len());
    rest.get(plain..).unwrap_or_default()
}

/// Finds the first special byte of eight at once: the lowest bit that is set is that byte's high bit. (A control
/// character borrows from the next byte, so bits above the lowest may be wrong.)
#[inline]
fn special_bytes(word: u64) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let is = |byte: u8| (word ^ (EACH * u64::from(byte))).wrapping_sub(EACH);
    let control = word.wrapping_sub(EACH * 0x20);
    // A byte with its high bit set is part of a multi-byte character.
    (is(b'"') | is(b'\\') | control) & !word & (EACH * 0x80)
}

pub(super) fn number(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let rest = match rest {
        [b'0', rest @ ..] => rest,
        rest => digits(rest)?,
    };
    let rest = match rest {
        [b'.', rest @ ..] => digits(rest)?,
        rest => rest,
    };
    match rest {
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => digits(rest),
        rest => Some(rest),
    }
}

fn digits(rest: &[u8]) -> Option<&[u8]> {
    let count = rest.iter().take_while(|it| it.is_ascii_digit()).count();
    if count == 0 { None } else { rest.get(count..) }
}

#[derive(Clone, Copy)]
enum Container {
    List,
    Object,
}

/// The containers around a value, from the outside in: one bit for each, which is set for an object.
#[derive(Default)]
struct Open {
    depth: usize,
    /// The innermost 64 containers.
    bits: u64,
    outer: Vec<u64>,
}

impl Open {
    #[inline]
    fn push(&mut self, container: Container) {
        if self.depth >= 64 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(matches!(container, Container::Object));
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth >= 64 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    #[inline]
    fn last(&self) -> Option<Container> {
        let container = if self.bits & 1 == 1 { Container::Object } else { Container::List };
        (self.depth > 0).then_some(container)
    }
}
