//! A Pod and its Namespace as CEL reads them. Decoding a document costs more than decoding the view
//! ([`super::object`]), so callers make one only where a policy has validations (`EvaluationPlan::reads_documents`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::reads::Reads;
use super::workload::Kind;
use crate::cel::meter::Allowance;
use crate::cel::reads::PathStep;
use crate::cel::tree::Tree;
use crate::cel::wanted::Wanted;

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
        let pod = kind.template_path().try_fold(object, |within, field| within.get(field));
        let pod = pod.filter(Tree::is_object).unwrap_or_else(Tree::empty);
        let metadata = match (pod.get("metadata"), name(&namespace).or(own_namespace)) {
            (None, known) => Some(Tree::empty().with([("namespace", known)])),
            (Some(metadata), Some(known)) if metadata.is_object() => {
                Some(metadata.with([("namespace", Some(known))]))
            }
            (metadata, _) => metadata,
        };
        let (version, kind) = (Tree::text("v1"), Tree::text("Pod"));
        let of_pod = [("apiVersion", Some(version)), ("kind", Some(kind)), ("metadata", metadata)];
        Self { pod: pod.with(of_pod), namespace, left: Arc::default() }
    }

    /// What [`Document::of`] and expressions that read this need of a pod.
    pub fn wanted<'r>(reads: impl IntoIterator<Item = &'r Arc<Reads>>) -> Wanted {
        let mut wanted = Wanted::default();
        let own_namespace = ["metadata", "namespace"].map(|it| PathStep::Field(it.into()));
        wanted.add(&own_namespace);
        reads.into_iter().for_each(|it| wanted.add_all(it.of_object()));
        wanted
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

    /// The Namespace that expressions read: its name, empty if it is not known, and its labels and annotations as far as
    /// they are known. Fields that podgate does not store are unknown.
    pub fn namespace(
        name: &'a str,
        labels: Option<&'a BTreeMap<String, String>>,
        annotations: Option<&'a BTreeMap<String, String>>,
    ) -> Tree<'a> {
        let unknown = Tree::unknown();
        let fields_unknown =
            |fields: &'static [&'static str]| fields.iter().map(|field| (*field, unknown.clone()));
        let text = |(key, value): (&'a String, &'a String)| (key.as_str(), Tree::text(value));
        let maps = [("labels", labels), ("annotations", annotations)].into_iter();
        // The API server omits empty maps.
        let known = maps.filter_map(|(field, map)| Some((field, map.filter(|it| !it.is_empty())?)));
        let known = known.map(|(field, map)| (field, Tree::object(map.iter().map(text))));
        let metadata = [("name", Tree::text(name))].into_iter().chain(known);
        let metadata = Tree::object(metadata.chain(fields_unknown(&UNKNOWN_OF_METADATA)));
        Tree::object(
            [("metadata", metadata)].into_iter().chain(fields_unknown(&UNKNOWN_OF_NAMESPACE)),
        )
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
    use serde_json::{Value, json};

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
        let namespace = Document::namespace("shop", None, None);
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
