//! What an expression of a `ValidatingAdmissionPolicy` may name (`pkg/admission/plugin/cel/compile.go` and `composition.go`): `object`,
//! `namespaceObject`, and `variables` with those that were defined before it. What there is of a request is left out.

use std::sync::LazyLock;

use super::declared;
use super::environment::Environment;
use super::types::Type;

/// The type of `variables`.
pub const VARIABLES: &str = "kubernetes.variables";

const NO_REQUEST: &str = "a verdict must not depend on how the object is looked at; use object";
const NO_PARAMS: &str =
    "a policy has no parameters; write the values into the expression, or into a variable";
const NO_AUTHORIZER: &str = "a verdict must not depend on who asks; use object";

/// The environment of a policy's first variable, and of its validations if it has none.
pub fn environment() -> Environment {
    static BASE: LazyLock<Environment> = LazyLock::new(base);
    BASE.clone()
}

/// Adds a variable that was compiled, for those that follow it.
pub fn define(environment: &mut Environment, variable: &str, of: &Type) {
    environment.add_field(VARIABLES, variable, declared_type(of));
}

/// The type that a variable has for the expressions that use it (`convertCelTypeToDeclType`): what only CEL has is `dyn`.
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
