//! The types of expressions in the checker (`common/types/types.go` of cel-go).

use std::fmt;
use std::sync::Arc;

use super::ast::Name;

/// An expression's type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// A type that is known at run time only; assignable to and from every type.
    Dyn,
    /// `google.protobuf.Any`: treated as [`Type::Dyn`].
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Duration,
    Timestamp,
    /// A primitive or null, such as `google.protobuf.Int64Value`. The parameter is the primitive type.
    Wrapper(Param),
    List(Param),
    Map(Param, Param),
    /// `optional_type(T)`.
    Optional(Param),
    /// The type of a type; the parameter is that type, if it is known.
    Type(Option<Param>),
    /// A type without fields, by its name: [`IP`], [`CIDR`].
    Opaque(&'static str),
    /// A type with declared fields, by its name. Kubernetes declares [`URL`], [`QUANTITY`], [`SEMVER`] and
    /// [`NAMED_FORMAT`] this way too, without any field.
    Object(Name),
    /// A type parameter of a declaration (`T`), by name.
    Param(&'static str),
    /// A type variable of the checker; a checked tree contains none.
    Variable(u32),
}

/// A type within a type, with its size, so that the checker can bound types that double with every step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Param(Arc<Type>, u32);

/// `k8s.io/apiserver/pkg/cel/ip.go`.
pub const IP: &str = "net.IP";
/// `k8s.io/apiserver/pkg/cel/cidr.go`.
pub const CIDR: &str = "net.CIDR";
/// `k8s.io/apiserver/pkg/cel/url.go`.
pub const URL: &str = "kubernetes.URL";
/// `k8s.io/apiserver/pkg/cel/quantity.go`.
pub const QUANTITY: &str = "kubernetes.Quantity";
/// `k8s.io/apiserver/pkg/cel/semver.go`.
pub const SEMVER: &str = "kubernetes.Semver";
/// `k8s.io/apiserver/pkg/cel/format.go`.
pub const NAMED_FORMAT: &str = "kubernetes.NamedFormat";

impl Type {
    pub fn list(element: Self) -> Self {
        Self::List(Param::new(element))
    }

    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Param::new(key), Param::new(value))
    }

    pub fn optional(value: Self) -> Self {
        Self::Optional(Param::new(value))
    }

    /// The type of the type `of`, such as the type of the expression `int`.
    pub fn type_of(of: Self) -> Self {
        Self::Type(Some(Param::new(of)))
    }

    pub fn wrapper(of: Self) -> Self {
        Self::Wrapper(Param::new(of))
    }

    pub fn object(name: &str) -> Self {
        Self::Object(Name::from(name))
    }

    /// Number of types in this one, itself included. It bounds the type's depth too.
    pub fn size(&self) -> u32 {
        match self {
            Self::List(inner)
            | Self::Optional(inner)
            | Self::Wrapper(inner)
            | Self::Type(Some(inner)) => inner.1.saturating_add(1),
            Self::Map(key, value) => key.1.saturating_add(value.1).saturating_add(1),
            _ => 1,
        }
    }

    /// Whether the type is `dyn`, or treated as `dyn`.
    pub fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn | Self::Any)
    }

    /// The name that `type(value)` has at run time, without parameters.
    pub fn runtime_name(&self) -> &str {
        match self {
            Self::Dyn => "dyn",
            Self::Any => "google.protobuf.Any",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Duration => "google.protobuf.Duration",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Wrapper(of) => of.runtime_name(),
            Self::List(_) => "list",
            Self::Map(..) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Object(name) => name,
            Self::Opaque(name) | Self::Param(name) => name,
            Self::Variable(_) => "unknown",
        }
    }
}

impl Param {
    pub fn new(of: Type) -> Self {
        let size = of.size();
        Self(Arc::new(of), size)
    }
}

impl std::ops::Deref for Param {
    type Target = Type;

    fn deref(&self) -> &Type {
        &self.0
    }
}

/// `list(map(string, dyn))`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Wrapper(of) => write!(f, "{} or null", **of),
            Self::List(element) => write!(f, "list({})", **element),
            Self::Map(key, value) => write!(f, "map({}, {})", **key, **value),
            Self::Optional(value) => write!(f, "optional({})", **value),
            Self::Type(Some(of)) => write!(f, "type({})", **of),
            Self::Variable(_) => f.write_str("dyn"),
            other => f.write_str(other.runtime_name()),
        }
    }
}
