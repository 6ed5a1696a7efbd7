//! Maps as values: entries in the order of their keys.

use std::cmp::Ordering;
use std::sync::Arc;

use super::error::Error;
use super::list::depth_around;
use super::meter::Meter;
use super::value::Value;

/// A map: part of the input, or made by the evaluation and shared.
#[derive(Clone, Debug)]
pub enum Map<'v> {
    Borrowed(&'v Entries<'v>),
    Shared(Arc<Entries<'v>>),
}

/// The entries of a map, in the order of their keys: bools, numbers, strings.
#[derive(Clone, Debug, Default)]
pub struct Entries<'v> {
    entries: Vec<(Value<'v>, Value<'v>)>,
    depth: u16,
}

/// Below this many entries, comparing with each is faster than a binary search.
const FEW: usize = 8;

/// The order of keys. Numbers come in the order of their values, and an int before the equal uint.
fn order(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.as_str().cmp(b.as_str()),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Uint(a), Value::Uint(b)) => a.cmp(b),
        (Value::Int(a), Value::Uint(b)) => i128::from(*a).cmp(&i128::from(*b)).then(Ordering::Less),
        (Value::Uint(a), Value::Int(b)) => {
            i128::from(*a).cmp(&i128::from(*b)).then(Ordering::Greater)
        }
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(key: &Value<'_>) -> u8 {
    match key {
        Value::Bool(_) => 0,
        Value::Int(_) | Value::Uint(_) => 1,
        _ => 2,
    }
}

impl<'v> Entries<'v> {
    /// Of equal keys the last one counts. Keys are bools, ints, uints and strings.
    pub(super) fn new(mut entries: Vec<(Value<'v>, Value<'v>)>) -> Result<Self, Error> {
        let in_order = entries.windows(2).all(|pair| match pair {
            [(a, _), (b, _)] => order(a, b) == Ordering::Less,
            _ => true,
        });
        if !in_order {
            entries.sort_by(|(a, _), (b, _)| order(a, b));
            entries.reverse();
            entries.dedup_by(|(a, _), (b, _)| order(a, b) == Ordering::Equal);
            entries.reverse();
        }
        let deepest = entries.iter().map(|(_, value)| value.depth()).max().unwrap_or(0);
        Ok(Self { entries, depth: depth_around(deepest)? })
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
            _ => Ordering::Less,
        });
        at.ok().and_then(|at| self.entries.get(at)).map(|(_, value)| value)
    }

    fn find_exact(&self, key: &Value<'_>) -> Option<&Value<'v>> {
        let at = self.entries.binary_search_by(|(it, _)| order(it, key));
        at.ok().and_then(|at| self.entries.get(at)).map(|(_, value)| value)
    }

    /// The value of a key. Numbers of different types that are equal are the same key (`1`, `1u`, `1.0`).
    pub fn find(&self, key: &Value<'_>) -> Option<&Value<'v>> {
        match key {
            Value::String(key) => self.find_str(key),
            Value::Bool(_) => self.find_exact(key),
            Value::Int(number) => self.find_exact(key).or_else(|| {
                u64::try_from(*number).ok().and_then(|it| self.find_exact(&Value::Uint(it)))
            }),
            Value::Uint(number) => self.find_exact(key).or_else(|| {
                i64::try_from(*number).ok().and_then(|it| self.find_exact(&Value::Int(it)))
            }),
            Value::Double(number) => {
                let int =
                    super::number::int_of(*number).and_then(|it| self.find_exact(&Value::Int(it)));
                int.or_else(|| {
                    super::number::uint_of(*number).and_then(|it| self.find_exact(&Value::Uint(it)))
                })
            }
            _ => None,
        }
    }
}

impl<'v> Map<'v> {
    /// A map whose memory the caller has charged ([`charge`](Map::charge)). Of equal keys the last one counts. Keys are
    /// bools, ints, uints and strings.
    pub fn new(entries: Vec<(Value<'v>, Value<'v>)>) -> Result<Self, Error> {
        Ok(Self::Shared(Arc::new(Entries::new(entries)?)))
    }

    /// Charges a map of `len` entries that is about to be made.
    pub fn charge(meter: &mut Meter, len: usize) -> Result<(), Error> {
        meter.allocate(len.saturating_mul(2 * size_of::<Value<'_>>()).saturating_add(64))
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
}
