//! The fields of a pod that an expression reads, to compare two versions of the pod in them.

use crate::cel::ast::Name;
use crate::cel::reads::{ObjectReads, PathStep};
use crate::cel::tree::Tree;

/// The fields of a pod that an expression reads.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reads(ObjectReads);

/// Metadata that the API server changes on every write. An expression that reads all of the metadata does not mean
/// these.
pub(super) const SERVER_METADATA: [&str; 2] = ["generation", "resourceVersion"];

impl From<ObjectReads> for Reads {
    fn from(reads: ObjectReads) -> Self {
        Self(reads)
    }
}

impl Reads {
    pub(super) const fn of_object(&self) -> &ObjectReads {
        &self.0
    }

    /// Whether two versions of a pod are equal in all these fields. Fields that only the API server and the kubelet
    /// write are compared only if the expression reads them by name.
    pub fn same(&self, old: &Tree<'_>, new: &Tree<'_>) -> bool {
        let same = |old: &Tree<'_>, new: &Tree<'_>| self.0.same(&old.value(), &new.value());
        same(old, new) || !self.names_server_fields() && same(&written(old), &written(new))
    }

    pub(super) fn names_server_fields(&self) -> bool {
        let field = |step: Option<&PathStep>| match step {
            Some(PathStep::Field(name)) => Some(Name::clone(name)),
            _ => None,
        };
        self.0.paths().any(|path| {
            let (root, below) = (field(path.steps.first()), field(path.steps.get(1)));
            root.as_deref() == Some("status")
                || root.as_deref() == Some("metadata")
                    && below.is_some_and(|below| SERVER_METADATA.contains(&&*below))
        })
    }
}

/// A pod without the fields that only the API server and the kubelet write.
fn written<'a>(pod: &Tree<'a>) -> Tree<'a> {
    let metadata = pod.get("metadata").map(|it| it.with(SERVER_METADATA.map(|it| (it, None))));
    pod.clone().with([("metadata", metadata), ("status", None)])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::expressions::Expressions;
    use super::*;

    /// The fields that an expression reads.
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
