//! Functions of lists: Kubernetes' `pkg/cel/library/lists.go`,
//! and `ext/lists.go` of cel-go (version 3) without sorting.

use std::cmp::Ordering;

use super::super::arithmetic::add;
use super::super::equality::{compare, equal};
use super::super::error::{Error, ErrorKind};
use super::super::function::{Call, Cost, Overload, mismatch, size_of_value};
use super::super::list::List;
use super::super::time::Duration;
use super::super::value::Value;
use super::cost::{TREE, of_list, size};
use super::support::{charge_item, charge_work, int};

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("list_int_is_sorted_bool", is_sorted).costs(TREE),
    Overload::new("list_uint_is_sorted_bool", is_sorted).costs(TREE),
    Overload::new("list_double_is_sorted_bool", is_sorted).costs(TREE),
    Overload::new("list_bool_is_sorted_bool", is_sorted).costs(TREE),
    Overload::new("list_duration_is_sorted_bool", is_sorted).costs(TREE),
    Overload::new("list_timestamp_is_sorted_bool", is_sorted).costs(TREE),
    Overload::new("list_string_is_sorted_bool", is_sorted).costs(TREE),
    Overload::new("list_bytes_is_sorted_bool", is_sorted).costs(TREE),
    Overload::new("list_int_sum_int", sum_of_ints).costs(TREE),
    Overload::new("list_uint_sum_uint", sum_of_uints).costs(TREE),
    Overload::new("list_double_sum_double", sum_of_doubles).costs(TREE),
    Overload::new("list_duration_sum_duration", sum_of_durations).costs(TREE),
    Overload::new("list_int_max_int", max).costs(TREE),
    Overload::new("list_uint_max_uint", max).costs(TREE),
    Overload::new("list_double_max_double", max).costs(TREE),
    Overload::new("list_bool_max_bool", max).costs(TREE),
    Overload::new("list_duration_max_duration", max).costs(TREE),
    Overload::new("list_timestamp_max_timestamp", max).costs(TREE),
    Overload::new("list_string_max_string", max).costs(TREE),
    Overload::new("list_bytes_max_bytes", max).costs(TREE),
    Overload::new("list_int_min_int", min).costs(TREE),
    Overload::new("list_uint_min_uint", min).costs(TREE),
    Overload::new("list_double_min_double", min).costs(TREE),
    Overload::new("list_bool_min_bool", min).costs(TREE),
    Overload::new("list_duration_min_duration", min).costs(TREE),
    Overload::new("list_timestamp_min_timestamp", min).costs(TREE),
    Overload::new("list_string_min_string", min).costs(TREE),
    Overload::new("list_bytes_min_bytes", min).costs(TREE),
    Overload::new("list_a_index_of_int", index_of).costs(TREE),
    Overload::new("list_a_last_index_of_int", last_index_of).costs(TREE),
    Overload::new("list_slice", slice).costs(OF_RESULT),
    Overload::new("list_flatten", flatten).costs(OF_FLATTENING),
    Overload::new("list_flatten_int", flatten).costs(OF_FLATTENING),
    Overload::new("lists_range", range).costs(OF_RESULT),
    Overload::new("list_reverse", reverse).costs(OF_RESULT),
    Overload::new("list_distinct", distinct).costs(SELF_COMPARISON),
];

const OF_RESULT: Cost = Cost::Of(|_, result| of_list(1.0, result.map_or(1, size_of_value)));

#[expect(clippy::cast_precision_loss, reason = "as cel-go counts")]
const OF_FLATTENING: Cost = Cost::Of(|args, _| {
    let depth = match args {
        [_, Value::Int(depth)] => *depth as f64,
        _ => 1.0,
    };
    of_list(depth, size(args, 0))
});

/// The cost of comparing every element with every other one.
pub(super) const SELF_COMPARISON: Cost = Cost::Of(|args, _| self_comparison(args.first()));

pub(super) fn self_comparison(list: Option<&Value<'_>>) -> u64 {
    let Some(Value::List(list)) = list else { return of_list(2.0, 1) };
    let factor = match list.first() {
        Some(Value::String(_) | Value::Bytes(_)) => 2.1,
        _ => 2.0,
    };
    let length = u64::try_from(list.len()).unwrap_or(u64::MAX);
    of_list(factor, length.saturating_mul(length))
}

pub(super) fn is_comparable(value: &Value<'_>) -> bool {
    matches!(
        value,
        Value::Int(_)
            | Value::Uint(_)
            | Value::Double(_)
            | Value::Bool(_)
            | Value::Duration(_)
            | Value::Timestamp(_)
            | Value::String(_)
            | Value::Bytes(_)
    )
}

/// The list that a method is called on; charges the work of traversing it.
fn list<'a, 'v>(
    call: &mut Call<'_>,
    function: &str,
    args: &'a [Value<'v>],
) -> Result<&'a List<'v>, Error> {
    let Some(Value::List(list)) = args.first() else { return mismatch(function, args) };
    charge_work(call, list.len().saturating_mul(size_of::<Value<'_>>()))?;
    Ok(list)
}

/// Values that cannot be compared with each other count as sorted.
fn is_sorted<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let list = list(call, "isSorted()", args)?;
    let mut before: Option<&Value<'_>> = None;
    for item in list.iter() {
        if !is_comparable(item) {
            return mismatch("isSorted()", std::slice::from_ref(item));
        }
        let greater = |it| compare(">", it, item).is_ok_and(Ordering::is_gt);
        if before.is_some_and(greater) {
            return Ok(Value::Bool(false));
        }
        before = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum<'v>(call: &mut Call<'_>, args: &[Value<'v>], zero: Value<'v>) -> Result<Value<'v>, Error> {
    let list = list(call, "sum()", args)?;
    let mut total = zero;
    for item in list.iter() {
        total = add(call, &[total, item.clone()])?;
    }
    Ok(total)
}

fn sum_of_ints<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    sum(call, args, Value::Int(0))
}

fn sum_of_uints<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    sum(call, args, Value::Uint(0))
}

fn sum_of_doubles<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    sum(call, args, Value::Double(0.0))
}

fn sum_of_durations<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    sum(call, args, Value::Duration(Duration(0)))
}

fn extreme<'v>(
    call: &mut Call<'_>,
    function: &str,
    args: &[Value<'v>],
    replaces: Ordering,
) -> Result<Value<'v>, Error> {
    let list = list(call, function, args)?;
    let mut best: Option<&Value<'v>> = None;
    for item in list.iter() {
        if !is_comparable(item) {
            return mismatch(function, std::slice::from_ref(item));
        }
        if best.is_none_or(|best| compare("<", best, item).is_ok_and(|it| it == replaces)) {
            best = Some(item);
        }
    }
    best.cloned().ok_or_else(|| {
        Error::invalid(format!("{function} of an empty list; test its size() first"))
    })
}

fn max<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    extreme(call, "max()", args, Ordering::Less)
}

fn min<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    extreme(call, "min()", args, Ordering::Greater)
}

fn is_equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    equal(a, b).unwrap_or(false)
}

fn index_of<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let list = list(call, "indexOf()", args)?;
    let found = args.get(1).and_then(|it| list.iter().position(|item| is_equal(item, it)));
    Ok(found.map_or(Value::Int(-1), int))
}

fn last_index_of<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let list = list(call, "lastIndexOf()", args)?;
    let found = args.get(1).and_then(|it| list.iter().rposition(|item| is_equal(item, it)));
    Ok(found.map_or(Value::Int(-1), int))
}

fn slice<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else {
        return mismatch("slice()", args);
    };
    let range = usize::try_from(*start).ok().zip(usize::try_from(*end).ok());
    let Some(part) = range.and_then(|(start, end)| list.get(start..end)) else {
        let message =
            format!("slice({start}, {end}) is outside the list, which has {} elements", list.len());
        return Err(Error::new(ErrorKind::OutOfBounds, message));
    };
    List::charge(call.meter, part.len())?;
    List::new(part.to_vec()).map(Value::List)
}

fn flatten<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (list, depth) = match args {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(depth)] => (list, *depth),
        [_, Value::Int(_)] | [_] => return mismatch("flatten()", args),
        // The cost tracker of cel-go panics.
        _ => return Err(Error::new(ErrorKind::Internal, "the depth of flatten() must be an int")),
    };
    let depth = u64::try_from(depth)
        .map_err(|_| Error::invalid("the depth of flatten() must not be negative"))?;
    let mut flat = Vec::new();
    flatten_into(call, list, depth, &mut flat)?;
    List::new(flat).map(Value::List)
}

fn flatten_into<'v>(
    call: &mut Call<'_>,
    list: &List<'v>,
    depth: u64,
    flat: &mut Vec<Value<'v>>,
) -> Result<(), Error> {
    for item in list.iter() {
        // Empty inner lists are work too.
        charge_item(call)?;
        match item {
            Value::List(inner) if depth > 0 => flatten_into(call, inner, depth - 1, flat)?,
            other => flat.push(other.clone()),
        }
    }
    Ok(())
}

fn range<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::Int(end)] = args else { return mismatch("lists.range()", args) };
    let end = (*end).max(0);
    List::charge(call.meter, usize::try_from(end).unwrap_or(usize::MAX))?;
    List::new((0..end).map(Value::Int).collect()).map(Value::List)
}

fn reverse<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::List(list)] = args else { return mismatch("reverse()", args) };
    List::charge(call.meter, list.len())?;
    List::new(list.iter().rev().cloned().collect()).map(Value::List)
}

fn distinct<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::List(list)] = args else { return mismatch("distinct()", args) };
    // The cost is charged after the call only, so the comparisons of pairs are charged here.
    charge_work(call, list.len().saturating_mul(list.len()))?;
    List::charge(call.meter, list.len())?;
    let mut unique: Vec<Value<'v>> = Vec::new();
    for item in list.iter() {
        if !unique.iter().any(|it| is_equal(item, it)) {
            unique.push(item.clone());
        }
    }
    List::new(unique).map(Value::List)
}
