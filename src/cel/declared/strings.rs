//! Strings: `ext/strings.go` version 2, and Kubernetes' `pkg/cel/library/regex.go`.

use super::super::declarations::{FunctionLibrary, function, global, member};
use super::super::types::Type::{self, Dyn, Int, String};

pub(super) fn regular_expressions() -> FunctionLibrary {
    let functions = vec![
        function("find", [member("string_find_string", [String, String], String)]),
        function(
            "findAll",
            [
                member("string_find_all_string", [String, String], Type::list(String)),
                member("string_find_all_string_int", [String, String, Int], Type::list(String)),
            ],
        ),
    ];
    FunctionLibrary { name: "regular expressions", functions }
}

pub(super) fn strings() -> FunctionLibrary {
    let functions = vec![
        function("charAt", [member("string_char_at_int", [String, Int], String)]),
        function(
            "indexOf",
            [
                member("string_index_of_string", [String, String], Int),
                member("string_index_of_string_int", [String, String, Int], Int),
            ],
        ),
        function(
            "join",
            [
                member("list_join", [Type::list(String)], String),
                member("list_join_string", [Type::list(String), String], String),
            ],
        ),
        function(
            "lastIndexOf",
            [
                member("string_last_index_of_string", [String, String], Int),
                member("string_last_index_of_string_int", [String, String, Int], Int),
            ],
        ),
        function("lowerAscii", [member("string_lower_ascii", [String], String)]),
        function(
            "replace",
            [
                member("string_replace_string_string", [String, String, String], String),
                member("string_replace_string_string_int", [String, String, String, Int], String),
            ],
        ),
        function(
            "split",
            [
                member("string_split_string", [String, String], Type::list(String)),
                member("string_split_string_int", [String, String, Int], Type::list(String)),
            ],
        ),
        function(
            "substring",
            [
                member("string_substring_int", [String, Int], String),
                member("string_substring_int_int", [String, Int, Int], String),
            ],
        ),
        function("trim", [member("string_trim", [String], String)]),
        function("upperAscii", [member("string_upper_ascii", [String], String)]),
        function("format", [member("string_format", [String, Type::list(Dyn)], String)]),
        function("strings.quote", [global("strings_quote", [String], String)]),
    ];
    FunctionLibrary { name: "strings", functions }
}
