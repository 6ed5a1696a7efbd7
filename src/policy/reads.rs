//! What of a pod a verdict was made from, so that two versions of the pod can be told to be the same in its eyes.

use crate::cel::ast::Name;
use crate::cel::reads::{ObjectReads, PathStep};
use crate::cel::tree::Tree;

/// The fields of a pod that something reads.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reads(ObjectReads);

/// What the API server writes into the metadata of any object by itself: who reads all of it did not mean that.
const OF_THE_SERVER: [&str; 2] = ["generation", "resourceVersion"];

impl From<ObjectReads> for Reads {
    fn from(reads: ObjectReads) -> Self {
        Self(reads)
    }
}

impl Reads {
    /// Whether two versions of a pod are the same in all of it. What only the API server and the kubelet write counts only
    /// where it is read by its name.
    pub fn same(&self, old: &Tree<'_>, new: &Tree<'_>) -> bool {
        let same = |old: &Tree<'_>, new: &Tree<'_>| self.0.same(&old.value(), &new.value());
        same(old, new) || !self.names_what_is_the_servers() && same(&written(old), &written(new))
    }

    fn names_what_is_the_servers(&self) -> bool {
        let field = |step: Option<&PathStep>| match step {
            Some(PathStep::Field(name)) => Some(Name::clone(name)),
            _ => None,
        };
        self.0.paths().any(|path| {
            let (root, below) = (field(path.steps.first()), field(path.steps.get(1)));
            root.as_deref() == Some("status")
                || root.as_deref() == Some("metadata")
                    && below.is_some_and(|below| OF_THE_SERVER.contains(&&*below))
        })
    }
}

/// A pod as people write it.
fn written<'a>(pod: &Tree<'a>) -> Tree<'a> {
    let metadata = pod.get("metadata").map(|metadata| {
        OF_THE_SERVER.iter().fold(metadata, |metadata, field| metadata.with(field, None))
    });
    pod.clone().with("metadata", metadata).with("status", None)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::expressions::Expressions;
    use super::*;

    /// What an expression reads.
    fn reads(expression: &str) -> Reads {
        let validations = json!([{"name": "own", "expression": expression, "message": "m"}]);
        let variables = json!([
            {"name": "images", "expression": "object.spec.containers.map(c, c.image)"},
            {"name": "first", "expression": "variables.images[0] + object.metadata.name"},
        ]);
        let (validations, variables) = (
            serde_json::from_value::<Vec<_>>(validations).unwrap(),
            serde_json::from_value::<Vec<_>>(variables).unwrap(),
        );
        let expressions = Expressions::compile(&validations, &variables).unwrap();
        assert!(expressions.reads(1).is_none());
        (**expressions.reads(0).unwrap()).clone()
    }

    fn same(expression: &str, old: &Value, new: &Value) -> bool {
        reads(expression).same(&Tree::of(old).unwrap(), &Tree::of(new).unwrap())
    }

    #[test]
    fn a_pod_is_the_same_where_nothing_differs_that_is_read() {
        let old = json!({
            "metadata": {"name": "web", "labels": {"app": "web"}, "ownerReferences": [{"name": "r"}],
                "resourceVersion": "1", "generation": 1, "managedFields": [1]},
            "spec": {"containers": [{"name": "web", "image": "nginx"}], "priority": 1},
            "status": {"phase": "Running"},
        });
        let mut orphaned = old.clone();
        orphaned["metadata"] = json!({"name": "web", "labels": {"app": "web"}, "resourceVersion": "2", "generation": 2});
        orphaned["status"] = json!({"phase": "Failed"});
        let mut swapped = old.clone();
        swapped["spec"]["containers"][0]["image"] = json!("evil");
        for (expression, new, expected) in [
            ("object.spec.containers.all(c, c.image != '')", &orphaned, true),
            ("object.spec == object.spec && object.metadata.labels.app == 'web'", &orphaned, true),
            ("has(object.spec.hostPID)", &orphaned, true),
            ("variables.first == 'x'", &orphaned, true),
            ("object.metadata.ownerReferences.size() > 0", &orphaned, false),
            ("object.metadata == object.metadata", &orphaned, false),
            ("object == object", &orphaned, false),
            ("object.status.phase == 'Running'", &orphaned, false),
            ("object.metadata.resourceVersion == '1'", &orphaned, false),
            ("object.spec.containers.all(c, c.image != '')", &swapped, false),
            ("variables.first == 'x'", &swapped, false),
            ("object.spec.priority == 1 && object.metadata.name == 'web'", &swapped, true),
            ("object == object", &swapped, false),
            ("true", &swapped, true),
        ] {
            assert_eq!(same(expression, &old, new), expected, "{expression}");
        }
        let mut written = old.clone();
        written["metadata"]["managedFields"] = json!([2]);
        written["metadata"]["resourceVersion"] = json!("2");
        written["status"] = json!(null);
        for expression in ["object == object", "object.metadata == object.metadata"] {
            assert!(same(expression, &old, &written), "{expression}");
        }
    }
}
