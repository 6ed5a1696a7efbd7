//! What JSON may stand for a field, and how much of it is kept.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// The longest list of containers or volumes that is looked at. One item more is kept, so that whoever judges knows; the
/// rest cannot take memory a hundred times the body's.
pub const MAX_ITEMS: usize = 1000;
/// The most entries of any other list or map. More than that no object has that etcd would store.
pub(super) const MAX_ENTRIES: usize = 200_000;

/// Decodes types from JSON objects only: what serde derives takes a list of a type's fields, too, which the API server
/// does not. The types carry `#[serde(remote = "Self")]`, which makes the derived function one of their own.
macro_rules! from_objects_only {
    ($($name:ident $(<$lifetime:lifetime>)?),* $(,)?) => {$(
        impl<'de $(: $lifetime, $lifetime)?> serde::Deserialize<'de> for $name $(<$lifetime>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields<T>(std::marker::PhantomData<T>);
                impl<'de $(: $lifetime, $lifetime)?> serde::de::Visitor<'de> for Fields<$name $(<$lifetime>)?> {
                    type Value = $name $(<$lifetime>)?;
                    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<M: serde::de::MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
                        $name::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_map(Fields(std::marker::PhantomData))
            }
        }
    )*};
}
pub(crate) use from_objects_only;

/// A list of which no more is kept than says that it is longer than [`MAX_ITEMS`].
pub(super) fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    deserializer.deserialize_option(List { kept: MAX_ITEMS + 1, all: false, item: PhantomData })
}

/// A list of at most [`MAX_ENTRIES`].
pub(super) fn many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    deserializer.deserialize_option(List { kept: MAX_ENTRIES, all: true, item: PhantomData })
}

struct List<T> {
    kept: usize,
    /// Whether one that is longer is refused.
    all: bool,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_seq(self)
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let mut items = Vec::new();
        while items.len() < self.kept {
            let Some(item) = list.next_element()? else { return Ok(Some(items)) };
            items.push(item);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            if self.all {
                return Err(too_many());
            }
        }
        Ok(Some(items))
    }
}

pub(super) fn too_many<E: Error>() -> E {
    E::custom(format_args!("there are more than {MAX_ENTRIES}"))
}

#[cfg(test)]
mod tests {
    use super::super::{Container, Object};

    #[test]
    fn an_object_is_no_list_of_its_fields() {
        for json in [r#"["v1", "Pod"]"#, r#"{"spec": {"containers": [["web", "nginx"]]}}"#] {
            let error = serde_json::from_str::<Object>(json).unwrap_err().to_string();
            assert!(error.contains("expected an object"), "{error}");
        }
        assert!(serde_json::from_str::<Container>("[]").is_err());
    }

    #[test]
    fn a_list_that_is_too_long_to_keep_is_known_to_be_too_long() {
        let json = |count: usize| {
            format!(r#"{{"spec": {{"containers": [{}]}}}}"#, vec!["{}"; count].join(","))
        };
        for (given, kept) in [(999, 999), (1001, 1001), (50_000, 1001)] {
            let json = json(given);
            let object: Object = serde_json::from_str(&json).unwrap();
            assert_eq!(object.spec.unwrap().pod.containers.unwrap().len(), kept);
        }
    }
}
