//! Says in a policy's status that its newest version cannot be put in force: the conditions `Stalled` and `Ready`, as
//! kstatus reads them, by server-side apply.
//!
//! Every replica that sees such a policy says so, and they say the same; each says a thing once, so that replicas of
//! two versions that disagree do not write against each other for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tokio::task::{AbortHandle, JoinSet};

use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy, DevOpsPolicyStatus};
use crate::policy::text::cut;

const FIELD_MANAGER: &str = "podgate";
const STALLED: &str = "Stalled";
/// The reason of both conditions.
const INVALID_SPEC: &str = "InvalidSpec";
/// The longest message that the API takes (`metav1.Condition`).
const MAX_MESSAGE: usize = 32 * 1024;
/// How often a write is tried, and how long it waits in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// Which of the two kinds a policy is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum PolicyKind {
    Own,
    Cluster,
}

/// What a policy's status should say and does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Note {
    kind: PolicyKind,
    namespace: Option<String>,
    name: String,
    generation: Option<i64>,
    /// Why it cannot be put in force; `None` where it can be again.
    fault: Option<String>,
}

impl Note {
    /// `None` where the status says it already.
    pub fn of(
        kind: PolicyKind,
        metadata: &ObjectMeta,
        status: Option<&DevOpsPolicyStatus>,
        fault: Option<&String>,
    ) -> Option<Self> {
        let conditions = status.map(|status| &*status.conditions).unwrap_or_default();
        let said = conditions.iter().find(|it| it.type_ == STALLED && it.status == "True");
        let said = said.filter(|it| it.reason == INVALID_SPEC).map(|it| &it.message);
        let fault = fault.map(|fault| cut(fault.clone(), MAX_MESSAGE));
        (said != fault.as_ref()).then(|| Self {
            kind,
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            generation: metadata.generation,
            fault,
        })
    }

    /// The part of the policy that podgate applies.
    fn patch(&self, now: Timestamp) -> Value {
        let condition = |type_: &str, status: &str, message: &String| Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: INVALID_SPEC.to_owned(),
            message: message.clone(),
            observed_generation: self.generation,
            last_transition_time: Time(now),
        };
        let conditions = self.fault.iter().flat_map(|fault| {
            [condition(STALLED, "True", fault), condition("Ready", "False", fault)]
        });
        let resource = self.resource();
        json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "status": {"conditions": conditions.collect::<Vec<_>>()},
        })
    }

    fn resource(&self) -> ApiResource {
        match self.kind {
            PolicyKind::Own => ApiResource::erase::<DevOpsPolicy>(&()),
            PolicyKind::Cluster => ApiResource::erase::<ClusterDevOpsPolicy>(&()),
        }
    }

    async fn write(&self, client: &Client) -> Result<(), kube::Error> {
        let resource = self.resource();
        let client = client.clone();
        let api: Api<DynamicObject> = match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(self.patch(Timestamp::now()));
        match api.patch_status(&self.name, &params, &patch).await {
            Ok(_) => Ok(()),
            // It is gone, and its status with it.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A policy: its kind, namespace and name.
type Key = (PolicyKind, Option<String>, String);

/// Writes notes in the background, each once; what is not yet written ends with this value.
pub(super) struct Stalled {
    client: Client,
    /// The newest note of each policy, and what writes it.
    said: BTreeMap<Key, (Note, AbortHandle)>,
    writes: JoinSet<()>,
}

impl Stalled {
    pub fn new(client: Client) -> Self {
        Self { client, said: BTreeMap::new(), writes: JoinSet::new() }
    }

    /// Starts to write what has not been said yet.
    pub fn tell(&mut self, notes: Vec<Note>) {
        while self.writes.try_join_next().is_some() {}
        for note in notes {
            let key = (note.kind, note.namespace.clone(), note.name.clone());
            if let Some((said, writing)) = self.said.get(&key) {
                if *said == note {
                    continue;
                }
                // What is older must not be written later.
                writing.abort();
            }
            let writing = self.writes.spawn(write(self.client.clone(), note.clone()));
            self.said.insert(key, (note, writing));
        }
    }
}

async fn write(client: Client, note: Note) {
    let Note { namespace, name, .. } = &note;
    for _ in 0..TRIES {
        match note.write(&client).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(namespace, name, %error, "could not write the policy's status");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(status: &Value, fault: Option<&str>) -> Option<Note> {
        let metadata = ObjectMeta {
            name: Some("baseline".to_owned()),
            namespace: Some("shop".to_owned()),
            generation: Some(3),
            ..ObjectMeta::default()
        };
        let status: DevOpsPolicyStatus = serde_json::from_value(status.clone()).unwrap();
        let fault = fault.map(str::to_owned);
        Note::of(PolicyKind::Own, &metadata, Some(&status), fault.as_ref())
    }

    #[test]
    fn a_fault_is_said_by_two_conditions_and_taken_back_with_them() {
        let applied = |note: &Note| note.patch(Timestamp::UNIX_EPOCH)["status"].clone();
        let stalled = applied(&note(&json!({}), Some("spec.x: bad")).unwrap());
        let told = |index: usize| {
            let it = &stalled["conditions"][index];
            [&it["type"], &it["status"], &it["reason"], &it["message"]]
                .map(|it| it.as_str().unwrap())
        };
        assert_eq!(told(0), ["Stalled", "True", "InvalidSpec", "spec.x: bad"]);
        assert_eq!(told(1), ["Ready", "False", "InvalidSpec", "spec.x: bad"]);
        assert_eq!(stalled["conditions"][0]["observedGeneration"], 3);
        let healed = applied(&note(&stalled, None).unwrap());
        assert_eq!(healed, json!({"conditions": []}));
    }

    #[test]
    fn nothing_is_written_where_the_status_says_it_already() {
        assert_eq!(note(&json!({}), None), None);
        let stalled = note(&json!({}), Some("bad")).unwrap();
        let status = stalled.patch(Timestamp::UNIX_EPOCH)["status"].clone();
        assert_eq!(note(&status, Some("bad")), None);
        assert!(note(&status, Some("worse")).is_some());
        let of_others = json!({"conditions": [{
            "type": "Stalled", "status": "True", "reason": "Other", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        assert_eq!(note(&of_others, None), None);
    }
}
