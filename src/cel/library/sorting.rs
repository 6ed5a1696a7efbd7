//! `sort` and `sortBy`: `ext/lists.go` of cel-go.

use std::cmp::Ordering;

use super::super::equality::compare;
use super::super::error::Error;
use super::super::function::{Call, Cost, Overload, mismatch};
use super::super::list::List;
use super::super::value::Value;
use super::lists::{SELF_COMPARISON, is_comparable, self_comparison};

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("list_int_sort", sort).costs(SELF_COMPARISON),
    Overload::new("list_uint_sort", sort).costs(SELF_COMPARISON),
    Overload::new("list_double_sort", sort).costs(SELF_COMPARISON),
    Overload::new("list_bool_sort", sort).costs(SELF_COMPARISON),
    Overload::new("list_google.protobuf.Duration_sort", sort).costs(SELF_COMPARISON),
    Overload::new("list_google.protobuf.Timestamp_sort", sort).costs(SELF_COMPARISON),
    Overload::new("list_string_sort", sort).costs(SELF_COMPARISON),
    Overload::new("list_bytes_sort", sort).costs(SELF_COMPARISON),
    Overload::new("list_int_sortByAssociatedKeys", sort_by_keys).costs(KEY_COMPARISON),
    Overload::new("list_uint_sortByAssociatedKeys", sort_by_keys).costs(KEY_COMPARISON),
    Overload::new("list_double_sortByAssociatedKeys", sort_by_keys).costs(KEY_COMPARISON),
    Overload::new("list_bool_sortByAssociatedKeys", sort_by_keys).costs(KEY_COMPARISON),
    Overload::new("list_google.protobuf.Duration_sortByAssociatedKeys", sort_by_keys)
        .costs(KEY_COMPARISON),
    Overload::new("list_google.protobuf.Timestamp_sortByAssociatedKeys", sort_by_keys)
        .costs(KEY_COMPARISON),
    Overload::new("list_string_sortByAssociatedKeys", sort_by_keys).costs(KEY_COMPARISON),
    Overload::new("list_bytes_sortByAssociatedKeys", sort_by_keys).costs(KEY_COMPARISON),
];

const KEY_COMPARISON: Cost = Cost::Of(|args, _| self_comparison(args.get(1)));

/// Up to this length Go uses insertion sort, which is stable.
const FEW: usize = 12;

fn sort<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::List(list)] = args else { return mismatch("sort()", args) };
    sorted(call, list, list)
}

fn sort_by_keys<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let [Value::List(list), Value::List(keys)] = args else { return mismatch("sortBy()", args) };
    if list.len() != keys.len() {
        return Err(Error::invalid("sortBy() needs a key for every element"));
    }
    sorted(call, list, keys)
}

fn sorted<'v>(call: &mut Call<'_>, list: &List<'v>, keys: &List<'v>) -> Result<Value<'v>, Error> {
    let Some(first) = keys.first() else { return Ok(Value::List(list.clone())) };
    if !is_comparable(first) {
        return mismatch("sort()", std::slice::from_ref(first));
    }
    if let Some(other) = keys.iter().find(|key| key.type_name() != first.type_name()) {
        let (first, other) = (first.type_name(), other.type_name());
        let message = format!("sort() takes elements of one type, not {first} and {other}");
        return Err(Error::invalid(message));
    }
    // The elements, and pairs of elements and keys.
    List::charge(call.meter, list.len().saturating_mul(3))?;
    let mut pairs: Vec<(&Value<'v>, &Value<'v>)> = keys.iter().zip(list.iter()).collect();
    if pairs.len() <= FEW {
        insertion_sort(&mut pairs);
    } else {
        pairs.sort_by(|(a, _), (b, _)| total_order(a, b));
    }
    List::new(pairs.into_iter().map(|(_, item)| item.clone()).collect()).map(Value::List)
}

/// Go's insertion sort; NaN is not less than any number.
fn insertion_sort(pairs: &mut [(&Value<'_>, &Value<'_>)]) {
    let less = |a: &Value<'_>, b: &Value<'_>| compare("<", a, b).is_ok_and(Ordering::is_lt);
    for end in 1..pairs.len() {
        for at in (1..=end).rev() {
            match pairs.get(at - 1..=at) {
                Some([(before, _), (after, _)]) if less(after, before) => pairs.swap(at - 1, at),
                _ => break,
            }
        }
    }
}

/// A total order, NaN included.
fn total_order(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) if a.is_nan() || b.is_nan() => a.total_cmp(b),
        _ => compare("<", a, b).unwrap_or(Ordering::Equal),
    }
}
