//! Passes JSON that nobody asks for, and checks it on the way. Each function takes what begins with its subject, and
//! gives what follows that; `None` where it is no JSON.

/// Passes a value of any depth.
pub(super) fn value(mut rest: &[u8]) -> Option<&[u8]> {
    let mut open = Open::default();
    rest = space(rest);
    loop {
        rest = match rest {
            [b'"', rest @ ..] => string(rest)?,
            [b'{', inner @ ..] => match space(inner) {
                [b'}', rest @ ..] => rest,
                inner => {
                    open.push(true);
                    rest = key(inner)?;
                    continue;
                }
            },
            [b'[', inner @ ..] => match space(inner) {
                [b']', rest @ ..] => rest,
                inner => {
                    open.push(false);
                    rest = inner;
                    continue;
                }
            },
            [b't', b'r', b'u', b'e', rest @ ..]
            | [b'f', b'a', b'l', b's', b'e', rest @ ..]
            | [b'n', b'u', b'l', b'l', rest @ ..] => rest,
            _ => number(rest)?,
        };
        // A value is past: what follows is another, or ends what it is in.
        rest = loop {
            let Some(in_object) = open.last() else { return Some(rest) };
            match space(rest) {
                [b',', next @ ..] if in_object => break key(next)?,
                [b',', next @ ..] => break space(next),
                [end, next @ ..] if *end == if in_object { b'}' } else { b']' } => rest = next,
                _ => return None,
            }
            open.pop();
        };
    }
}

/// Passes a field's name and colon, and the white space around them.
#[inline]
fn key(rest: &[u8]) -> Option<&[u8]> {
    let [b'"', rest @ ..] = space(rest) else { return None };
    let [b':', rest @ ..] = space(string(rest)?) else { return None };
    Some(space(rest))
}

#[inline]
pub(super) fn space(rest: &[u8]) -> &[u8] {
    // The API server writes none.
    if let [(..=b' '), ..] = rest { much_space(rest) } else { rest }
}

#[cold]
fn much_space(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\n' | b'\t' | b'\r', next @ ..] = rest {
        rest = next;
    }
    rest
}

/// Passes a string whose first quote is past already.
#[inline]
pub(super) fn string(rest: &[u8]) -> Option<&[u8]> {
    match plain(rest) {
        [b'"', rest @ ..] => Some(rest),
        rest => escapes(rest),
    }
}

/// Passes the rest of a string, from an escape on.
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

/// Passes all of a string up to a quote, a backslash or a control character.
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

/// Looks at eight bytes at once: the high bit of the first that is not plain is the lowest that is set. (A byte that is
/// too small borrows from the next, so what is said of those behind it may be wrong.)
#[inline]
fn special_bytes(word: u64) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let is = |byte: u8| (word ^ (EACH * u64::from(byte))).wrapping_sub(EACH);
    let control = word.wrapping_sub(EACH * 0x20);
    // What has its high bit set is part of a longer character.
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

/// What a value is in, from the outside in: a bit each, which is set for an object.
#[derive(Default)]
struct Open {
    depth: usize,
    /// The innermost of them.
    bits: u64,
    outer: Vec<u64>,
}

impl Open {
    #[inline]
    fn push(&mut self, object: bool) {
        if self.depth >= 64 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
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
    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}
