//! A serde deserializer over JSON text, which reads what is wanted and skips the rest.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Number;

use super::skip;

/// The deepest nesting of a value that is read, as in `serde_json`. A skipped value may nest deeper.
const MAX_DEPTH: u8 = 128;

/// The text is not JSON, or not of the type that is read.
#[derive(Debug)]
pub(crate) struct Malformed;

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
pub(crate) fn from_str<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Malformed> {
    from_str_seed(PhantomData, text)
}

/// As [`from_str`], with a seed.
pub(crate) fn from_str_seed<'a, S: DeserializeSeed<'a>>(
    seed: S,
    text: &'a str,
) -> Result<S::Value, Malformed> {
    let mut reader = Reader::new(text);
    let value = seed.deserialize(&mut reader)?;
    if reader.is_at_end() { Ok(value) } else { Err(Malformed) }
}

pub(super) struct Reader<'a> {
    text: &'a str,
    /// The rest of the text, which is not read yet.
    rest: &'a [u8],
    /// How much deeper a value may nest.
    depth: u8,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, rest: text.as_bytes(), depth: MAX_DEPTH }
    }

    /// Whether only white space is left.
    pub fn is_at_end(&self) -> bool {
        skip::space(self.rest).is_empty()
    }

    /// Skips white space, and returns the next byte without consuming it.
    #[inline]
    fn peek(&mut self) -> Result<u8, Malformed> {
        self.rest = skip::space(self.rest);
        self.rest.first().copied().ok_or(Malformed)
    }

    /// Consumes this byte, which must be the next one after white space.
    #[inline]
    fn expect(&mut self, expected: u8) -> Result<(), Malformed> {
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

    /// Consumes and returns the text before `end`, which is a tail of the rest.
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

    /// Reads a list or an object, whose opening bracket is the next byte.
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
        self.expect(end)?;
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
    /// The closing bracket.
    end: u8,
    first: bool,
}

impl Items<'_, '_> {
    /// Whether there is another item; then it is the next to be read.
    #[inline]
    fn advance(&mut self) -> Result<bool, Malformed> {
        if self.reader.peek()? == self.end {
            return Ok(false);
        }
        if !std::mem::take(&mut self.first) {
            self.reader.expect(b',')?;
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
        self.reader.expect(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}
