//! Functions of lists as sets: `ext/sets.go` of cel-go.

use super::super::equality::contains;
use super::super::error::Error;
use super::super::function::{Call, Cost, Overload, mismatch};
use super::super::list::List;
use super::super::value::Value;
use super::cost::size;
use super::support::charge_work;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::new("list_sets_contains_list", sets_contain)
        .costs(Cost::Of(|args, _| of_pairs(args, 1))),
    Overload::new("list_sets_equivalent_list", are_equivalent)
        .costs(Cost::Of(|args, _| of_pairs(args, 2))),
    Overload::new("list_sets_intersects_list", intersect)
        .costs(Cost::Of(|args, _| of_pairs(args, 1))),
];

/// The cost of comparing every element of one list with every element of the other, `times` times.
fn of_pairs(args: &[Value<'_>], times: u64) -> u64 {
    let pairs = size(args, 0).saturating_mul(size(args, 1));
    pairs.saturating_mul(times).saturating_add(1)
}

fn lists<'a, 'v>(
    call: &mut Call<'_>,
    function: &str,
    args: &'a [Value<'v>],
) -> Result<(&'a Value<'v>, &'a List<'v>), Error> {
    let [a @ Value::List(left), Value::List(right)] = args else { return mismatch(function, args) };
    // The cost is charged after the call only.
    charge_work(call, left.len().saturating_mul(right.len()))?;
    Ok((a, right))
}

fn all_in(list: &Value<'_>, of: &List<'_>) -> bool {
    of.iter().all(|item| contains(item, list).unwrap_or(false))
}

fn sets_contain<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (list, of) = lists(call, "sets.contains()", args)?;
    Ok(Value::Bool(all_in(list, of)))
}

fn are_equivalent<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    let (list, of) = lists(call, "sets.equivalent()", args)?;
    let [Value::List(left), right] = args else { return mismatch("sets.equivalent()", args) };
    Ok(Value::Bool(all_in(list, of) && all_in(right, left)))
}

fn intersect<'v>(call: &mut Call<'_>, args: &[Value<'v>]) -> Result<Value<'v>, Error> {
    lists(call, "sets.intersects()", args)?;
    let [Value::List(left), right] = args else { return mismatch("sets.intersects()", args) };
    Ok(Value::Bool(left.iter().any(|item| contains(item, right).unwrap_or(false))))
}
