//! Costs that several libraries share.

use super::super::function::{Cost, size_of_value, traversals};
use super::super::value::Value;

/// Traversing the first argument once.
pub const TRAVERSAL: Cost = Cost::Of(|args, _| traversals(size(args, 0), 1.0));
/// Traversing the first argument, and copying it.
pub const TRAVERSAL_AND_COPY: Cost = Cost::Of(|args, _| traversals(size(args, 0), 2.0));
/// Traversing the first argument as a tree.
pub const TREE: Cost = Cost::Of(|args, _| args.first().map_or(0, tree));

/// Traversing the first argument once, or its value if it is an optional.
pub const TRAVERSAL_OF_HELD: Cost =
    Cost::Of(|args, _| traversals(args.first().map_or(1, size_of_value), 1.0));

/// The size of an argument. In the libraries' costs an optional has no size of its own.
pub fn size(args: &[Value<'_>], at: usize) -> u64 {
    match args.get(at) {
        None | Some(Value::Optional(_)) => 1,
        Some(value) => size_of_value(value),
    }
}

/// The cost of searching a text of size `text` for a pattern of size `pattern`.
pub fn search(text: u64, pattern: u64) -> u64 {
    let pattern = (as_double(pattern) * 0.25).ceil();
    traversals(text.saturating_add(1), 1.0).saturating_mul(as_whole(pattern))
}

/// The cost of a call that traverses `size` elements `factor` times and returns a list.
pub fn of_list(factor: f64, size: u64) -> u64 {
    const CALL: u64 = 1;
    const NEW_LIST: u64 = 10;
    // Go adds unsigned numbers: a negative depth of `flatten` wraps around.
    as_whole(as_double(size) * factor).wrapping_add(CALL + NEW_LIST)
}

/// `traversalCost` of Kubernetes: strings and bytes by their length in bytes, lists and maps by their parts.
fn tree(value: &Value<'_>) -> u64 {
    let bytes = |length: usize| as_whole(as_double(length as u64) * 0.1);
    match value {
        Value::String(text) => bytes(text.len()),
        Value::Bytes(all) => bytes(all.len()),
        Value::List(list) => list.iter().map(tree).fold(0, u64::saturating_add),
        Value::Map(map) => map
            .as_slice()
            .iter()
            .map(|(key, value)| tree(key).saturating_add(tree(value)))
            .fold(0, u64::saturating_add),
        _ => 1,
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Go rounds")]
fn as_double(size: u64) -> f64 {
    size as f64
}

/// Converts as Go does on amd64, numbers out of range included.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as Go converts")]
fn as_whole(cost: f64) -> u64 {
    /// 2⁶⁴, the first double that does not fit.
    const END: f64 = 18_446_744_073_709_551_616.0;
    if cost < 0.0 {
        (cost as i64) as u64
    } else if cost >= END {
        1 << 63
    } else {
        cost as u64
    }
}
