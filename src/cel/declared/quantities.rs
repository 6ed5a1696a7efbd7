//! Quantities, semantic versions and named formats: Kubernetes' `pkg/cel/library/{quantity,semverlib,format}.go`.

use super::super::declarations::{FunctionLibrary, function, global, member};
use super::super::types::{
    NAMED_FORMAT, QUANTITY, SEMVER,
    Type::{self, Bool, Double, Int, String},
};

fn quantity() -> Type {
    Type::object(QUANTITY)
}

fn semver() -> Type {
    Type::object(SEMVER)
}

fn format() -> Type {
    Type::object(NAMED_FORMAT)
}

pub(super) fn quantities() -> FunctionLibrary {
    let functions = vec![
        function("quantity", [global("string_to_quantity", [String], quantity())]),
        function("isQuantity", [global("is_quantity_string", [String], Bool)]),
        function("sign", [global("quantity_sign", [quantity()], Int)]),
        function(
            "isGreaterThan",
            [member("quantity_is_greater_than", [quantity(), quantity()], Bool)],
        ),
        function("isLessThan", [member("quantity_is_less_than", [quantity(), quantity()], Bool)]),
        function("compareTo", [member("quantity_compare_to", [quantity(), quantity()], Int)]),
        function("asApproximateFloat", [member("quantity_get_float", [quantity()], Double)]),
        function("asInteger", [member("quantity_get_int", [quantity()], Int)]),
        function("isInteger", [member("quantity_is_integer", [quantity()], Bool)]),
        function(
            "add",
            [
                member("quantity_add", [quantity(), quantity()], quantity()),
                member("quantity_add_int", [quantity(), Int], quantity()),
            ],
        ),
        function(
            "sub",
            [
                member("quantity_sub", [quantity(), quantity()], quantity()),
                member("quantity_sub_int", [quantity(), Int], quantity()),
            ],
        ),
    ];
    FunctionLibrary { name: "quantities", functions }
}

pub(super) fn formats() -> FunctionLibrary {
    let functions = vec![
        function(
            "validate",
            [member("format-validate", [format(), String], Type::optional(Type::list(String)))],
        ),
        function("format.named", [global("format-named", [String], Type::optional(format()))]),
        function("format.byte", [global("format.byte", [], format())]),
        function("format.date", [global("format.date", [], format())]),
        function("format.datetime", [global("format.datetime", [], format())]),
        function("format.dns1035Label", [global("format.dns1035Label", [], format())]),
        function("format.dns1035LabelPrefix", [global("format.dns1035LabelPrefix", [], format())]),
        function("format.dns1123Label", [global("format.dns1123Label", [], format())]),
        function("format.dns1123LabelPrefix", [global("format.dns1123LabelPrefix", [], format())]),
        function("format.dns1123Subdomain", [global("format.dns1123Subdomain", [], format())]),
        function(
            "format.dns1123SubdomainPrefix",
            [global("format.dns1123SubdomainPrefix", [], format())],
        ),
        function("format.labelValue", [global("format.labelValue", [], format())]),
        function("format.qualifiedName", [global("format.qualifiedName", [], format())]),
        function("format.uri", [global("format.uri", [], format())]),
        function("format.uuid", [global("format.uuid", [], format())]),
    ];
    FunctionLibrary { name: "named formats", functions }
}

pub(super) fn versions() -> FunctionLibrary {
    let functions = vec![
        function(
            "semver",
            [
                global("string_to_semver", [String], semver()),
                global("string_bool_to_semver", [String, Bool], semver()),
            ],
        ),
        function(
            "isSemver",
            [
                global("is_semver_string", [String], Bool),
                global("is_semver_string_bool", [String, Bool], Bool),
            ],
        ),
        function("isGreaterThan", [member("semver_is_greater_than", [semver(), semver()], Bool)]),
        function("isLessThan", [member("semver_is_less_than", [semver(), semver()], Bool)]),
        function("compareTo", [member("semver_compare_to", [semver(), semver()], Int)]),
        function("major", [member("semver_major", [semver()], Int)]),
        function("minor", [member("semver_minor", [semver()], Int)]),
        function("patch", [member("semver_patch", [semver()], Int)]),
    ];
    FunctionLibrary { name: "semantic versions", functions }
}
