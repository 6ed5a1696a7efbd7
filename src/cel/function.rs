//! How a function of a library is written and what it costs.

use std::any::Any;
use std::sync::Arc;

use super::error::Error;
use super::meter::Meter;
use super::value::Value;

/// What a function works with besides its arguments.
#[derive(Debug)]
pub struct Call<'c> {
    /// Memory is charged here before it is allocated. Cost is charged by the evaluator, by [`Overload::cost`].
    pub meter: &'c mut Meter,
    /// What [`Overload::prepare`] made of constant arguments when the program was compiled.
    pub prepared: Option<&'c Prepared>,
}

/// Work that is done once for a constant argument, such as compiling a regular expression.
#[derive(Clone, Debug)]
pub struct Prepared(Arc<dyn Any + Send + Sync>);

impl Prepared {
    pub fn new(value: impl Any + Send + Sync) -> Self {
        Self(Arc::new(value))
    }

    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// What is made of constant arguments, if there is something.
pub type Prepare = fn(&[Option<&Value<'_>>]) -> Result<Option<Prepared>, Error>;

/// What carries out a function or an overload.
pub type Implementation = for<'v> fn(&mut Call<'_>, &[Value<'v>]) -> Result<Value<'v>, Error>;

/// One overload of a function, by its id in Kubernetes' declarations. It is called with arguments of the declared types
/// only (type parameters of lists and maps aside, which may hold anything), the target of a method first.
#[derive(Clone, Copy, Debug)]
pub struct Overload {
    pub id: &'static str,
    pub call: Implementation,
    pub cost: Cost,
    /// Where there is one: called at compile time with the arguments that are constant (`None` for the others). Its
    /// error refuses the expression.
    pub prepare: Option<Prepare>,
}

/// What a call costs, in the units of cel-go's `interpreter/runtimecost.go`.
#[derive(Clone, Copy, Debug)]
pub enum Cost {
    Fixed(u64),
    /// By the arguments, and the result if there is one.
    Of(fn(&[Value<'_>], Option<&Value<'_>>) -> u64),
}

impl Overload {
    /// An overload that costs one unit.
    pub const fn new(id: &'static str, call: Implementation) -> Self {
        Self { id, call, cost: Cost::Fixed(1), prepare: None }
    }

    #[must_use]
    pub const fn costs(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    #[must_use]
    pub const fn prepared_by(mut self, prepare: Prepare) -> Self {
        self.prepare = Some(prepare);
        self
    }
}

/// The error of a function that takes no arguments of these types. `function` as a person writes it: `size()`.
pub(super) fn mismatch<T>(function: &str, args: &[Value<'_>]) -> Result<T, Error> {
    let types: Vec<&str> = args.iter().map(Value::type_name).collect();
    Err(Error::no_such_overload(function, &types))
}

/// The size that costs go by (`actualSize` in cel-go): code points, bytes, elements or entries; 1 for what has no size.
pub fn size_of_value(value: &Value<'_>) -> u64 {
    let size = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Optional(optional) => return optional.value().map_or(1, size_of_value),
        Value::Opaque(opaque) => return opaque.size().unwrap_or(1),
        _ => 1,
    };
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// `ceil(size × 0.1 × times)`, the cost of going over a string.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "as cel-go counts"
)]
pub fn traversals(size: u64, times: f64) -> u64 {
    (size as f64 * times * 0.1).ceil() as u64
}
