//! A Kubernetes object, decoded once per review: values of the language that borrow their strings from the text.
//!
//! Any `serde` deserializer can read it, so a review is decoded in one pass. An object that nests too deep is an error;
//! the caller bounds the size of the text. Fields that no expression sees are left out: `metadata.managedFields`, and
//! null fields except those that the API server itself sends as null ([`SENT_AS_NULL`]).

use std::fmt;
use std::sync::Arc;

use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::equality::equal;
use super::list::{Items, List};
use super::map::{Entries, Map};
use super::text::Str;
use super::unknown::Unknown;
use super::value::Value;

/// The deepest nesting of lists and maps in an object, as in `serde_json`. The API server refuses deeper objects.
pub const MAX_DEPTH: u16 = 128;

/// Fields of pods that Go's types encode as null if they are empty: lists and
/// pointers without `omitempty`, and times (`k8s.io/api/core/v1/types.go`). Elsewhere
/// a null comes from the user's manifest, and means that the field is not set.
const SENT_AS_NULL: [&str; 12] = [
    "apiGroup",
    "containers",
    "finishedAt",
    "lastProbeTime",
    "lastTransitionTime",
    "monitors",
    "nodeSelectorTerms",
    "requestMappings",
    "secretRef",
    "service",
    "sources",
    "startedAt",
];

/// A decoded object.
#[derive(Clone, Debug)]
pub struct Tree<'a>(Value<'a>);

impl<'a> Tree<'a> {
    /// An object without fields.
    pub fn empty() -> Self {
        Self(map_of(Vec::new()))
    }

    /// From JSON text.
    ///
    /// # Errors
    /// The text is not JSON, or nests too deep.
    pub fn from_json(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// From decoded JSON, borrowed.
    ///
    /// # Errors
    /// It is too deep.
    pub fn of(json: &'a serde_json::Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(json)
    }

    /// From decoded JSON, owned.
    ///
    /// # Errors
    /// It is too deep.
    pub fn from_value(json: serde_json::Value) -> Result<Tree<'static>, serde_json::Error> {
        Tree::deserialize(json)
    }

    /// The value of a field that the API server knows and podgate does not: reading it is an error.
    pub fn unknown() -> Self {
        Self(Value::opaque_of(Unknown))
    }

    /// The value, which borrows from the tree.
    pub fn value(&self) -> Value<'_> {
        self.0.by_reference()
    }

    pub fn is_object(&self) -> bool {
        matches!(self.0, Value::Map(_))
    }

    /// A field of an object.
    pub fn get(&self, field: &str) -> Option<Tree<'a>> {
        match &self.0 {
            Value::Map(map) => map.entries().find_str(field).cloned().map(Tree),
            _ => None,
        }
    }

    /// The text, if the tree is a string.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_str()
    }

    /// The object with the field set to `value`, or removed.
    #[must_use]
    pub fn with(self, field: &'static str, value: Option<Tree<'a>>) -> Self {
        let entries = match self.0 {
            Value::Map(map) => map.into_entries(),
            _ => Vec::new(),
        };
        let others = entries.into_iter().filter(|(key, _)| key.as_str() != Some(field));
        let entries = others.chain(value.map(|it| (Value::borrowed(field), it.0)));
        Self(map_of(entries.collect()))
    }

    /// A string.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self(Value::string(text))
    }

    /// An object of these fields.
    pub fn object(fields: impl IntoIterator<Item = (Arc<str>, Tree<'a>)>) -> Self {
        let fields = fields.into_iter().map(|(key, value)| (Value::string(key), value.0));
        Self(map_of(fields.collect()))
    }
}

impl PartialEq for Tree<'_> {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0).unwrap_or(false)
    }
}

fn map_of<'a>(entries: Vec<(Value<'a>, Value<'a>)>) -> Value<'a> {
    Value::Map(Map::Shared(Arc::new(Entries::of_tree(entries))))
}

impl<'de: 'a, 'a> Deserialize<'de> for Tree<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = ValueSeed { depth: MAX_DEPTH, place: Level::Object };
        let value: Value<'a> = node.deserialize(deserializer)?;
        Ok(Self(value))
    }
}

/// Deserializes a value.
#[derive(Clone, Copy)]
struct ValueSeed {
    /// How many more levels the value may nest.
    depth: u16,
    place: Level,
}

/// The level of a value in the object.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Object,
    Metadata,
    Below,
}

impl ValueSeed {
    fn below<E: de::Error>(self, key: &str) -> Result<Self, E> {
        let too_deep = || E::custom("the object nests too deep");
        let depth = self.depth.checked_sub(1).ok_or_else(too_deep)?;
        let place = match (self.place, key) {
            (Level::Object, "metadata") => Level::Metadata,
            _ => Level::Below,
        };
        Ok(Self { depth, place })
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Int(value))
    }

    #[allow(clippy::cast_precision_loss, reason = "as the API server decodes what is no int64")]
    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(i64::try_from(value).map_or(Value::Double(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Double(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Str::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::string(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value<'de>, A::Error> {
        let mut items = Vec::new();
        let below = self.below("")?;
        while let Some(item) = list.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Value::List(List::of(Items::of_tree(items))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut entries = Vec::new();
        let name = ValueSeed { depth: 0, place: Level::Below };
        while let Some(key) = map.next_key_seed(name)? {
            let name = key.as_str().unwrap_or_default();
            if self.place == Level::Metadata && name == "managedFields" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value_seed(self.below(name)?)?;
            if !matches!(value, Value::Null) || SENT_AS_NULL.contains(&name) {
                entries.push((key, value));
            }
        }
        Ok(map_of(entries))
    }
}
