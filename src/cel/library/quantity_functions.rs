//! Functions of quantities: Kubernetes' `pkg/cel/library/quantity.go`.

use std::any::Any;
use std::cmp::Ordering;

use super::super::error::{Error, ErrorKind};
use super::super::function::{Call, Overload, mismatch};
use super::super::types::QUANTITY;
use super::super::value::{Opaque, Value};
use super::cost::TRAVERSAL;
use super::quantity::{Quantity, QuantityError};
use super::support::charge_work;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("string_to_quantity", quantity).costs(TRAVERSAL),
    Overload::new("is_quantity_string", is_quantity).costs(TRAVERSAL),
    Overload::new("quantity_sign", sign),
    Overload::new("quantity_is_greater_than", is_greater_than),
    Overload::new("quantity_is_less_than", is_less_than),
    Overload::new("quantity_compare_to", compare_to),
    Overload::new("quantity_get_float", as_approximate_float),
    Overload::new("quantity_get_int", as_integer),
    Overload::new("quantity_is_integer", is_integer),
    Overload::new("quantity_add", add),
    Overload::new("quantity_add_int", add),
    Overload::new("quantity_sub", sub),
    Overload::new("quantity_sub_int", sub),
];

impl Opaque for Quantity {
    fn type_name(&self) -> &'static str {
        QUANTITY
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, Error> {
        let equal = other.as_any().downcast_ref().and_then(|other| Self::equals(self, other));
        let none = || Error::no_such_overload("==", &[QUANTITY, other.type_name()]);
        equal.ok_or_else(none)?.map_err(error)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn error(error: QuantityError) -> Error {
    let kind = match error {
        QuantityError::TooFarApart => ErrorKind::Internal,
        QuantityError::Syntax | QuantityError::NoInteger => ErrorKind::InvalidArgument,
    };
    Error::new(kind, error.to_string())
}

/// The text argument. Charges the memory of the quantity that it is parsed to.
fn argument<'a>(call: &mut Call<'_>, args: &'a [Value<'_>]) -> Result<&'a str, Error> {
    let [Value::String(text)] = args else { return mismatch("quantity()", args) };
    call.meter.allocate(Quantity::size(text))?;
    Ok(text)
}

fn quantity<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let text = argument(call, args)?;
    Quantity::parse(text).map(Value::opaque_of).map_err(error)
}

fn is_quantity<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let text = argument(call, args)?;
    Ok(Value::Bool(Quantity::parse(text).is_ok()))
}

/// The quantity that a method is called on.
fn receiver<'a>(function: &str, args: &'a [Value<'_>]) -> Result<&'a Quantity, Error> {
    match args.first().and_then(Value::opaque) {
        Some(quantity) => Ok(quantity),
        None => mismatch(function, args),
    }
}

fn sign<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    receiver("sign()", args).map(|it| Value::Int(it.sign()))
}

fn order(call: &mut Call<'_>, function: &str, args: &[Value<'_>]) -> Result<Ordering, Error> {
    let left = receiver(function, args)?;
    let right = receiver(function, args.get(1..).unwrap_or_default())?;
    charge_work(call, left.digits().saturating_add(right.digits()))?;
    left.compare(right).map_err(error)
}

fn is_greater_than<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    order(call, "isGreaterThan()", args).map(|it| Value::Bool(it.is_gt()))
}

fn is_less_than<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    order(call, "isLessThan()", args).map(|it| Value::Bool(it.is_lt()))
}

fn compare_to<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    order(call, "compareTo()", args).map(|it| Value::Int(it as i64))
}

fn as_approximate_float<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let quantity = receiver("asApproximateFloat()", args)?;
    call.meter.allocate(quantity.digits())?;
    Ok(Value::Double(quantity.as_approximate_float()))
}

fn as_integer<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    receiver("asInteger()", args)?.as_integer().map(Value::Int).map_err(error)
}

fn is_integer<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    receiver("isInteger()", args).map(|it| Value::Bool(it.as_integer().is_ok()))
}

fn add<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let left = receiver("add()", args)?;
    let charge = |bytes| call.meter.allocate(bytes);
    let sum = match args {
        [_, Value::Int(right)] => left.add_int(*right, charge)?,
        [_, right] => left.add(receiver("add()", std::slice::from_ref(right))?, charge)?,
        _ => return mismatch("add()", args),
    };
    Ok(Value::opaque_of(sum))
}

fn sub<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let left = receiver("sub()", args)?;
    let charge = |bytes| call.meter.allocate(bytes);
    let difference = match args {
        [_, Value::Int(right)] => left.sub_int(*right, charge)?,
        [_, right] => left.sub(receiver("sub()", std::slice::from_ref(right))?, charge)?,
        _ => return mismatch("sub()", args),
    };
    Ok(Value::opaque_of(difference))
}
