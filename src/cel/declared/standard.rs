//! The language's own functions (`common/stdlib/standard.go`).

use super::super::declarations::{Function, FunctionLibrary, Overload, function, global, member};
use super::super::operators;
use super::super::types::Type::{
    self, Bool, Bytes, Double, Duration, Dyn, Int, Param, String, Timestamp, Uint,
};
use super::{comparison, time};

const A: Type = Param("A");
const B: Type = Param("B");

fn list() -> Type {
    Type::list(A)
}

fn map() -> Type {
    Type::map(A, B)
}

pub(super) fn library() -> FunctionLibrary {
    let mut functions = operators();
    functions.extend(comparison::functions());
    functions.extend(values());
    functions.extend(conversions());
    functions.extend(strings());
    functions.extend(time::functions());
    FunctionLibrary { name: "the language", functions }
}

fn operators() -> Vec<Function> {
    let binary = |id, of: Type| global(id, [of.clone(), of.clone()], of);
    vec![
        function(operators::CONDITIONAL, [global("conditional", [Bool, A, A], A)]),
        function(operators::AND, [binary("logical_and", Bool)]),
        function(operators::OR, [binary("logical_or", Bool)]),
        function(operators::NOT, [global("logical_not", [Bool], Bool)]),
        function(operators::NOT_STRICTLY_FALSE, [global("not_strictly_false", [Bool], Bool)]),
        function(
            operators::ADD,
            [
                binary("add_bytes", Bytes),
                binary("add_double", Double),
                binary("add_duration_duration", Duration),
                global("add_duration_timestamp", [Duration, Timestamp], Timestamp),
                global("add_timestamp_duration", [Timestamp, Duration], Timestamp),
                binary("add_int64", Int),
                binary("add_list", list()),
                binary("add_string", String),
                binary("add_uint64", Uint),
            ],
        ),
        function(
            operators::DIVIDE,
            [
                binary("divide_double", Double),
                binary("divide_int64", Int),
                binary("divide_uint64", Uint),
            ],
        ),
        function(operators::MODULO, [binary("modulo_int64", Int), binary("modulo_uint64", Uint)]),
        function(
            operators::MULTIPLY,
            [
                binary("multiply_double", Double),
                binary("multiply_int64", Int),
                binary("multiply_uint64", Uint),
            ],
        ),
        function(
            operators::NEGATE,
            [global("negate_double", [Double], Double), global("negate_int64", [Int], Int)],
        ),
        function(
            operators::SUBTRACT,
            [
                binary("subtract_double", Double),
                binary("subtract_duration_duration", Duration),
                binary("subtract_int64", Int),
                global("subtract_timestamp_duration", [Timestamp, Duration], Timestamp),
                global("subtract_timestamp_timestamp", [Timestamp, Timestamp], Duration),
                binary("subtract_uint64", Uint),
            ],
        ),
    ]
}

fn values() -> Vec<Function> {
    vec![
        function(
            operators::INDEX,
            [global("index_list", [list(), Int], A), global("index_map", [map(), A], B)],
        ),
        function(
            operators::IN,
            [global("in_list", [A, list()], Bool), global("in_map", [A, map()], Bool)],
        ),
        function(
            "size",
            [
                global("size_bytes", [Bytes], Int),
                member("bytes_size", [Bytes], Int),
                global("size_list", [list()], Int),
                member("list_size", [list()], Int),
                global("size_map", [map()], Int),
                member("map_size", [map()], Int),
                global("size_string", [String], Int),
                member("string_size", [String], Int),
            ],
        ),
        function("type", [global("type", [A], Type::type_of(A))]),
    ]
}

fn conversions() -> Vec<Function> {
    fn to<const N: usize>(
        name: &'static str,
        of: &Type,
        from: [(&'static str, Type); N],
    ) -> Function {
        let overloads: [Overload; N] = from.map(|(id, from)| global(id, [from], of.clone()));
        function(name, overloads)
    }
    vec![
        to("bool", &Bool, [("bool_to_bool", Bool), ("string_to_bool", String)]),
        to("bytes", &Bytes, [("bytes_to_bytes", Bytes), ("string_to_bytes", String)]),
        to(
            "double",
            &Double,
            [
                ("double_to_double", Double),
                ("int64_to_double", Int),
                ("string_to_double", String),
                ("uint64_to_double", Uint),
            ],
        ),
        to(
            "duration",
            &Duration,
            [
                ("duration_to_duration", Duration),
                ("int64_to_duration", Int),
                ("string_to_duration", String),
            ],
        ),
        to("dyn", &Dyn, [("to_dyn", A)]),
        to(
            "int",
            &Int,
            [
                ("int64_to_int64", Int),
                ("double_to_int64", Double),
                ("duration_to_int64", Duration),
                ("string_to_int64", String),
                ("timestamp_to_int64", Timestamp),
                ("uint64_to_int64", Uint),
            ],
        ),
        to(
            "string",
            &String,
            [
                ("string_to_string", String),
                ("bool_to_string", Bool),
                ("bytes_to_string", Bytes),
                ("double_to_string", Double),
                ("duration_to_string", Duration),
                ("int64_to_string", Int),
                ("timestamp_to_string", Timestamp),
                ("uint64_to_string", Uint),
            ],
        ),
        to(
            "timestamp",
            &Timestamp,
            [
                ("timestamp_to_timestamp", Timestamp),
                ("int64_to_timestamp", Int),
                ("string_to_timestamp", String),
            ],
        ),
        to(
            "uint",
            &Uint,
            [
                ("uint64_to_uint64", Uint),
                ("double_to_uint64", Double),
                ("int64_to_uint64", Int),
                ("string_to_uint64", String),
            ],
        ),
    ]
}

fn strings() -> Vec<Function> {
    vec![
        function("contains", [member("contains_string", [String, String], Bool)]),
        function("endsWith", [member("ends_with_string", [String, String], Bool)]),
        function("startsWith", [member("starts_with_string", [String, String], Bool)]),
        function(
            "matches",
            [
                global("matches", [String, String], Bool),
                member("matches_string", [String, String], Bool),
            ],
        ),
    ]
}
