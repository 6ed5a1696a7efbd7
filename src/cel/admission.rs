//! The names that an expression of a `ValidatingAdmissionPolicy` may use (`pkg/admission/plugin/cel/compile.go` and
//! `composition.go`): `object`, `namespaceObject`, and `variables` with the variables defined before it. podgate leaves
//! out the variables that depend on the admission request.

use std::sync::LazyLock;

use super::declared;
use super::environment::Environment;
use super::types::Type;

/// The type of `variables`.
pub const VARIABLES: &str = "kubernetes.variables";

const NO_REQUEST: &str = "a verdict must not depend on the request; use object";
const NO_PARAMS: &str =
    "a policy has no parameters; write the values into the expression, or into a variable";
const NO_AUTHORIZER: &str = "a verdict must not depend on the user; use object";

/// The environment of a policy's first variable, or of its validations if the policy has no variables.
pub fn environment() -> Environment {
    static BASE: LazyLock<Environment> = LazyLock::new(base);
    BASE.clone()
}

/// Declares a compiled variable of type `of` for the expressions that follow it.
pub fn define(environment: &mut Environment, variable: &str, of: &Type) {
    environment.add_field(VARIABLES, variable, declared_type(of));
}

/// The type of a variable in the expressions that use it (`convertCelTypeToDeclType`):
/// a type that the schema of a resource cannot declare is `dyn`.
fn declared_type(of: &Type) -> Type {
    match of {
        Type::Any
        | Type::Null
        | Type::Bool
        | Type::Int
        | Type::Uint
        | Type::Double
        | Type::String
        | Type::Bytes
        | Type::Duration
        | Type::Timestamp => of.clone(),
        Type::List(element) => Type::list(declared_type(element)),
        Type::Map(key, value) => Type::map(declared_type(key), declared_type(value)),
        _ => Type::Dyn,
    }
}

fn base() -> Environment {
    let (string, time) = (Type::String, Type::Timestamp);
    let strings = || Type::list(Type::String);
    let labels = || Type::map(Type::String, Type::String);
    Environment::new(declared::libraries())
        .with("object", Type::Dyn)
        .with("namespaceObject", Type::object("kubernetes.Namespace"))
        .with("variables", Type::object(VARIABLES))
        .without("request", NO_REQUEST)
        .without("oldObject", NO_REQUEST)
        .without("params", NO_PARAMS)
        .without("authorizer", NO_AUTHORIZER)
        .with_object(VARIABLES, &[])
        .with_object(
            "kubernetes.Namespace",
            &[
                ("metadata", Type::object("kubernetes.NamespaceMetadata")),
                ("spec", Type::object("kubernetes.NamespaceSpec")),
                ("status", Type::object("kubernetes.NamespaceStatus")),
            ],
        )
        .with_object(
            "kubernetes.NamespaceMetadata",
            &[
                ("name", string.clone()),
                ("generateName", string.clone()),
                ("namespace", string.clone()),
                ("labels", labels()),
                ("annotations", labels()),
                ("UID", string.clone()),
                ("creationTimestamp", time.clone()),
                ("deletionGracePeriodSeconds", Type::Int),
                ("deletionTimestamp", time.clone()),
                ("generation", Type::Int),
                ("resourceVersion", string.clone()),
                ("finalizers", strings()),
            ],
        )
        .with_object("kubernetes.NamespaceSpec", &[("finalizers", strings())])
        .with_object(
            "kubernetes.NamespaceStatus",
            &[
                ("conditions", Type::list(Type::object("kubernetes.NamespaceCondition"))),
                ("phase", string.clone()),
            ],
        )
        .with_object(
            "kubernetes.NamespaceCondition",
            &[
                ("status", string.clone()),
                ("type", string.clone()),
                ("lastTransitionTime", time),
                ("message", string.clone()),
                ("reason", string),
            ],
        )
}
