//! The functions of optional values (`cel/library.go` of cel-go), and the function that builds the maps of two-variable
//! macros (`ext/comprehensions.go`).

use super::super::declarations::{FunctionLibrary, function, global, member};
use super::super::operators;
use super::super::types::Type::{self, Bool, Dyn, Int, Param, String};

const K: Type = Param("K");
const V: Type = Param("V");

pub(super) fn library() -> FunctionLibrary {
    let optional = || Type::optional(V);
    let list = || Type::list(V);
    let map = || Type::map(K, V);
    let functions = vec![
        function("optional.of", [global("optional_of", [V], optional())]),
        function("optional.ofNonZeroValue", [global("optional_ofNonZeroValue", [V], optional())]),
        function("optional.none", [global("optional_none", [], optional())]),
        function("value", [member("optional_value", [optional()], V)]),
        function("hasValue", [member("optional_hasValue", [optional()], Bool)]),
        function("or", [member("optional_or_optional", [optional(), optional()], optional())]),
        function("orValue", [member("optional_orValue_value", [optional(), V], V)]),
        function(
            operators::OPT_SELECT,
            [global("select_optional_field", [Dyn, String], optional())],
        ),
        function(
            operators::OPT_INDEX,
            [
                global("list_optindex_optional_int", [list(), Int], optional()),
                global(
                    "optional_list_optindex_optional_int",
                    [Type::optional(list()), Int],
                    optional(),
                ),
                global("map_optindex_optional_value", [map(), K], optional()),
                global(
                    "optional_map_optindex_optional_value",
                    [Type::optional(map()), K],
                    optional(),
                ),
            ],
        ),
        function(
            operators::INDEX,
            [
                global("optional_list_index_int", [Type::optional(list()), Int], optional()),
                global("optional_map_index_value", [Type::optional(map()), K], optional()),
            ],
        ),
        function("last", [member("list_last", [list()], optional())]),
        function("first", [member("list_first", [list()], optional())]),
        function("optional.unwrap", [global("optional_unwrap", [Type::list(optional())], list())]),
        function("unwrapOpt", [member("optional_unwrapOpt", [Type::list(optional())], list())]),
    ];
    FunctionLibrary { name: "optional values", functions }
}

pub(super) fn two_variables() -> FunctionLibrary {
    let map = || Type::map(K, V);
    let insert = function(
        operators::MAP_INSERT,
        [
            global("@mapInsert_map_key_value", [map(), K, V], map()),
            global("@mapInsert_map_map", [map(), map()], map()),
        ],
    );
    FunctionLibrary { name: "macros with two variables", functions: vec![insert] }
}
