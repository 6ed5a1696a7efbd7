//! The cost of calls: cel-go's `interpreter/runtimecost.go`, and
//! Kubernetes' `pkg/cel/library/cost.go`, which takes precedence.
//!
//! The overload that the checker resolved determines the cost. Where types are known
//! at run time only, there is no such overload, and most calls cost one unit whatever
//! they do; the cost of Kubernetes' own functions depends on their names then.

use super::error::{Error, ErrorKind};
use super::function::{self, Cost, size_of_value, traversals};
use super::library;
use super::value::Value;

pub(super) const ONE: Cost = Cost::Fixed(1);

/// The cost of a function of [`super::standard`]; `overload` is the one that the checker resolved, if it is one.
pub(super) fn of_standard(overload: Option<&str>) -> Cost {
    match overload.unwrap_or_default() {
        "starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string" => {
            Cost::Of(|args, _| traversals(size(args, 0), 1.0))
        }
        "in_list" => Cost::Of(|args, _| size(args, 1)),
        "less_string"
        | "less_equals_string"
        | "greater_string"
        | "greater_equals_string"
        | "less_bytes"
        | "less_equals_bytes"
        | "greater_bytes"
        | "greater_equals_bytes" => Cost::Of(|args, _| of_comparison(args)),
        "add_string" | "add_bytes" => {
            Cost::Of(|args, _| traversals(size(args, 0).saturating_add(size(args, 1)), 1.0))
        }
        "contains_string" => Cost::Of(|args, _| {
            traversals(size(args, 0), 1.0).saturating_mul(traversals(size(args, 1), 1.0))
        }),
        _ => ONE,
    }
}

fn size(args: &[Value<'_>], at: usize) -> u64 {
    args.get(at).map_or(1, size_of_value)
}

/// The cost of comparing two values: by the length of the shorter one.
fn of_comparison(args: &[Value<'_>]) -> u64 {
    traversals(size(args, 0).min(size(args, 1)), 1.0)
}

/// The cost of `==` and `!=`.
pub(super) fn of_equality(a: &Value<'_>, b: &Value<'_>, is_equals: bool) -> u64 {
    match (a, b) {
        // A shortcut for most comparisons, those with a short string.
        (Value::String(a), Value::String(b)) if a.len().min(b.len()) <= 10 => {
            u64::from(!a.is_empty() && !b.is_empty())
        }
        (Value::Opaque(_), _) if is_equals => 1,
        _ => traversals(size_of_value(a).min(size_of_value(b)), 1.0),
    }
}

/// Fails where cel-go panics while it charges the call: an argument that determines the cost is not a list, or not an
/// int (`trackListSelfCompare` and others in `ext/lists.go`).
pub(super) fn check_arguments(overload: &str, args: &[Value<'_>]) -> Result<(), Error> {
    let as_expected = match (overload, args) {
        ("list_distinct", [list, ..]) => matches!(list, Value::List(_)),
        ("list_flatten_int", [_, depth]) => matches!(depth, Value::Int(_)),
        (sort, [list]) if sort.ends_with("_sort") => matches!(list, Value::List(_)),
        (sort, [_, keys]) if sort.ends_with("_sortByAssociatedKeys") => {
            matches!(keys, Value::List(_))
        }
        _ => true,
    };
    if as_expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Internal,
        "a list that is sorted or flattened could not be evaluated",
    ))
}

/// The cost of a library's function where the checker resolved no single overload, by the overload that is called.
pub(super) fn of_unsettled(function: &str, overload: &function::Overload) -> Cost {
    /// The functions whose cost `CallCost` finds by name.
    const BY_NAME: [&str; 46] = [
        "isSorted",
        "sum",
        "max",
        "min",
        "indexOf",
        "lastIndexOf",
        "url",
        "lowerAscii",
        "upperAscii",
        "substring",
        "trim",
        "replace",
        "split",
        "join",
        "find",
        "findAll",
        "cidr",
        "isIP",
        "isCIDR",
        "ip",
        "ip.isCanonical",
        "masked",
        "prefixLength",
        "family",
        "isUnspecified",
        "isLoopback",
        "isLinkLocalMulticast",
        "isLinkLocalUnicast",
        "isGlobalUnicast",
        "containsIP",
        "containsCIDR",
        "quantity",
        "isQuantity",
        "semver",
        "isSemver",
        "validate",
        "format.named",
        "sign",
        "asInteger",
        "isInteger",
        "asApproximateFloat",
        "isGreaterThan",
        "isLessThan",
        "compareTo",
        "add",
        "sub",
    ];
    // Without an overload, Kubernetes does not charge parsing the text.
    let known = match overload.id {
        "cidr_contains_ip_string" => library::find("cidr_contains_ip_ip"),
        "cidr_contains_cidr_string" => library::find("cidr_contains_cidr"),
        _ => None,
    };
    let cost = known.map_or(overload.cost, |known| known.cost);
    if BY_NAME.contains(&function) || function.starts_with("get") { cost } else { ONE }
}
