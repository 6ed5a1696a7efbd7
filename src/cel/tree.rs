//! A Kubernetes object, decoded once per review: values of the language that borrow their strings from the text.
//!
//! Any `serde` deserializer can read it, so a review is decoded in one pass. An object that nests too deep is an error;
//! the caller bounds the size of the text. Fields that no expression sees are left out: `metadata.managedFields`, and
//! null fields except those that the API server itself sends as null ([`SENT_AS_NULL`]). [`PartSeed`] leaves out what
//! the expressions at hand do not read.

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
use super::wanted::{WHOLE, Wanted};

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

    /// The object with each of these fields set to its value, or removed.
    #[must_use]
    pub fn with<const N: usize>(self, fields: [(&'static str, Option<Tree<'a>>); N]) -> Self {
        let mut entries = match self.0 {
            Value::Map(map) => map.into_entries(),
            _ => Vec::new(),
        };
        entries.retain(|(key, _)| fields.iter().all(|(field, _)| key.as_str() != Some(field)));
        let set = fields.into_iter();
        entries.extend(set.filter_map(|(field, value)| Some((Value::borrowed(field), value?.0))));
        Self(map_of(entries))
    }

    /// A string.
    pub fn text(text: &'a str) -> Self {
        Self(Value::borrowed(text))
    }

    /// An object of these fields.
    pub fn object(fields: impl IntoIterator<Item = (&'a str, Tree<'a>)>) -> Self {
        let fields = fields.into_iter().map(|(key, value)| (Value::borrowed(key), value.0));
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
        let value: Value<'a> = ValueSeed::of(Level::Object, &WHOLE).deserialize(deserializer)?;
        Ok(Self(value))
    }
}

/// Deserializes the part of an object that expressions read: of a pod, or of the template in another object.
#[derive(Clone, Copy)]
pub struct PartSeed<'w> {
    /// The fields that lead to the template; none for a pod. What else the object has is skipped, but its metadata.
    pub path: &'w [&'w str],
    /// What is decoded of the pod or the template.
    pub wanted: &'w Wanted,
}

impl PartSeed<'_> {
    /// Reads JSON text.
    ///
    /// # Errors
    /// The text is not JSON, or nests too deep.
    pub fn read(self, text: &str) -> Result<Tree<'_>, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let tree = self.deserialize(&mut json)?;
        json.end()?;
        Ok(tree)
    }
}

impl<'de> DeserializeSeed<'de> for PartSeed<'_> {
    type Value = Tree<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree<'de>, D::Error> {
        let level = if self.path.is_empty() { Level::Object } else { Level::Above(self.path) };
        ValueSeed::of(level, self.wanted).deserialize(deserializer).map(Tree)
    }
}

/// Deserializes a value.
#[derive(Clone, Copy)]
struct ValueSeed<'w> {
    /// How many more levels the value may nest.
    depth: u16,
    place: Level<'w>,
    wanted: &'w Wanted,
}

/// The level of a value in the object.
#[derive(Clone, Copy)]
enum Level<'w> {
    /// Above the template, which these fields lead to.
    Above(&'w [&'w str]),
    Object,
    Metadata,
    Below,
}

impl<'w> ValueSeed<'w> {
    const fn of(place: Level<'w>, wanted: &'w Wanted) -> Self {
        Self { depth: MAX_DEPTH, place, wanted }
    }

    /// The seed of a field; `None` if the field is left out.
    fn field<E: de::Error>(self, key: &str) -> Result<Option<Self>, E> {
        let (place, wanted) = match (self.place, key) {
            (Level::Metadata, "managedFields") => return Ok(None),
            (Level::Object, "metadata") => (Level::Metadata, self.wanted.field(key)),
            (Level::Above(_), "metadata") => (Level::Metadata, Some(&WHOLE)),
            (Level::Above([next]), _) => (Level::Below, (*next == key).then_some(self.wanted)),
            (Level::Above([next, rest @ ..]), _) => {
                (Level::Above(rest), (*next == key).then_some(self.wanted))
            }
            _ => (Level::Below, self.wanted.field(key)),
        };
        wanted.map(|wanted| self.below(place, wanted)).transpose()
    }

    fn below<E: de::Error>(self, place: Level<'w>, wanted: &'w Wanted) -> Result<Self, E> {
        let too_deep = || E::custom("the object nests too deep");
        let depth = self.depth.checked_sub(1).ok_or_else(too_deep)?;
        Ok(Self { depth, place, wanted })
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
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
        let below = self.below(Level::Below, self.wanted.element())?;
        while let Some(item) = list.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Value::List(List::of(Items::of_tree(items))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(ValueSeed::of(Level::Below, &WHOLE))? {
            let name = key.as_str().unwrap_or_default();
            let Some(field) = self.field(name)? else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value_seed(field)?;
            if !matches!(value, Value::Null) || SENT_AS_NULL.contains(&name) {
                entries.push((key, value));
            }
        }
        Ok(map_of(entries))
    }
}
