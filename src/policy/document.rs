//! A Pod and its Namespace as CEL reads them. Decoding a document costs more than decoding the view
//! ([`super::object`]), so callers make one only where a policy has validations (`EvaluationPlan::reads_documents`).

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::workload::Kind;
use crate::cel::meter::Allowance;
use crate::cel::tree::Tree;

/// Fields of a Namespace that podgate does not store: an expression that reads one is undecided.
const UNKNOWN_OF_NAMESPACE: [&str; 2] = ["spec", "status"];
/// The same for its metadata.
const UNKNOWN_OF_METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "resourceVersion",
    "uid",
];

/// The inputs of CEL expressions. They are the same at admission, in the audit and in a scan.
#[derive(Debug)]
pub struct Document<'a> {
    /// A Pod: the one under review, or the one that the template would make.
    pub pod: Tree<'a>,
    /// Its Namespace, as far as podgate knows it.
    pub namespace: Tree<'a>,
    /// The remaining cost and memory of the review's expressions.
    left: Arc<Mutex<Allowance>>,
}

impl<'a> Document<'a> {
    /// Extracts the pod, or the pod of the template, from an object. Fields that the object lacks are missing in the
    /// pod too.
    pub fn of(kind: Kind, object: Tree<'a>, namespace: Tree<'a>) -> Self {
        let name = |object: &Tree<'a>| {
            let name = object.get("metadata")?.get("name")?;
            name.as_str().is_some_and(|it| !it.is_empty()).then_some(name)
        };
        let own_namespace = object.get("metadata").and_then(|it| it.get("namespace"));
        let pod = match kind.names().spec_path.strip_suffix(".spec") {
            None => Some(object),
            Some(path) => path.split('.').try_fold(object, |within, field| within.get(field)),
        };
        let pod = pod.filter(Tree::is_object).unwrap_or_else(Tree::empty);
        let metadata = match (pod.get("metadata"), name(&namespace).or(own_namespace)) {
            (None, known) => Some(Tree::empty().with("namespace", known)),
            (Some(metadata), Some(known)) if metadata.is_object() => {
                Some(metadata.with("namespace", Some(known)))
            }
            (metadata, _) => metadata,
        };
        let pod = pod
            .with("apiVersion", Some(Tree::text("v1")))
            .with("kind", Some(Tree::text("Pod")))
            .with("metadata", metadata);
        Self { pod, namespace, left: Arc::default() }
    }

    /// The same document with a limit on the cost of all expressions together, in CEL's units.
    #[must_use]
    pub fn within(self, cost: u64) -> Self {
        self.set_left(Allowance { cost, ..self.left() });
        self
    }

    /// The document of another version of the object, in the same namespace. Both share one allowance.
    #[must_use]
    pub fn beside(&self, kind: Kind, object: Tree<'a>) -> Self {
        let left = Arc::clone(&self.left);
        Self { left, ..Self::of(kind, object, self.namespace.clone()) }
    }

    /// The Namespace that expressions read, from the known part of it. Fields that podgate does not store are unknown.
    pub fn namespace(known: Value) -> Tree<'static> {
        let namespace = Tree::from_value(known).unwrap_or_else(|_| Tree::empty());
        let metadata = namespace.get("metadata").unwrap_or_else(Tree::empty);
        let unknown = |tree: Tree<'static>, fields: &[&'static str]| {
            fields.iter().fold(tree, |tree, field| tree.with(field, Some(Tree::unknown())))
        };
        let metadata = unknown(metadata, &UNKNOWN_OF_METADATA);
        unknown(namespace.with("metadata", Some(metadata)), &UNKNOWN_OF_NAMESPACE)
    }

    /// The remaining cost and memory of expressions.
    pub fn left(&self) -> Allowance {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the remaining allowance after an evaluation.
    pub fn set_left(&self, left: Allowance) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }

    /// Whether an evaluation stopped at the limit of [`Document::within`].
    pub fn was_interrupted(&self) -> bool {
        self.left().cost == 0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(json: &Value) -> Tree<'_> {
        Tree::of(json).unwrap()
    }

    #[test]
    fn a_template_becomes_the_pod_it_would_make_in_its_workloads_namespace() {
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"hostPID": true}});
        let expected = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"labels": {"app": "web"}, "namespace": "shop"},
            "spec": {"hostPID": true},
        });
        let metadata = json!({"name": "web", "namespace": "shop"});
        let deployment = json!({"metadata": metadata, "spec": {"template": template}});
        let document = Document::of(Kind::Deployment, tree(&deployment), Tree::empty());
        assert_eq!(document.pod, tree(&expected));
        let cron_job = json!({"spec": {"jobTemplate": {"spec": {"template": template}}}});
        let namespace = Document::namespace(json!({"metadata": {"name": "shop"}}));
        assert_eq!(Document::of(Kind::CronJob, tree(&cron_job), namespace).pod, tree(&expected));
    }

    #[test]
    fn what_is_missing_stays_missing_and_nothing_panics() {
        for object in [json!(null), json!([]), json!({"spec": 1}), json!({"metadata": 1})] {
            for kind in Kind::ALL {
                let pod = Document::of(kind, tree(&object), Tree::empty()).pod;
                assert_eq!(pod.get("kind").unwrap().as_str(), Some("Pod"));
            }
        }
    }
}
