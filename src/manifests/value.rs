//! Decodes a tree into types with serde. Strings are borrowed from the text.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::node::{Content, Entry, Node, Position};
use super::scalar::Scalar;

/// A value that does not fit its type.
#[derive(Debug)]
pub struct DecodeError {
    /// The field path from the root: `spec.containers[0].image`.
    pub path: String,
    /// The position of the invalid value; `None` until a deserializer that knows the position sets it.
    pub at: Option<Position>,
    pub message: String,
}

impl DecodeError {
    fn at(mut self, position: Position) -> Self {
        self.at.get_or_insert(position);
        self
    }

    fn below(mut self, step: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{joint}{}", self.path);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for DecodeError {}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: String::new(), at: None, message: message.to_string() }
    }
}

impl Node<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.content {
            Content::List(_) => Unexpected::Seq,
            Content::Map(_) => Unexpected::Map,
            Content::Scalar(Scalar::Null) => Unexpected::Unit,
            Content::Scalar(Scalar::Bool(boolean)) => Unexpected::Bool(*boolean),
            Content::Scalar(Scalar::Integer(number)) => Unexpected::Signed(*number),
            Content::Scalar(Scalar::Natural(number)) => Unexpected::Unsigned(*number),
            Content::Scalar(Scalar::Float(number)) => Unexpected::Float(*number),
            Content::Scalar(Scalar::String(text)) => Unexpected::Str(text),
        }
    }

    fn visit<'de, V: Visitor<'de>>(&'de self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.content {
            Content::Scalar(scalar) => match scalar {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(boolean) => visitor.visit_bool(*boolean),
                Scalar::Integer(number) => match u64::try_from(*number) {
                    Ok(number) => visitor.visit_u64(number),
                    Err(_) => visitor.visit_i64(*number),
                },
                Scalar::Natural(number) => visitor.visit_u64(*number),
                Scalar::Float(number) => visitor.visit_f64(*number),
                Scalar::String(text) => visitor.visit_borrowed_str(text),
            },
            Content::List(items) => visitor.visit_seq(Items { items: items.iter(), index: 0 }),
            Content::Map(entries) => {
                visitor.visit_map(Entries { entries: entries.iter(), open: None })
            }
        }
    }
}

impl<'de> Deserializer<'de> for &'de Node<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit(visitor).map_err(|error| error.at(self.at))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let visited = if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) };
        visited.map_err(|error| error.at(self.at))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self).map_err(|error| error.at(self.at))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let decoded = match self.as_str() {
            Some(variant) => visitor.visit_enum(Variant(variant)),
            None => Err(DecodeError::invalid_type(self.unexpected(), &"a string")),
        };
        decoded.map_err(|error| error.at(self.at))
    }

    /// Refuses lists: serde's derived code would accept a list of field values, which no API server does.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if let Content::List(_) = self.content {
            return Err(DecodeError::invalid_type(Unexpected::Seq, &"a map").at(self.at));
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier
    }
}

/// The name of an enum's variant. The decoded types have unit variants only.
struct Variant<'de>(&'de str);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), DecodeError> {
        Ok((seed.deserialize(BorrowedStrDeserializer::new(self.0))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, DecodeError> {
        Err(DecodeError::invalid_type(Unexpected::Str(self.0), &"a map"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, DecodeError> {
        Err(DecodeError::invalid_type(Unexpected::Str(self.0), &"a list"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, DecodeError> {
        Err(DecodeError::invalid_type(Unexpected::Str(self.0), &"a map"))
    }
}

struct Items<'de, 't> {
    items: std::slice::Iter<'de, Node<'t>>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        let decoded = seed.deserialize(item);
        decoded.map(Some).map_err(|error| error.at(item.at).below(&format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'de, 't> {
    entries: std::slice::Iter<'de, Entry<'t>>,
    /// The entry whose key was read and whose value is next.
    open: Option<&'de Entry<'t>>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        self.open = self.entries.next();
        let Some(entry) = self.open else { return Ok(None) };
        let key: &'de str = &entry.key;
        let decoded = seed.deserialize(BorrowedStrDeserializer::new(key));
        // The position of an unknown key is that of the key itself.
        decoded.map(Some).map_err(|error: DecodeError| error.at(entry.key_at))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        let Some(entry) = self.open.take() else {
            return Err(DecodeError::custom("a value was requested before its key"));
        };
        let decoded = seed.deserialize(&entry.value);
        decoded.map_err(|error| error.at(entry.value.at).below(&step(&entry.key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A key as a step of a field path.
fn step(key: &str) -> String {
    if key.contains(['.', '[', ']', '/']) { format!("[\"{key}\"]") } else { key.to_owned() }
}
