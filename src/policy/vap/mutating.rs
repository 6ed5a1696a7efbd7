//! Mutation by the API server: `MutatingAdmissionPolicy` objects with their bindings, which add to pods what podgate's
//! webhook adds. They need Kubernetes 1.36.
//!
//! One mutation of an object does it all, as one patch of the webhook does. Of what is [`added`], [`images`] replaces
//! tags, [`fill`] fills in absent fields, policy by policy, and [`mark`] writes the annotation that lists them; [`patch`]
//! makes the JSON Patch.
//! An expression that fails changes nothing (`failurePolicy: Ignore`), and what judges the pod sees it as it is.

mod added;
mod covers;
mod fill;
mod images;
mod mark;
mod patch;
pub mod template;

use serde_json::{Value, json};

use super::exempt::MANAGER_STAMPS;
use super::groups::Group;
use super::objects::{API_VERSION, is_no_mirror, managed};
use super::options::Options;
use super::pods::{Variable, variable};

/// The oldest Kubernetes whose API server takes the objects.
pub const OLDEST_KUBERNETES: &str = "1.36";

/// A `MutatingAdmissionPolicy` and its binding, which have the same name.
pub struct MutatingPolicy {
    pub policy: Value,
    pub binding: Value,
}

/// Compiles what the policies of a group of [`super::groups::mutating_groups`] add; `None` if it is nothing.
pub fn compile(group: &Group<'_>, options: &Options<'_>) -> Option<MutatingPolicy> {
    let variables: Vec<_> = added::variables(&group.mutating, stamps())?
        .into_iter()
        .map(|Variable { name, expression }| json!({"name": name, "expression": expression}))
        .collect();
    let name = format!("{}-{}-mutate{}", options.prefix, group.name, options.suffix);
    let policy = json!({
        "apiVersion": API_VERSION,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": name, "labels": managed()},
        "spec": {
            // As the webhook, it never denies.
            "failurePolicy": "Ignore",
            // A webhook that is called later may add a container.
            "reinvocationPolicy": "IfNeeded",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": group.namespaces,
                "resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                    "scope": "Namespaced",
                }],
            },
            "matchConditions": [{"name": "not-a-mirror-pod", "expression": is_no_mirror()}],
            "variables": variables,
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch::expression()}}],
        },
    });
    let binding = json!({
        "apiVersion": API_VERSION,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": managed()},
        "spec": {"policyName": name},
    });
    Some(MutatingPolicy { policy, binding })
}

/// The time of the write. The API server stamps the creation only after mutation, but the manager of the fields before.
fn stamps() -> Variable {
    variable("stamps", MANAGER_STAMPS)
}

/// The JSON Pointer of a path of fields.
fn pointer(path: &str) -> String {
    format!("'/' + ({path}).replace('[', '/').replace(']', '').replace('.', '/')")
}
