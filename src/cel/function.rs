//! Implementations of functions, and their costs.

use std::any::Any;
use std::sync::Arc;

use super::error::Error;
use super::meter::Meter;
use super::value::Value;

/// The context of a call, besides its arguments.
#[derive(Debug)]
pub struct Call<'c> {
    /// The function charges memory here before it allocates. The evaluator charges the cost, see [`Overload::cost`].
    pub meter: &'c mut Meter,
    /// The result of [`Overload::prepare`] for constant arguments, made when the program was compiled.
    pub prepared: Option<&'c Prepared>,
}

/// The result of work that is done once for a constant argument, such as a compiled regular expression.
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

/// Prepares a call for its constant arguments (`None` for the others); `None` if there is nothing to prepare.
pub type Prepare = fn(&[Option<&Value<'_>>]) -> Result<Option<Prepared>, Error>;

/// The code of a function or an overload.
pub type Implementation = for<'v> fn(&mut Call<'_>, &[Value<'v>]) -> Result<Value<'v>, Error>;

/// The implementation of one overload, by its id in Kubernetes' declarations. Its arguments are of the declared types,
/// except that elements of lists and maps may be of any type. The target of a method is the first argument.
#[derive(Clone, Copy, Debug)]
pub struct Overload {
    pub id: &'static str,
    pub call: Implementation,
    pub cost: Cost,
    /// Called at compile time with the constant arguments. An error refuses the expression.
    pub prepare: Option<Prepare>,
}

/// The cost of a call, in the units of cel-go's `interpreter/runtimecost.go`.
#[derive(Clone, Copy, Debug)]
pub enum Cost {
    Fixed(u64),
    /// A function of the arguments, and of the result, which is `None` where the call fails.
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

/// The error for arguments of types that a function does not take. `function` is `size()`, as in an expression.
pub(super) fn mismatch<T>(function: &str, args: &[Value<'_>]) -> Result<T, Error> {
    let types: Vec<&str> = args.iter().map(Value::type_name).collect();
    Err(Error::no_such_overload(function, &types))
}

/// The size of a value for costs (`actualSize` in cel-go): code
/// points, bytes, elements or entries; 1 for a value without a size.
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

/// `ceil(size × 0.1 × times)`: the cost of traversing a string `times` times.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "as cel-go counts"
)]
pub fn traversals(size: u64, times: f64) -> u64 {
    (size as f64 * times * 0.1).ceil() as u64
}
