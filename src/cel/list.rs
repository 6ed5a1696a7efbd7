//! List values.

use std::ops::Deref;
use std::sync::Arc;

use super::error::{Error, ErrorKind};
use super::meter::Meter;
use super::value::Value;

/// The deepest nesting of lists, maps and optionals that an evaluation constructs. One expression cannot reach it,
/// since its source nests less; a chain of variables can. It bounds recursion over values.
pub const MAX_VALUE_DEPTH: u16 = 512;

/// A list: part of the input, or constructed by the evaluation and shared.
#[derive(Clone, Debug)]
pub enum List<'v> {
    Borrowed(&'v Items<'v>),
    Shared(Arc<Items<'v>>),
}

/// The elements of a list.
#[derive(Clone, Debug, Default)]
pub struct Items<'v> {
    items: Vec<Value<'v>>,
    depth: u16,
}

/// The depth of a container of values of depth `inner`.
pub(super) fn depth_around(inner: u16) -> Result<u16, Error> {
    if inner >= MAX_VALUE_DEPTH {
        let message = format!("values nest deeper than {MAX_VALUE_DEPTH}");
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    Ok(inner + 1)
}

impl<'v> Items<'v> {
    pub(super) fn new(items: Vec<Value<'v>>) -> Result<Self, Error> {
        let deepest = items.iter().map(Value::depth).max().unwrap_or(0);
        Ok(Self { items, depth: depth_around(deepest)? })
    }

    /// The elements of a list of the input, whose depth the decoder bounds.
    pub(super) fn of_tree(items: Vec<Value<'v>>) -> Self {
        let depth = items.iter().map(Value::depth).max().unwrap_or(0).saturating_add(1);
        Self { items, depth }
    }

    pub(super) fn depth(&self) -> u16 {
        self.depth.max(1)
    }

    pub(super) fn push(&mut self, item: Value<'v>) -> Result<(), Error> {
        self.depth = self.depth().max(depth_around(item.depth())?);
        self.items.push(item);
        Ok(())
    }

    pub fn as_slice(&self) -> &[Value<'v>] {
        &self.items
    }
}

impl<'v> List<'v> {
    /// A list whose memory the caller has charged ([`charge`](List::charge)).
    pub fn new(items: Vec<Value<'v>>) -> Result<Self, Error> {
        Ok(Self::Shared(Arc::new(Items::new(items)?)))
    }

    /// Charges the memory of a list of `len` elements, before it is constructed.
    pub fn charge(meter: &mut Meter, len: usize) -> Result<(), Error> {
        meter.allocate(len.saturating_mul(size_of::<Value<'_>>()).saturating_add(64))
    }

    pub fn as_slice(&self) -> &[Value<'v>] {
        match self {
            Self::Borrowed(items) => items.as_slice(),
            Self::Shared(items) => items.as_slice(),
        }
    }

    /// A list of elements whose memory is charged already.
    pub(super) fn of(items: Items<'v>) -> Self {
        Self::Shared(Arc::new(items))
    }

    /// The element at an index; an element of the input stays borrowed.
    pub fn at(&self, index: usize) -> Option<Value<'v>> {
        match self {
            Self::Borrowed(items) => items.items.get(index).map(Value::by_reference),
            Self::Shared(items) => items.items.get(index).cloned(),
        }
    }

    pub(super) fn items(&self) -> &Items<'v> {
        match self {
            Self::Borrowed(items) => items,
            Self::Shared(items) => items,
        }
    }
}

impl<'v> Deref for List<'v> {
    type Target = [Value<'v>];

    fn deref(&self) -> &[Value<'v>] {
        self.as_slice()
    }
}
