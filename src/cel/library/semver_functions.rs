//! Functions of semantic versions: Kubernetes' `pkg/cel/library/semverlib.go`.

use std::any::Any;
use std::cmp::Ordering;

use super::super::error::Error;
use super::super::function::{Call, Overload, mismatch};
use super::super::types::SEMVER;
use super::super::value::{Opaque, Value, opaque_equals};
use super::cost::TRAVERSAL;
use super::semver::{Semver, Syntax};
use super::support::charge_work;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("string_to_semver", semver).costs(TRAVERSAL),
    Overload::new("string_bool_to_semver", semver).costs(TRAVERSAL),
    Overload::new("is_semver_string", is_semver).costs(TRAVERSAL),
    Overload::new("is_semver_string_bool", is_semver).costs(TRAVERSAL),
    Overload::new("semver_is_greater_than", is_greater_than),
    Overload::new("semver_is_less_than", is_less_than),
    Overload::new("semver_compare_to", compare_to),
    Overload::new("semver_major", major),
    Overload::new("semver_minor", minor),
    Overload::new("semver_patch", patch),
];

impl Opaque for Semver {
    fn type_name(&self) -> &'static str {
        SEMVER
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, Error> {
        opaque_equals(self, other)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The text argument and its syntax. Charges the memory of the version that it is parsed to.
fn argument<'a>(call: &mut Call<'_>, args: &'a [Value<'_>]) -> Result<(&'a str, Syntax), Error> {
    let (text, syntax) = match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => (text, Syntax::Strict),
        [Value::String(text), Value::Bool(true)] => (text, Syntax::Normalized),
        _ => return mismatch("semver()", args),
    };
    call.meter.allocate(Semver::size(text))?;
    Ok((text, syntax))
}

fn semver<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (text, syntax) = argument(call, args)?;
    let version = Semver::parse(text, syntax);
    version.map(Value::opaque_of).map_err(|error| Error::invalid(error.to_string()))
}

fn is_semver<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (text, syntax) = argument(call, args)?;
    Ok(Value::Bool(Semver::parse(text, syntax).is_ok()))
}

/// The version that a method is called on.
fn receiver<'a>(function: &str, args: &'a [Value<'_>]) -> Result<&'a Semver, Error> {
    match args.first().and_then(Value::opaque) {
        Some(version) => Ok(version),
        None => mismatch(function, args),
    }
}

fn order(call: &mut Call<'_>, function: &str, args: &[Value<'_>]) -> Result<Ordering, Error> {
    let left = receiver(function, args)?;
    let right = receiver(function, args.get(1..).unwrap_or_default())?;
    charge_work(call, left.len().min(right.len()))?;
    Ok(left.cmp(right))
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

/// A number of a version as an int; as in Kubernetes, a number above the range wraps around.
fn int<'v>(number: u64) -> Value<'v> {
    Value::Int(number.cast_signed())
}

fn major<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    receiver("major()", args).map(|it| int(it.major))
}

fn minor<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    receiver("minor()", args).map(|it| int(it.minor))
}

fn patch<'v>(_: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    receiver("patch()", args).map(|it| int(it.patch))
}
