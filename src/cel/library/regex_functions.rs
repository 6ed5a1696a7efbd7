//! Functions of regular expressions: `matches` of the language, `find` and `findAll` of Kubernetes'
//! `pkg/cel/library/regex.go`.

use std::borrow::Cow;

use super::super::error::Error;
use super::super::function::{Call, Cost, Overload, Prepared, mismatch, size_of_value};
use super::super::list::List;
use super::super::text::Str;
use super::super::value::Value;
use super::cost::{search, size};
use super::pattern::{PROGRAM_LIMIT, Pattern, PatternError};
use super::support::charge_item;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("matches", matches).prepared_by(prepare),
    Overload::new("matches_string", matches).costs(MATCH).prepared_by(prepare),
    Overload::new("string_find_string", find_first).costs(SEARCH).prepared_by(prepare),
    Overload::new("string_find_all_string", find_all).costs(SEARCH).prepared_by(prepare),
    Overload::new("string_find_all_string_int", find_all).costs(SEARCH).prepared_by(prepare),
];

const SEARCH: Cost = Cost::Of(|args, _| search(size(args, 0), size(args, 1)));
/// `matches` is a function of cel-go, where the size of an optional is that of its value.
const MATCH: Cost = Cost::Of(|args, _| {
    let size = |at| args.get(at).map_or(1, size_of_value);
    search(size(0), size(1))
});

/// Steps of a search for one byte of the review's memory. A search takes time in proportion to the text times the
/// compiled pattern, while Kubernetes' cost depends on the length of the pattern's text: `a{1000}` is short.
const STEPS_OF_A_BYTE: usize = 1 << 10;

/// Compiles a constant pattern.
fn prepare(args: &[Option<&Value<'_>>]) -> Result<Option<Prepared>, Error> {
    let [_, Some(Value::String(pattern)), ..] = args else {
        return Ok(None);
    };
    compile(pattern).map(|pattern| Some(Prepared::new(pattern)))
}

/// Refuses a text that is not a regular expression.
pub fn check_pattern(pattern: &str) -> Result<(), Error> {
    compile(pattern).map(drop)
}

fn compile(pattern: &str) -> Result<Pattern, Error> {
    Pattern::new(pattern, usize::MAX).map_err(|error| Error::invalid(error.to_string()))
}

/// The compiled pattern, prepared or compiled now. Charges the search of a text.
fn pattern<'c>(call: &mut Call<'c>, pattern: &str, text: &str) -> Result<Cow<'c, Pattern>, Error> {
    let pattern = if let Some(prepared) = call.prepared.and_then(Prepared::get::<Pattern>) {
        Cow::Borrowed(prepared)
    } else {
        call.meter.allocate(pattern.len())?;
        let compiled = Pattern::new(pattern, call.meter.left().memory);
        let size = match &compiled {
            Ok(compiled) => compiled.size(),
            // The failed attempt took as much.
            Err(PatternError::Size) => PROGRAM_LIMIT,
            Err(_) => 0,
        };
        call.meter.allocate(size)?;
        Cow::Owned(compiled.map_err(|error| Error::invalid(error.to_string()))?)
    };
    let steps = text.len().saturating_add(1).saturating_mul(pattern.size());
    call.meter.allocate(steps / STEPS_OF_A_BYTE)?;
    Ok(pattern)
}

fn matches<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::String(text), Value::String(expression)] = args else {
        return mismatch("matches()", args);
    };
    Ok(Value::Bool(pattern(call, expression, text)?.is_match(text)))
}

fn find_first<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::String(text), Value::String(expression)] = args else {
        return mismatch("find()", args);
    };
    let found = pattern(call, expression, text)?.find(text).unwrap_or(0..0);
    found_part(call, text, found)
}

fn find_all<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (text, expression, most) = match args {
        [Value::String(text), Value::String(expression)] => (text, expression, -1),
        [Value::String(text), Value::String(expression), Value::Int(most)] => {
            (text, expression, *most)
        }
        _ => return mismatch("findAll()", args),
    };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let pattern = pattern(call, expression, text)?;
    let mut all = Vec::new();
    for found in pattern.find_all(text).take(most) {
        charge_item(call)?;
        all.push(found_part(call, text, found)?);
    }
    List::new(all).map(Value::List)
}

fn found_part<'v>(
    call: &mut Call<'_>,
    text: &Str<'v>,
    found: std::ops::Range<usize>,
) -> Result<Value<'v>, Error> {
    call.meter.allocate(text.copied(found.len()))?;
    Ok(Value::String(text.slice(found).unwrap_or(Str::Borrowed(""))))
}
