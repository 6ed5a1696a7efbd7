//! The pod that a workload's controller would make now, and how many pods it wants.
//!
//! The audit and `podgate analyze` judge it where a workload has no pod: a workload that is scaled down, suspended,
//! between runs, or refused is judged by what it would run.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::workload::Kind;

/// The kinds of workloads whose controllers make pods.
pub const MAKERS: [Kind; 7] = [
    Kind::Deployment,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::ReplicaSet,
    Kind::ReplicationController,
    Kind::Job,
    Kind::CronJob,
];

/// The hash in the names and labels of pods that a Deployment would make.
const HASH: &str = "0";

/// A workload, as its controller sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MadePod {
    /// The pod as JSON, with the metadata and owner that its controller would give it. By its owner it belongs to this
    /// workload ([`super::owner`]), but for that of a CronJob, which belongs to the run `NAME-0`.
    pub json: String,
    /// The number of pods that the workload wants. A CronJob that is not suspended wants one: that of its next run.
    pub wanted: u32,
    /// The number of its pods of the present template, by its status; 0 for a CronJob, whose status does not count
    /// them.
    pub running: u32,
    /// When the workload was created, in seconds since the epoch.
    pub created: i64,
}

/// The fields of a workload that decide.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Workload {
    metadata: Metadata,
    spec: Value,
    status: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    resource_version: String,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<IgnoredAny>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Owner {
    controller: Option<bool>,
}

/// Reads a workload; `None` if it makes no pod of its own: a ReplicaSet, `ReplicationController` or Job that something
/// controls, and a Job that has finished.
///
/// # Errors
/// The JSON is not that of a workload.
pub fn made_pod(kind: Kind, json: &str) -> Result<Option<MadePod>, serde_json::Error> {
    Workload::from_json(json)?.made_pod(kind)
}

impl Workload {
    /// # Errors
    /// The JSON is not that of a workload.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Whether another object controls it.
    pub fn is_controlled(&self) -> bool {
        let mut owners = self.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.controller == Some(true))
    }

    pub fn namespace(&self) -> &str {
        &self.metadata.namespace
    }

    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    pub fn resource_version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// Drops what nobody needs of a workload that makes no pod of its own: something controls it, and it has none of
    /// the fields that the API server sets in all other kinds. A cluster has many of them.
    pub fn drop_controlled(&mut self) {
        let own = ["strategy", "updateStrategy", "jobTemplate"];
        if self.is_controlled() && own.iter().all(|field| self.spec.get(field).is_none()) {
            (self.spec, self.status) = (Value::Null, Value::Null);
        }
    }

    /// The pod of a workload of this kind; see [`made_pod`].
    ///
    /// # Errors
    /// The metadata of its template cannot be written as JSON.
    pub fn made_pod(self, kind: Kind) -> Result<Option<MadePod>, serde_json::Error> {
        if self.is_controlled()
            && matches!(kind, Kind::ReplicaSet | Kind::ReplicationController | Kind::Job)
        {
            return Ok(None);
        }
        if kind == Kind::Job && has_finished(&self.status) {
            return Ok(None);
        }
        let (mut wanted, running) = pods(kind, &self.spec, &self.status);
        if self.metadata.deletion_timestamp.is_some() {
            wanted = 0;
        }
        let created = self.metadata.creation_timestamp.unwrap_or_default().as_second();
        Ok(self.made_again(kind)?.map(|json| MadePod { json, wanted, running, created }))
    }

    /// The pod, as JSON, that the controller of this very object would make in place of one of its pods, whatever
    /// controls the object: during a rollout the old ReplicaSet still makes pods of its own template. `None` if it has
    /// no template.
    ///
    /// # Errors
    /// The metadata of its template cannot be written as JSON.
    pub fn made_again(self, kind: Kind) -> Result<Option<String>, serde_json::Error> {
        let Self { metadata, mut spec, .. } = self;
        let template = match kind {
            Kind::CronJob => spec.pointer_mut("/jobTemplate/spec/template"),
            _ => spec.get_mut("template"),
        };
        let Some(template) = template.filter(|it| it["spec"].is_object()) else { return Ok(None) };
        let pod = match template["metadata"].take() {
            Value::Object(pod) => pod,
            _ => Map::new(),
        };
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": pod_metadata(kind, &metadata, pod), "spec": template["spec"].take(),
        });
        Ok(Some(serde_json::to_string(&pod)?))
    }
}

/// The name of the pod that [`made_pod`] returns.
pub fn name(kind: Kind, workload: &str) -> String {
    match kind {
        Kind::Deployment => format!("{workload}-{HASH}-0"),
        Kind::CronJob => format!("{workload}-0-0"),
        _ => format!("{workload}-0"),
    }
}

/// The metadata of a pod: the template's, with its name, namespace and owner.
fn pod_metadata(
    kind: Kind,
    workload: &Metadata,
    mut pod: Map<String, Value>,
) -> Map<String, Value> {
    let (owner, name_of_owner) = match kind {
        Kind::Deployment => (Kind::ReplicaSet, format!("{}-{HASH}", workload.name)),
        Kind::CronJob => (Kind::Job, format!("{}-0", workload.name)),
        _ => (kind, workload.name.clone()),
    };
    if kind == Kind::Deployment {
        let labels = pod.entry("labels").or_insert(Value::Null);
        if !labels.is_object() {
            *labels = json!({});
        }
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("pod-template-hash".to_owned(), json!(HASH));
        }
    }
    let names = owner.names();
    let owner = json!({
        "apiVersion": names.api_version(), "kind": names.kind, "name": name_of_owner, "controller": true,
    });
    pod.insert("name".to_owned(), json!(name(kind, &workload.name)));
    pod.insert("namespace".to_owned(), json!(workload.namespace));
    pod.insert("ownerReferences".to_owned(), json!([owner]));
    pod
}

/// The number of pods that a workload wants, and the number that it has.
fn pods(kind: Kind, spec: &Value, status: &Value) -> (u32, u32) {
    let number = |of: &Value, field: &str| {
        of.get(field).and_then(Value::as_u64).map(|it| u32::try_from(it).unwrap_or(u32::MAX))
    };
    let status_of = |field: &str| number(status, field).unwrap_or(0);
    let is = |field: &str| spec.get(field).and_then(Value::as_bool) == Some(true);
    let replicas = (number(spec, "replicas").unwrap_or(1), status_of("replicas"));
    match kind {
        // A rollout that is refused keeps the pods of the old template.
        Kind::Deployment if !is("paused") => {
            (replicas.0, replicas.1.min(status_of("updatedReplicas")))
        }
        Kind::DaemonSet => {
            (status_of("desiredNumberScheduled"), status_of("currentNumberScheduled"))
        }
        Kind::Job | Kind::CronJob if is("suspend") => (0, 0),
        Kind::Job => {
            let (active, succeeded) = (status_of("active"), status_of("succeeded"));
            let left = match number(spec, "completions") {
                Some(completions) => completions.saturating_sub(succeeded),
                // A work queue: once a pod has succeeded, no new ones are made.
                None if succeeded > 0 => active,
                None => u32::MAX,
            };
            (number(spec, "parallelism").unwrap_or(1).min(left), active)
        }
        Kind::CronJob => (1, 0),
        _ => replicas,
    }
}

fn has_finished(job: &Value) -> bool {
    let mut conditions = job.get("conditions").and_then(Value::as_array).into_iter().flatten();
    conditions
        .any(|it| it["status"] == "True" && (it["type"] == "Complete" || it["type"] == "Failed"))
}

#[cfg(test)]
mod tests {
    use super::super::object::Object;
    use super::super::owner;
    use super::super::subject::Subject;
    use super::*;

    fn workload(spec: &Value, status: &Value) -> Value {
        json!({"metadata": {"name": "cart", "namespace": "shop"}, "spec": spec, "status": status})
    }

    fn template() -> Value {
        json!({"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [{"name": "web"}]}})
    }

    fn counts(kind: Kind, mut spec: Value, status: &Value) -> (u32, u32) {
        match kind {
            Kind::CronJob => spec["jobTemplate"] = json!({"spec": {"template": template()}}),
            _ => spec["template"] = template(),
        }
        let made = made_pod(kind, &workload(&spec, status).to_string()).unwrap().unwrap();
        (made.wanted, made.running)
    }

    #[test]
    fn the_pod_belongs_to_its_workload_and_its_name_is_known() {
        for kind in MAKERS {
            let spec =
                json!({"template": template(), "jobTemplate": {"spec": {"template": template()}}});
            let made = made_pod(kind, &workload(&spec, &json!({})).to_string()).unwrap().unwrap();
            let object: Object = serde_json::from_str(&made.json).unwrap();
            let subject = Subject::of(Kind::Pod, &object).unwrap();
            let owner = owner::workload(&subject);
            let expected = match kind {
                Kind::CronJob => ("Job", "cart-0"),
                _ => (kind.names().kind, "cart"),
            };
            assert_eq!((&*owner.kind, &*owner.name), expected);
            assert_eq!(&*subject.metadata.unwrap().name, name(kind, "cart"));
            assert_eq!(subject.namespace, Some("shop"));
            if kind == Kind::CronJob {
                assert!(
                    owner::object_names(&subject)
                        .any(|it| it.kind == "CronJob" && it.name == "cart")
                );
            }
        }
    }

    #[test]
    fn a_workload_lacks_the_pods_that_its_controller_would_make() {
        for (kind, spec, status, expected) in [
            (Kind::Deployment, json!({}), json!({}), (1, 0)),
            (
                Kind::Deployment,
                json!({"replicas": 4}),
                json!({"replicas": 4, "updatedReplicas": 4}),
                (4, 4),
            ),
            // The rollout does not get on.
            (Kind::Deployment, json!({"replicas": 4}), json!({"replicas": 4}), (4, 0)),
            (
                Kind::Deployment,
                json!({"replicas": 4, "paused": true}),
                json!({"replicas": 4}),
                (4, 4),
            ),
            (Kind::Deployment, json!({"replicas": 0}), json!({}), (0, 0)),
            (Kind::StatefulSet, json!({"replicas": 3}), json!({"replicas": 1}), (3, 1)),
            (Kind::ReplicaSet, json!({"replicas": 3}), json!({"replicas": 3}), (3, 3)),
            (Kind::ReplicationController, json!({"replicas": 2}), json!({"replicas": 0}), (2, 0)),
            (
                Kind::DaemonSet,
                json!({}),
                json!({"desiredNumberScheduled": 5, "currentNumberScheduled": 2}),
                (5, 2),
            ),
            (Kind::DaemonSet, json!({}), json!({}), (0, 0)),
            (Kind::Job, json!({}), json!({}), (1, 0)),
            (
                Kind::Job,
                json!({"parallelism": 3, "completions": 5}),
                json!({"succeeded": 4, "active": 1}),
                (1, 1),
            ),
            (Kind::Job, json!({"parallelism": 3}), json!({"succeeded": 1, "active": 2}), (2, 2)),
            (Kind::Job, json!({"suspend": true}), json!({}), (0, 0)),
            (Kind::CronJob, json!({}), json!({"active": [{"name": "cart-1"}]}), (1, 0)),
            (Kind::CronJob, json!({"suspend": true}), json!({}), (0, 0)),
        ] {
            assert_eq!(counts(kind, spec.clone(), &status), expected, "{kind:?} {spec} {status}");
        }
        let mut deleted = workload(&json!({"replicas": 2, "template": template()}), &json!({}));
        deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let made = made_pod(Kind::Deployment, &deleted.to_string()).unwrap().unwrap();
        assert_eq!((made.wanted, made.running), (0, 0));
    }

    #[test]
    fn what_another_workload_controls_or_what_has_finished_makes_no_pod_of_its_own() {
        let made = |kind, object: &Value| made_pod(kind, &object.to_string()).unwrap();
        let mut owned = workload(&json!({"template": template()}), &json!({}));
        owned["metadata"]["ownerReferences"] =
            json!([{"kind": "X", "name": "x", "controller": true}]);
        for kind in [Kind::ReplicaSet, Kind::ReplicationController, Kind::Job] {
            assert!(made(kind, &owned).is_none(), "{kind:?}");
        }
        let again = Workload::from_json(&owned.to_string()).unwrap();
        let again = again.made_again(Kind::ReplicaSet).unwrap().unwrap();
        assert!(again.contains(r#""name":"cart-0""#), "it makes its own pods again: {again}");
        // An operator's StatefulSet is the workload of its pods.
        assert!(made(Kind::StatefulSet, &owned).is_some());
        let done = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        let done = workload(&json!({"template": template()}), &done);
        assert!(made(Kind::Job, &done).is_none());
        assert!(made(Kind::Deployment, &workload(&json!({}), &json!({}))).is_none());
    }

    #[test]
    fn odd_workloads_make_no_pod_and_never_panic() {
        for odd in ["null", "[]", "{", r#"{"spec": 1}"#, r#"{"spec": {"replicas": -1}}"#] {
            for kind in MAKERS {
                assert!(!matches!(made_pod(kind, odd), Ok(Some(_))), "{odd}");
            }
        }
        let labels = json!({"metadata": {"labels": 1}, "spec": {"containers": []}});
        let odd = workload(&json!({"template": labels}), &json!({}));
        assert!(made_pod(Kind::Deployment, &odd.to_string()).unwrap().is_some());
    }
}
