//! Reads JSON into a `serde_json::Value` of bounded size: a text of three bytes, such as `"",`, becomes a value of ten
//! times that size.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::reader::Reader;

/// The most values that are read, including those in lists and maps. A pod with a thousand containers has half as many.
const MAX_VALUES: usize = 50_000;

/// Reads an object; `None` where the text is not JSON, or has too many values, or nests too deep. Left out is
/// `metadata.managedFields`, often half of it, which nothing asks for.
pub(crate) fn whole(text: &str) -> Option<Value> {
    let mut reader = Reader::new(text);
    let left = Cell::new(MAX_VALUES);
    let value = Whole { left: &left, place: Place::Object }.deserialize(&mut reader).ok()?;
    reader.is_at_end().then_some(value)
}

/// Reads a value, and counts it.
#[derive(Clone, Copy)]
struct Whole<'l> {
    /// How many more values may be read.
    left: &'l Cell<usize>,
    place: Place,
}

/// The place of a value in the object.
#[derive(Clone, Copy)]
enum Place {
    Object,
    Metadata,
    Below,
}

impl Whole<'_> {
    /// A field of this object; `None` where it is left out.
    fn field(self, key: &str) -> Option<Self> {
        let place = match (self.place, key) {
            (Place::Object, "metadata") => Place::Metadata,
            (Place::Metadata, "managedFields") => return None,
            _ => Place::Below,
        };
        Some(Self { place, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| D::Error::custom("it is too large"))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Value, S::Error> {
        let mut items = Vec::new();
        let item = Self { place: Place::Below, ..self };
        while let Some(item) = list.next_element_seed(item)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Value, M::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let Some(field) = self.field(&key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            fields.insert(key, map.next_value_seed(field)?);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_read_as_it_is_and_what_is_large_is_not() {
        let text = r#" {"a": [1, -2, 2.5, null, true, "x\u0041", {}], "b": {"c": "d"}, "b": 1e3} "#;
        assert_eq!(whole(text), serde_json::from_str(text).ok());
        let text = r#"{"metadata": {"managedFields": [{"f:x": {}}], "name": "x"}, "spec": {"metadata": {"managedFields": 1}}}"#;
        let mut value: Value = serde_json::from_str(text).unwrap();
        value["metadata"].as_object_mut().unwrap().remove("managedFields");
        assert_eq!(whole(text), Some(value), "managedFields are left out");
        for broken in ["", "[1", "[1] 2", "nul", r#"{"a" 1}"#] {
            assert_eq!(whole(broken), None, "{broken}");
        }
        let list = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert!(whole(&list(MAX_VALUES - 1)).is_some());
        assert!(whole(&list(MAX_VALUES)).is_none());
        assert!(whole(&format!("[{}]", "[],".repeat(2_000_000) + "0")).is_none());
        assert!(whole(&("[".repeat(100_000) + &"]".repeat(100_000))).is_none());
    }
}
