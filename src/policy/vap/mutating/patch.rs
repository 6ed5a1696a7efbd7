//! The JSON Patch that does what the variables say.

use super::super::expression::text;
use super::pointer;
use crate::policy::mutation::MUTATED_BY;

/// The parents of the fields that are filled in, as paths from the container.
const PARENTS: [&str; 5] = [
    "resources",
    "resources.requests",
    "resources.limits",
    "securityContext",
    "securityContext.capabilities",
];

/// The expression of the mutation.
pub fn expression() -> String {
    let parents: String = PARENTS.iter().map(|it| parent(it) + " + ").collect();
    format!(
        "variables.large[0] || size(variables.added) == 0 ? [] : \
         variables.retagged.map(x, JSONPatch{{op: 'replace', path: {}, value: x.cur}}) + \
         variables.filled.map(x, {parents}x.add.map(y, JSONPatch{{op: 'add', path: {}, value: y.v}})).flatten() + \
         (dyn(object).metadata.?annotations.hasValue() ? [] : \
         [JSONPatch{{op: 'add', path: '/metadata/annotations', value: {{}}}}]) + \
         [JSONPatch{{op: 'add', path: {}, value: variables.mark}}]",
        pointer("x.at"),
        pointer("x.at + y.f"),
        text(&format!("/metadata/annotations/{}", MUTATED_BY.replace('/', "~1"))),
    )
}

/// The operation that adds a parent, if the container `x` lacks it and gets one of its fields.
fn parent(path: &str) -> String {
    format!(
        "(x.add.exists(y, y.f.startsWith('{path}.')) && !x.c.?{}.hasValue() ? \
         [JSONPatch{{op: 'add', path: {}, value: {{}}}}] : [])",
        path.replace('.', ".?"),
        pointer(&format!("x.at + '{path}'"))
    )
}
