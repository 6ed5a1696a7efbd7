//! Which JSON a type may be decoded from.

/// Makes types decode from JSON objects only. The code that serde derives also accepts an array of the fields, which
/// the API server rejects. The types need `#[serde(remote = "Self")]`, which turns the derived code into inherent
/// functions.
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
}
