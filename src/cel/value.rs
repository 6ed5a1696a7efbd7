//! The values of the language.
//!
//! Values borrow from the input (`'v`: the decoded object, the program's constants) where possible. Values that an
//! evaluation constructs are shared; the [`Meter`](super::meter::Meter) is charged before they are allocated.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::error::Error;
use super::list::{List, depth_around};
use super::map::Map;
use super::text::Str;
use super::time::{Duration, Timestamp};

/// A value of the language.
#[derive(Clone, Debug)]
pub enum Value<'v> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Str<'v>),
    Bytes(Arc<[u8]>),
    List(List<'v>),
    Map(Map<'v>),
    Timestamp(Timestamp),
    Duration(Duration),
    /// A type, by its name in the language, such as `int` or `google.protobuf.Duration`.
    Type(&'static str),
    Optional(Optional<'v>),
    /// A value of a library's own type.
    Opaque(Arc<dyn Opaque>),
}

/// The outcome of evaluating an expression, or a part of it.
pub type Evaluated<'v> = Result<Value<'v>, Error>;

/// A value that may be missing.
#[derive(Clone, Debug)]
pub enum Optional<'v> {
    None,
    Some(Arc<OptionalValue<'v>>),
}

/// The value of an optional.
#[derive(Clone, Debug)]
pub struct OptionalValue<'v> {
    value: Value<'v>,
    depth: u16,
}

/// A type that a library adds, such as an IP address or a quantity.
pub trait Opaque: Any + fmt::Debug + Send + Sync {
    /// The type's name in the language, such as `net.IP`.
    fn type_name(&self) -> &'static str;

    /// Whether `==` holds; `other` is of any opaque type.
    fn equals(&self, other: &dyn Opaque) -> Result<bool, Error>;

    /// The size for costs, if the type has one (cel-go's `traits.Sizer`).
    fn size(&self) -> Option<u64> {
        None
    }

    /// The result of `string()`, if the type has one.
    fn text(&self) -> Option<String> {
        None
    }

    /// `self`, for [`Value::opaque`].
    fn as_any(&self) -> &dyn Any;
}

/// [`Opaque::equals`] of a type whose values are compared by `==`. Another type is no overload.
pub fn opaque_equals<T: Opaque + PartialEq>(one: &T, other: &dyn Opaque) -> Result<bool, Error> {
    match other.as_any().downcast_ref::<T>() {
        Some(other) => Ok(one == other),
        None => Err(Error::no_such_overload("==", &[one.type_name(), other.type_name()])),
    }
}

impl<'v> OptionalValue<'v> {
    pub fn value(&self) -> &Value<'v> {
        &self.value
    }
}

impl<'v> Optional<'v> {
    /// An optional that has a value. The caller charges [`Optional::BYTES`].
    pub fn of(value: Value<'v>) -> Result<Self, Error> {
        let depth = depth_around(value.depth())?;
        Ok(Self::Some(Arc::new(OptionalValue { value, depth })))
    }

    /// The memory of an optional's value.
    pub const BYTES: usize = size_of::<OptionalValue<'_>>() + 16;

    pub fn value(&self) -> Option<&Value<'v>> {
        match self {
            Self::None => None,
            Self::Some(held) => Some(&held.value),
        }
    }
}

impl<'v> Value<'v> {
    /// A string that the evaluation constructs; the caller charges its bytes.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(Str::Shared(text.into()))
    }

    /// A string of the input.
    pub fn borrowed(text: &'v str) -> Self {
        Self::String(Str::Borrowed(text))
    }

    /// Bytes that the evaluation constructs; the caller charges them.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes(bytes.into())
    }

    pub fn opaque_of(value: impl Opaque) -> Self {
        Self::Opaque(Arc::new(value))
    }

    /// The value of an opaque type.
    pub fn opaque<T: Opaque>(&self) -> Option<&T> {
        match self {
            Self::Opaque(opaque) => opaque.as_any().downcast_ref(),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&List<'v>> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The name of its type in the language.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Opaque(opaque) => opaque.type_name(),
        }
    }

    /// The nesting of lists, maps and optionals in the value.
    pub(super) fn depth(&self) -> u16 {
        match self {
            Self::List(list) => list.items().depth(),
            Self::Map(map) => map.entries().depth(),
            Self::Optional(Optional::Some(held)) => held.depth,
            _ => 0,
        }
    }

    /// The same value, borrowed. Strings, lists and maps are neither copied nor reference-counted.
    pub fn by_reference(&self) -> Value<'_> {
        match self {
            Self::String(text) => Value::String(Str::Borrowed(text)),
            Self::List(list) => Value::List(List::Borrowed(list.items())),
            Self::Map(map) => Value::Map(Map::Borrowed(map.entries())),
            other => other.clone(),
        }
    }
}
