//! The comparisons of `common/stdlib/standard.go`, including those between numbers of different types.

use super::super::declarations::{Function, Overload, function, global};
use super::super::operators;
use super::super::types::Type::{
    self, Bool, Bytes, Double, Duration, Int, Param, String, Timestamp, Uint,
};

const A: Type = Param("A");

pub(super) fn functions() -> Vec<Function> {
    vec![
        function(operators::EQUALS, [global("equals", [A, A], Bool)]),
        function(operators::NOT_EQUALS, [global("not_equals", [A, A], Bool)]),
        ordering(
            operators::LESS,
            [
                "less_bool",
                "less_int64",
                "less_int64_double",
                "less_int64_uint64",
                "less_uint64",
                "less_uint64_double",
                "less_uint64_int64",
                "less_double",
                "less_double_int64",
                "less_double_uint64",
                "less_string",
                "less_bytes",
                "less_timestamp",
                "less_duration",
            ],
        ),
        ordering(
            operators::LESS_EQUALS,
            [
                "less_equals_bool",
                "less_equals_int64",
                "less_equals_int64_double",
                "less_equals_int64_uint64",
                "less_equals_uint64",
                "less_equals_uint64_double",
                "less_equals_uint64_int64",
                "less_equals_double",
                "less_equals_double_int64",
                "less_equals_double_uint64",
                "less_equals_string",
                "less_equals_bytes",
                "less_equals_timestamp",
                "less_equals_duration",
            ],
        ),
        ordering(
            operators::GREATER,
            [
                "greater_bool",
                "greater_int64",
                "greater_int64_double",
                "greater_int64_uint64",
                "greater_uint64",
                "greater_uint64_double",
                "greater_uint64_int64",
                "greater_double",
                "greater_double_int64",
                "greater_double_uint64",
                "greater_string",
                "greater_bytes",
                "greater_timestamp",
                "greater_duration",
            ],
        ),
        ordering(
            operators::GREATER_EQUALS,
            [
                "greater_equals_bool",
                "greater_equals_int64",
                "greater_equals_int64_double",
                "greater_equals_int64_uint64",
                "greater_equals_uint64",
                "greater_equals_uint64_double",
                "greater_equals_uint64_int64",
                "greater_equals_double",
                "greater_equals_double_int64",
                "greater_equals_double_uint64",
                "greater_equals_string",
                "greater_equals_bytes",
                "greater_equals_timestamp",
                "greater_equals_duration",
            ],
        ),
    ]
}

/// The operand types of each ordering, in the order of the ids above.
const OPERANDS: [(Type, Type); 14] = [
    (Bool, Bool),
    (Int, Int),
    (Int, Double),
    (Int, Uint),
    (Uint, Uint),
    (Uint, Double),
    (Uint, Int),
    (Double, Double),
    (Double, Int),
    (Double, Uint),
    (String, String),
    (Bytes, Bytes),
    (Timestamp, Timestamp),
    (Duration, Duration),
];

fn ordering(name: &'static str, ids: [&'static str; 14]) -> Function {
    let overloads = ids.into_iter().zip(OPERANDS);
    let overloads: Vec<Overload> =
        overloads.map(|(id, (left, right))| global(id, [left, right], Bool)).collect();
    Function { name, overloads }
}
