//! Lists: Kubernetes' `pkg/cel/library/lists.go`, cel-go's `ext/lists.go` version 3 and `ext/sets.go`.

use super::super::declarations::{Function, FunctionLibrary, Overload, function, global, member};
use super::super::operators;
use super::super::types::Type::{
    self, Bool, Bytes, Double, Duration, Dyn, Int, Param, String, Timestamp, Uint,
};

const A: Type = Param("A");
const T: Type = Param("T");

/// The types with an order, in the order in which the libraries declare overloads for them.
const COMPARABLE: [Type; 8] = [Int, Uint, Double, Bool, Duration, Timestamp, String, Bytes];

/// A function with one overload for each type with an order.
fn for_each(
    name: &'static str,
    ids: [&'static str; 8],
    overload: fn(&'static str, Type) -> Overload,
) -> Function {
    Function {
        name,
        overloads: ids.into_iter().zip(COMPARABLE).map(|(id, of)| overload(id, of)).collect(),
    }
}

pub(super) fn kubernetes() -> FunctionLibrary {
    let sorted = [
        "list_int_is_sorted_bool",
        "list_uint_is_sorted_bool",
        "list_double_is_sorted_bool",
        "list_bool_is_sorted_bool",
        "list_duration_is_sorted_bool",
        "list_timestamp_is_sorted_bool",
        "list_string_is_sorted_bool",
        "list_bytes_is_sorted_bool",
    ];
    let max = [
        "list_int_max_int",
        "list_uint_max_uint",
        "list_double_max_double",
        "list_bool_max_bool",
        "list_duration_max_duration",
        "list_timestamp_max_timestamp",
        "list_string_max_string",
        "list_bytes_max_bytes",
    ];
    let min = [
        "list_int_min_int",
        "list_uint_min_uint",
        "list_double_min_double",
        "list_bool_min_bool",
        "list_duration_min_duration",
        "list_timestamp_min_timestamp",
        "list_string_min_string",
        "list_bytes_min_bytes",
    ];
    let sum = |id, of: Type| member(id, [Type::list(of.clone())], of);
    let functions = vec![
        for_each("isSorted", sorted, |id, of| member(id, [Type::list(of)], Bool)),
        function(
            "sum",
            [
                sum("list_int_sum_int", Int),
                sum("list_uint_sum_uint", Uint),
                sum("list_double_sum_double", Double),
                sum("list_duration_sum_duration", Duration),
            ],
        ),
        for_each("max", max, |id, of| member(id, [Type::list(of.clone())], of)),
        for_each("min", min, |id, of| member(id, [Type::list(of.clone())], of)),
        function("indexOf", [member("list_a_index_of_int", [Type::list(A), A], Int)]),
        function("lastIndexOf", [member("list_a_last_index_of_int", [Type::list(A), A], Int)]),
    ];
    FunctionLibrary { name: "Kubernetes lists", functions }
}

pub(super) fn sets() -> FunctionLibrary {
    let of = |name, id| function(name, [global(id, [Type::list(T), Type::list(T)], Bool)]);
    let functions = vec![
        of("sets.contains", "list_sets_contains_list"),
        of("sets.equivalent", "list_sets_equivalent_list"),
        of("sets.intersects", "list_sets_intersects_list"),
    ];
    FunctionLibrary { name: "sets", functions }
}

pub(super) fn lists() -> FunctionLibrary {
    let sort = [
        "list_int_sort",
        "list_uint_sort",
        "list_double_sort",
        "list_bool_sort",
        "list_google.protobuf.Duration_sort",
        "list_google.protobuf.Timestamp_sort",
        "list_string_sort",
        "list_bytes_sort",
    ];
    let sort_by_keys = [
        "list_int_sortByAssociatedKeys",
        "list_uint_sortByAssociatedKeys",
        "list_double_sortByAssociatedKeys",
        "list_bool_sortByAssociatedKeys",
        "list_google.protobuf.Duration_sortByAssociatedKeys",
        "list_google.protobuf.Timestamp_sortByAssociatedKeys",
        "list_string_sortByAssociatedKeys",
        "list_bytes_sortByAssociatedKeys",
    ];
    let functions = vec![
        function("slice", [member("list_slice", [Type::list(T), Int, Int], Type::list(T))]),
        function(
            "flatten",
            [
                member("list_flatten", [Type::list(Type::list(T))], Type::list(T)),
                member("list_flatten_int", [Type::list(Dyn), Int], Type::list(Dyn)),
            ],
        ),
        for_each("sort", sort, |id, of| member(id, [Type::list(of.clone())], Type::list(of))),
        for_each(operators::SORT_BY_KEYS, sort_by_keys, |id, of| {
            member(id, [Type::list(T), Type::list(of)], Type::list(T))
        }),
        function("lists.range", [global("lists_range", [Int], Type::list(Int))]),
        function("reverse", [member("list_reverse", [Type::list(T)], Type::list(T))]),
        function("distinct", [member("list_distinct", [Type::list(T)], Type::list(T))]),
    ];
    FunctionLibrary { name: "lists", functions }
}
