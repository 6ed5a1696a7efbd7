//! Map values: entries in the order of their keys.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::Error;
use super::list::depth_around;
use super::meter::Meter;
use super::number::{int_of, uint_of};
use super::value::Value;

/// A map: part of the input, or constructed by the evaluation and shared.
#[derive(Clone, Debug)]
pub enum Map<'v> {
    Borrowed(&'v Entries<'v>),
    Shared(Arc<Entries<'v>>),
}

/// The entries of a map, in the order of their keys. Keys are bools, ints, uints and strings where the checker knows
/// their type; a key of type `dyn` may be any value but bytes, as in cel-go.
#[derive(Clone, Debug, Default)]
pub struct Entries<'v> {
    entries: Vec<(Value<'v>, Value<'v>)>,
    depth: u16,
}

/// Up to this many entries, a linear search is faster than a binary one.
const FEW: usize = 8;

/// The order of keys. Numbers of one type are ordered by value; ints come before uints, and uints before doubles. Keys
/// that cannot be looked up, such as lists, are equal in this order.
fn order(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.as_str().cmp(b.as_str()),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Uint(a), Value::Uint(b)) => a.cmp(b),
        (Value::Double(a), Value::Double(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => {
            a.cmp(b).then_with(|| a.offset.cmp(&b.offset))
        }
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Type(a), Value::Type(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(key: &Value<'_>) -> u8 {
    match key {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::Uint(_) => 3,
        Value::Double(_) => 4,
        Value::String(_) => 5,
        Value::Timestamp(_) => 6,
        Value::Duration(_) => 7,
        Value::Type(_) => 8,
        Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Optional(_)
        | Value::Opaque(_) => 9,
    }
}

/// Whether two keys are the same. Keys that cel-go compares by identity, such as lists, never are.
pub(super) fn same_key(a: &Value<'_>, b: &Value<'_>) -> bool {
    let nan = matches!(a, Value::Double(it) if it.is_nan());
    !nan && rank(a) < 9 && order(a, b) == Ordering::Equal
}

/// Entries in the order of their keys.
fn sorted<'v>(mut entries: Vec<(Value<'v>, Value<'v>)>) -> Vec<(Value<'v>, Value<'v>)> {
    let in_order = entries.windows(2).all(|pair| match pair {
        [(a, _), (b, _)] => order(a, b) == Ordering::Less,
        _ => true,
    });
    if !in_order {
        entries.sort_by(|(a, _), (b, _)| order(a, b));
        entries.reverse();
        entries.dedup_by(|(a, _), (b, _)| same_key(a, b));
        entries.reverse();
    }
    entries
}

impl<'v> Entries<'v> {
    /// The entries of a map; the last one of equal keys counts.
    pub(super) fn new(entries: Vec<(Value<'v>, Value<'v>)>) -> Result<Self, Error> {
        let entries = sorted(entries);
        let deepest = entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
        Ok(Self { entries, depth: depth_around(deepest)? })
    }

    /// The entries of a map of the input, whose depth the decoder bounds.
    pub(super) fn of_tree(entries: Vec<(Value<'v>, Value<'v>)>) -> Self {
        let entries = sorted(entries);
        let deepest = entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
        Self { entries, depth: deepest.saturating_add(1) }
    }

    pub(super) fn depth(&self) -> u16 {
        self.depth.max(1)
    }

    pub fn as_slice(&self) -> &[(Value<'v>, Value<'v>)] {
        &self.entries
    }

    /// The value of a string key.
    pub fn find_str(&self, key: &str) -> Option<&Value<'v>> {
        let is_key = |it: &Value<'_>| matches!(it, Value::String(it) if it.as_str() == key);
        if self.entries.len() <= FEW {
            return self.entries.iter().find(|(it, _)| is_key(it)).map(|(_, value)| value);
        }
        let at = self.entries.binary_search_by(|(it, _)| match it {
            Value::String(it) => it.as_str().cmp(key),
            other => rank(other).cmp(&5),
        });
        at.ok().and_then(|at| self.entries.get(at)).map(|(_, value)| value)
    }

    fn find_exact(&self, key: &Value<'_>) -> Option<&Value<'v>> {
        if !same_key(key, key) {
            return None;
        }
        let at = self.entries.binary_search_by(|(it, _)| order(it, key));
        at.ok().and_then(|at| self.entries.get(at)).map(|(_, value)| value)
    }

    /// The value of a key. Numbers of different types that are equal are the same key (`1`, `1u`, `1.0`).
    pub fn find(&self, key: &Value<'_>) -> Option<&Value<'v>> {
        match key {
            Value::String(key) => self.find_str(key),
            Value::Int(number) => self.find_exact(key).or_else(|| {
                u64::try_from(*number).ok().and_then(|it| self.find_exact(&Value::Uint(it)))
            }),
            Value::Uint(number) => self.find_exact(key).or_else(|| {
                i64::try_from(*number).ok().and_then(|it| self.find_exact(&Value::Int(it)))
            }),
            Value::Double(number) => {
                let int = || int_of(*number).and_then(|it| self.find_exact(&Value::Int(it)));
                let uint = || uint_of(*number).and_then(|it| self.find_exact(&Value::Uint(it)));
                self.find_exact(key).or_else(int).or_else(uint)
            }
            _ => self.find_exact(key),
        }
    }
}

impl<'v> Map<'v> {
    /// A map whose memory the caller has charged ([`charge`](Map::charge)). Of equal keys the last one counts.
    pub fn new(entries: Vec<(Value<'v>, Value<'v>)>) -> Result<Self, Error> {
        Ok(Self::Shared(Arc::new(Entries::new(entries)?)))
    }

    /// Charges the memory of a map of `len` entries, before it is constructed.
    pub fn charge(meter: &mut Meter, len: usize) -> Result<(), Error> {
        meter.allocate(len.saturating_mul(2 * size_of::<Value<'_>>()).saturating_add(64))
    }

    /// The entries, copied if the map is shared.
    pub(super) fn into_entries(self) -> Vec<(Value<'v>, Value<'v>)> {
        match self {
            Self::Borrowed(entries) => entries.entries.clone(),
            Self::Shared(entries) => Arc::unwrap_or_clone(entries).entries,
        }
    }

    pub fn entries(&self) -> &Entries<'v> {
        match self {
            Self::Borrowed(entries) => entries,
            Self::Shared(entries) => entries,
        }
    }

    pub fn as_slice(&self) -> &[(Value<'v>, Value<'v>)] {
        self.entries().as_slice()
    }

    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    pub fn find(&self, key: &Value<'_>) -> Option<&Value<'v>> {
        self.entries().find(key)
    }

    /// The value of a key; a value of the input stays borrowed.
    pub fn get(&self, key: &Value<'_>) -> Option<Value<'v>> {
        match self {
            Self::Borrowed(entries) => entries.find(key).map(Value::by_reference),
            Self::Shared(entries) => entries.find(key).cloned(),
        }
    }

    /// The value of a string key; a value of the input stays borrowed.
    pub fn get_str(&self, key: &str) -> Option<Value<'v>> {
        match self {
            Self::Borrowed(entries) => entries.find_str(key).map(Value::by_reference),
            Self::Shared(entries) => entries.find_str(key).cloned(),
        }
    }

    /// The entry at an index in the order of keys; an entry of the input stays borrowed.
    pub fn at(&self, index: usize) -> Option<(Value<'v>, Value<'v>)> {
        match self {
            Self::Borrowed(entries) => {
                let (key, value) = entries.entries.get(index)?;
                Some((key.by_reference(), value.by_reference()))
            }
            Self::Shared(entries) => entries.entries.get(index).cloned(),
        }
    }

    /// Whether a key is not a string. The API server looks up the keys of such maps by hash.
    pub(super) fn has_general_keys(&self) -> bool {
        self.as_slice().iter().any(|(key, _)| !matches!(key, Value::String(_)))
    }
}

/// A map under construction, entry by entry. A key that comes twice is an error.
#[derive(Debug, Default)]
pub(super) struct Builder<'v> {
    entries: BTreeMap<Key<'v>, Value<'v>>,
    /// Entries whose keys cannot be looked up.
    others: Vec<(Value<'v>, Value<'v>)>,
}

#[derive(Debug)]
struct Key<'v>(Value<'v>);

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key<'_> {}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&self.0, &other.0)
    }
}

impl<'v> Builder<'v> {
    /// Adds an entry. Equal numbers of different types are the same key.
    pub fn insert(&mut self, key: Value<'v>, value: Value<'v>) -> Result<(), Error> {
        if !same_key(&key, &key) {
            self.others.push((key, value));
            return Ok(());
        }
        let same = match &key {
            Value::Int(number) => [u64::try_from(*number).ok().map(Value::Uint), None],
            Value::Uint(number) => [i64::try_from(*number).ok().map(Value::Int), None],
            Value::Double(number) => {
                [int_of(*number).map(Value::Int), uint_of(*number).map(Value::Uint)]
            }
            _ => [None, None],
        };
        let is_there = |key: Value<'v>| self.entries.contains_key(&Key(key));
        if is_there(key.clone()) || same.into_iter().flatten().any(is_there) {
            return Err(Error::invalid("the map would have the same key twice"));
        }
        self.entries.insert(Key(key), value);
        Ok(())
    }

    pub fn into_map(self) -> Result<Map<'v>, Error> {
        let entries = self.entries.into_iter().map(|(Key(key), value)| (key, value));
        Map::new(entries.chain(self.others).collect())
    }
}
