//! Maps of strings with a limit: entries beyond it are not stored.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::list::MAX_ENTRIES;
use super::text::Text;

/// Keys and values, in the order of the JSON.
#[derive(Debug, Default)]
pub struct Pairs<'a> {
    pairs: Vec<(Text<'a>, Text<'a>)>,
    cut: bool,
}

impl<'a> Pairs<'a> {
    /// The value of a key. If a key occurs twice, the last value counts, as in the API server.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(name, _)| &**name == key).map(|(_, value)| &**value)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Text<'a>, Text<'a>)> {
        self.pairs.iter()
    }

    /// Whether the object has more entries: a check of any key is undecided.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Decodes the entries whose key is wanted, and skips the others.
    pub(super) fn wanted<'de: 'a, D: Deserializer<'de>>(
        deserializer: D,
        wanted: fn(&str) -> bool,
    ) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(wanted))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::wanted(deserializer, |_| true)
    }
}

/// The entries of `spec.nodeSelector` that rules read.
#[derive(Debug, Default)]
pub struct NodeSelector<'a>(Pairs<'a>);

impl NodeSelector<'_> {
    const OS: &'static str = "kubernetes.io/os";

    /// Whether the node selector may select Windows nodes.
    pub fn may_be_windows(&self) -> bool {
        self.0.is_cut() || self.0.get(Self::OS) == Some("windows")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for NodeSelector<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pairs::wanted(deserializer, |key| key == Self::OS).map(Self)
    }
}

/// Collects the entries whose key is wanted.
struct PairsVisitor(fn(&str) -> bool);

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a map of strings")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut found = Pairs::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if !(self.0)(&key) {
                map.next_value::<IgnoredAny>()?;
            } else if found.pairs.len() < MAX_ENTRIES {
                found.pairs.push((key, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
                found.cut = true;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metadata;
    use super::*;

    #[test]
    fn labels_are_kept_up_to_a_limit_and_the_rest_is_known_to_be_there() {
        for (given, kept) in [(10_000, 10_000), (200_001, 10_000)] {
            let labels: Vec<_> = (0..given).map(|number| format!(r#""k{number}":"v""#)).collect();
            let json = format!(r#"{{"labels": {{{}}}}}"#, labels.join(","));
            let metadata: Metadata = serde_json::from_str(&json).unwrap();
            let labels = metadata.labels.unwrap();
            assert_eq!((labels.pairs.len(), labels.is_cut()), (kept, given > kept));
            assert_eq!(labels.get("k1"), Some("v"));
        }
    }

    #[test]
    fn a_node_selector_tells_windows_however_long_it_is() {
        let selector = |last: &str| {
            let many: Vec<_> = (0..20_000).map(|number| format!(r#""k{number}":"v","#)).collect();
            let json = format!(r#"{{{}"kubernetes.io/os":"{last}"}}"#, many.concat());
            serde_json::from_str::<NodeSelector>(&json).unwrap().may_be_windows()
        };
        assert!(selector("windows") && !selector("linux"));
    }
}
