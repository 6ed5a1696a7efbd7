//! A pod as JSON, for rules that read whatever they like. It costs more than the view, so it is made only
//! where a policy has such a rule ([`Plan::reads_documents`]).
//!
//! [`Plan::reads_documents`]: super::policy_set::Plan::reads_documents

use serde_json::{Map, Value};

use super::workload::Kind;

/// What CEL reads: nothing that depends on the door.
#[derive(Debug, Default)]
pub struct Document {
    /// A Pod: the one under review, or the one the template would make.
    pub pod: Value,
    /// `{metadata: {name, labels, annotations}}` of its namespace, as far as it is known.
    pub namespace: Value,
}

impl Document {
    /// Takes the pod, or the pod template, out of an object. What is not there is missing in the pod too.
    pub fn of(kind: Kind, mut object: Value, namespace: Value) -> Self {
        let own_namespace = object.pointer("/metadata/namespace").cloned();
        let mut pod = match kind.names().spec_path.strip_suffix(".spec") {
            None => object,
            Some(path) => {
                let pointer = format!("/{}", path.replace('.', "/"));
                object.pointer_mut(&pointer).map(Value::take).unwrap_or_default()
            }
        };
        if !pod.is_object() {
            pod = Value::Object(Map::new());
        }
        if let Some(fields) = pod.as_object_mut() {
            fields.insert("apiVersion".to_owned(), "v1".into());
            fields.insert("kind".to_owned(), "Pod".into());
            let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
            let named = namespace.pointer("/metadata/name").filter(|name| **name != "");
            let known = named.cloned().or(own_namespace);
            if let (Some(metadata), Some(known)) = (metadata.as_object_mut(), known) {
                metadata.insert("namespace".to_owned(), known);
            }
        }
        Self { pod, namespace }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        assert_eq!(Document::of(Kind::Deployment, deployment, Value::Null).pod, expected);
        let cron_job = json!({"spec": {"jobTemplate": {"spec": {"template": template}}}});
        let namespace = json!({"metadata": {"name": "shop"}});
        assert_eq!(Document::of(Kind::CronJob, cron_job, namespace).pod, expected);
    }

    #[test]
    fn what_is_missing_stays_missing_and_nothing_panics() {
        for object in [json!(null), json!([]), json!({"spec": 1}), json!({"metadata": 1})] {
            for kind in Kind::ALL {
                assert_eq!(Document::of(kind, object.clone(), Value::Null).pod["kind"], "Pod");
            }
        }
    }
}
