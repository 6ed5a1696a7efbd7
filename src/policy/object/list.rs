//! Lists with limits: items beyond them are not stored.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::text::Text;

/// The most items of a list of containers or volumes.
pub const MAX_ITEMS: usize = 1000;
/// The most items of any other list, and the most entries of a map.
pub const MAX_ENTRIES: usize = 10_000;
/// The most entries that all items of one list have together: ports and capabilities of containers, sources of volumes.
/// Without it, a thousand containers with ten thousand ports each would be judged.
pub const MAX_WEIGHT: usize = 100_000;

/// An item of a [`List`].
pub trait Item {
    /// The most items of a list.
    const MAX: usize = MAX_ENTRIES;

    /// The number of entries in its own lists.
    fn weight(&self) -> usize {
        0
    }
}

impl Item for Text<'_> {}

/// The first items of a list.
#[derive(Debug)]
pub struct List<T> {
    items: Vec<T>,
    cut: bool,
}

impl<T> List<T> {
    /// Whether the object has more items: a check of all items is undecided.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl<T: Item> List<T> {
    /// Adds an item, or marks the list as cut if it is full.
    pub(super) fn push(&mut self, item: T) {
        if self.items.len() < T::MAX { self.items.push(item) } else { self.cut = true }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), cut: false }
    }
}

impl<T> Deref for List<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<'a, T> IntoIterator for &'a List<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

impl<'de, T: Deserialize<'de> + Item> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Item> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let mut items: Vec<T> = Vec::new();
        let mut weight = 0;
        while items.len() < T::MAX && weight < MAX_WEIGHT {
            let Some(item) = list.next_element()? else { return Ok(List { items, cut: false }) };
            weight += T::weight(&item);
            items.push(item);
        }
        let mut cut = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            cut = true;
        }
        Ok(List { items, cut })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Container, Object, PodSpec};

    fn many(count: usize, item: &str) -> String {
        vec![item; count].join(",")
    }

    #[test]
    fn a_list_that_is_too_long_to_keep_is_known_to_be_too_long() {
        for (given, kept) in [(999, 999), (1000, 1000), (1001, 1000), (50_000, 1000)] {
            let json = format!(r#"{{"spec": {{"containers": [{}]}}}}"#, many(given, "{}"));
            let object: Object = serde_json::from_str(&json).unwrap();
            let containers = object.spec.unwrap().pod.containers.unwrap();
            assert_eq!((containers.len(), containers.is_cut()), (kept, given > kept));
        }
        for (given, kept) in [(10_000, 10_000), (200_001, 10_000)] {
            let json = format!(r#"{{"ports": [{}]}}"#, many(given, "{}"));
            let container: Container = serde_json::from_str(&json).unwrap();
            let ports = container.ports.unwrap();
            assert_eq!((ports.len(), ports.is_cut()), (kept, given > kept));
        }
    }

    #[test]
    fn containers_that_hold_too_much_together_cut_their_list() {
        let drop = many(9_999, r#""X""#);
        let context = format!(r#"{{"securityContext": {{"capabilities": {{"drop": [{drop}]}}}}}}"#);
        for (containers, cut) in [(10, false), (11, false), (12, true), (30, true)] {
            let json = format!(r#"{{"containers": [{}]}}"#, many(containers, &context));
            let spec: PodSpec = serde_json::from_str(&json).unwrap();
            let list = spec.containers.unwrap();
            assert_eq!(list.is_cut(), cut, "{containers}");
            assert!(list.len() <= 11, "{}", list.len());
        }
    }
}
