//! Reads the JSON of a review, most of which nobody asks for: `managedFields` alone is often half of it. What is skipped
//! is checked as it is passed, eight bytes at a time.
//!
//! It takes what `serde_json` takes, and gives what it gives, for whatever reads objects, lists and scalars. It does not
//! tell what is wrong: whoever wants to know reads a bad body again with `serde_json`. What is rare and intricate,
//! numbers and strings with escapes that somebody does want, it leaves to `serde_json` in the first place.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Number;

#[cfg(test)]
mod properties;
mod skip;
mod whole;

pub(super) use whole::whole;

/// How deep that which is wanted may nest, as in `serde_json`; what is skipped may nest deeper.
const MAX_DEPTH: u8 = 128;

/// The text is no JSON, or not the JSON that was asked for.
#[derive(Debug)]
pub(super) struct Malformed;

impl std::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed JSON")
    }
}

impl de::Error for Malformed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Reads a text that is one JSON value and nothing else.
pub(super) fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Malformed> {
    let mut reader = Reader { text, rest: text.as_bytes(), depth: MAX_DEPTH };
    let value = T::deserialize(&mut reader)?;
    if skip::space(reader.rest).is_empty() { Ok(value) } else { Err(Malformed) }
}

struct Reader<'a> {
    text: &'a str,
    /// What of it is still to be read.
    rest: &'a [u8],
    /// How much deeper what is wanted may nest.
    depth: u8,
}

impl<'a> Reader<'a> {
    /// The next byte that is no white space, which is where this stops.
    #[inline]
    fn peek(&mut self) -> Result<u8, Malformed> {
        self.rest = skip::space(self.rest);
        self.rest.first().copied().ok_or(Malformed)
    }

    /// Passes that byte, which must be the next that is no white space.
    #[inline]
    fn pass(&mut self, expected: u8) -> Result<(), Malformed> {
        match skip::space(self.rest) {
            [next, rest @ ..] if *next == expected => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(Malformed),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        self.rest = self.rest.strip_prefix(word.as_bytes()).ok_or(Malformed)?;
        Ok(())
    }

    /// The text up to where something ends, and goes on there.
    #[inline]
    fn take(&mut self, end: &'a [u8]) -> Result<&'a str, Malformed> {
        let all = self.text.len();
        let taken = self.text.get(all - self.rest.len()..all - end.len()).ok_or(Malformed)?;
        self.rest = end;
        Ok(taken)
    }

    #[inline]
    fn string<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Malformed> {
        let inner = self.rest.get(1..).unwrap_or_default();
        if let end @ [b'"', rest @ ..] = skip::plain(inner) {
            self.rest = inner;
            let text = self.take(end)?;
            self.rest = rest;
            return visitor.visit_borrowed_str(text);
        }
        let quoted = self.take(skip::string(inner).ok_or(Malformed)?)?;
        let text: String = serde_json::from_str(quoted).map_err(|_| Malformed)?;
        visitor.visit_string(text)
    }

    fn number<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, Malformed> {
        let end = skip::number(self.rest).ok_or(Malformed)?;
        let number: Number = serde_json::from_str(self.take(end)?).map_err(|_| Malformed)?;
        number.deserialize_any(visitor).map_err(|_| Malformed)
    }

    /// Reads what stands between two brackets, of which the first is the next byte.
    #[inline]
    fn nested<T>(
        &mut self,
        end: u8,
        read: impl FnOnce(Items<'_, 'a>) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        self.rest = self.rest.get(1..).unwrap_or_default();
        if self.depth <= 1 {
            return Err(Malformed);
        }
        self.depth -= 1;
        let value = read(Items { reader: self, end, first: true })?;
        self.depth += 1;
        self.pass(end)?;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Malformed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        match self.peek()? {
            b'"' => self.string(visitor),
            b'{' => self.nested(b'}', |items| visitor.visit_map(items)),
            b'[' => self.nested(b']', |items| visitor.visit_seq(items)),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => self.number(visitor),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        if self.peek()? == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.rest = skip::value(self.rest).ok_or(Malformed)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The items of a list, or the fields of an object.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    /// The byte that ends them.
    end: u8,
    first: bool,
}

impl Items<'_, '_> {
    /// Whether there is another, which then is what comes next.
    #[inline]
    fn advance(&mut self) -> Result<bool, Malformed> {
        if self.reader.peek()? == self.end {
            return Ok(false);
        }
        if !std::mem::take(&mut self.first) {
            self.reader.pass(b',')?;
        }
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Malformed;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Malformed> {
        if self.advance()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Malformed;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Malformed> {
        if !self.advance()? {
            return Ok(None);
        }
        if self.reader.peek()? != b'"' {
            return Err(Malformed);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Malformed> {
        self.reader.pass(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}
