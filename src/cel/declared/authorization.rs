//! The functions of `authorizer` (`pkg/cel/library/authz.go`). podgate has no variable `authorizer`; the functions are
//! declared because Kubernetes accepts calls of them on a `dyn`.

use super::super::declarations::{FunctionLibrary, function, member};
use super::super::types::Type::{self, Bool, String};

pub(super) fn library() -> FunctionLibrary {
    let authorizer = || Type::object("kubernetes.authorization.Authorizer");
    let path = || Type::object("kubernetes.authorization.PathCheck");
    let group = || Type::object("kubernetes.authorization.GroupCheck");
    let resource = || Type::object("kubernetes.authorization.ResourceCheck");
    let decision = || Type::object("kubernetes.authorization.Decision");
    let functions = vec![
        function("path", [member("authorizer_path", [authorizer(), String], path())]),
        function("group", [member("authorizer_group", [authorizer(), String], group())]),
        function(
            "serviceAccount",
            [member("authorizer_serviceaccount", [authorizer(), String, String], authorizer())],
        ),
        function("resource", [member("groupcheck_resource", [group(), String], resource())]),
        function(
            "subresource",
            [member("resourcecheck_subresource", [resource(), String], resource())],
        ),
        function(
            "namespace",
            [member("resourcecheck_namespace", [resource(), String], resource())],
        ),
        function("name", [member("resourcecheck_name", [resource(), String], resource())]),
        function(
            "check",
            [
                member("pathcheck_check", [path(), String], decision()),
                member("resourcecheck_check", [resource(), String], decision()),
            ],
        ),
        function("errored", [member("decision_errored", [decision()], Bool)]),
        function("error", [member("decision_error", [decision()], String)]),
        function("allowed", [member("decision_allowed", [decision()], Bool)]),
        function("reason", [member("decision_reason", [decision()], String)]),
        function(
            "fieldSelector",
            [member("authorizer_fieldselector", [resource(), String], resource())],
        ),
        function(
            "labelSelector",
            [member("authorizer_labelselector", [resource(), String], resource())],
        ),
    ];
    FunctionLibrary { name: AUTHORIZATION, functions }
}

/// The library's name; the documentation leaves this library out.
pub const AUTHORIZATION: &str = "authorization";
