//! One repair of one workload: each step is one write, and each leaves the workload in a state that whoever comes next can
//! read from it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::plan::{KINDS, Repair};
use super::rollout;
use crate::api::RemediationState;
use crate::leader::claim::{Claim, WriteError};
use crate::policy::observed::WorkloadKey;
use crate::policy::pointer::{at, place};
use crate::policy::record::{
    self, ANNOTATION, IN_FLIGHT, LABEL, PolicyRef, Record, StartedBy, TemplateState,
};
use crate::policy::repaired;
use crate::policy::workload::Kind;

const FIELD_MANAGER: &str = "podgate-remediation";
/// The most `ReplicaSet`s that are asked whose they are. The new pods of one rollout have one; a namespace may have any
/// number with the same labels.
const MAX_REPLICA_SETS: usize = 10;

/// A workload that may be repaired.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Target {
    pub key: WorkloadKey,
    /// One of [`KINDS`].
    pub kind: Kind,
}

impl Target {
    pub fn new(kind: Kind, key: WorkloadKey) -> Self {
        Self { key, kind }
    }

    /// The workload that an object is.
    pub fn of(kind: Kind, object: &Value) -> Self {
        let text = |pointer| at(object, pointer).as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        Self::new(kind, WorkloadKey { namespace, kind: kind.names().kind.to_owned(), name })
    }
}

/// What became of a step.
#[derive(Debug)]
pub enum Stepped {
    /// It was written; this is the record now.
    Done(Record),
    /// The workload was changed meanwhile: look again.
    Changed,
    /// The API server does not admit it; in its words.
    Refused(String),
}

/// Reads and writes workloads. Every write asks the claim.
#[derive(Clone)]
pub struct Transactions {
    pub client: Client,
    pub claim: Claim,
}

/// What a repair is asked for by.
pub struct Order {
    pub policies: Vec<PolicyRef>,
    pub by: StartedBy,
    pub timeout: Duration,
    /// Which try it is.
    pub attempts: u32,
}

impl Transactions {
    /// The objects of a kind, of a namespace or of all.
    pub fn api(&self, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let names = kind.names();
        let gvk = GroupVersionKind::gvk(names.group, names.version, names.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, names.resource);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// The workload as it is; `None` where it is gone.
    pub async fn get(&self, target: &Target) -> Result<Option<Value>, kube::Error> {
        let api = self.api(target.kind, Some(&target.key.namespace));
        let found = api.get_opt(&target.key.name).await?;
        Ok(found.map(|it| json!(it)))
    }

    /// Every workload that carries the label of a repair under way, whoever put it there.
    pub async fn in_flight(&self) -> Result<Vec<(Target, Value)>, kube::Error> {
        let mut found = Vec::new();
        let labelled = ListParams::default().labels(&format!("{LABEL}={IN_FLIGHT}"));
        for kind in KINDS {
            for object in self.api(kind, None).list(&labelled).await? {
                let object = json!(object);
                found.push((Target::of(kind, &object), object));
            }
        }
        Ok(found)
    }

    /// What a repair would make of a template: the API server is asked, and writes nothing.
    pub async fn dry_run(
        &self,
        target: &Target,
        object: &Value,
        repair: &Repair,
    ) -> Result<Result<Value, String>, WriteError> {
        let mut operations = vec![test(&TEMPLATE, at(object, "/spec/template"))];
        operations.extend(repair.operations.iter().cloned());
        match self.patch(target, operations, true).await {
            Ok(after) => Ok(Ok(after)),
            Err(error) => refused(error).map(Err),
        }
    }

    /// Tries the patch, and writes it together with its record.
    pub async fn begin(
        &self,
        target: &Target,
        object: &Value,
        repair: &Repair,
        order: Order,
    ) -> Result<Stepped, WriteError> {
        let after = match self.dry_run(target, object, repair).await? {
            Ok(after) => after,
            // It tells nothing apart from a workload that was changed; the next look does.
            Err(why) => return Ok(Stepped::Refused(why)),
        };
        let now = Timestamp::now();
        let template = at(&after, "/spec/template");
        // Webhooks may change more in the same write, which is theirs and stays.
        let back = match repaired::taken_back(at(object, "/spec/template"), template) {
            Ok(back) => back,
            Err(field) => {
                return Ok(Stepped::Refused(format!(
                    "a webhook changes {field} in the same write, so that the repair could not be taken back; change its template by hand"
                )));
            }
        };
        if back == *template {
            return Ok(Stepped::Refused("the API server leaves the template as it is".to_owned()));
        }
        let record = Record {
            state: RemediationState::RollingOut,
            message: String::new(),
            uid: at(object, "/metadata/uid").as_str().unwrap_or_default().to_owned(),
            by: order.by,
            policies: order.policies,
            rules: repair.rules.iter().map(|it| (*it).to_owned()).collect(),
            began: now,
            deadline: now.checked_add(order.timeout).unwrap_or(Timestamp::MAX),
            attempts: order.attempts,
            before: record::hash(&back),
            after: record::hash(template),
            available: rollout::available(target.kind, object),
            inverse: changes(template, &back),
        };
        let mut operations = vec![test(&TEMPLATE, at(object, "/spec/template"))];
        operations.extend(repair.operations.iter().cloned());
        self.step(target, object, operations, record, true).await
    }

    /// The rollout is over, one way or the other, and the template stays as it is: this is the record from now on.
    pub async fn settle(
        &self,
        target: &Target,
        object: &Value,
        record: Record,
    ) -> Result<Stepped, WriteError> {
        self.step(target, object, vec![test_record(object)], record, false).await
    }

    /// Makes the template what it was before the repair. A record that would take out more than a repair puts in is
    /// refused.
    pub async fn roll_back(
        &self,
        target: &Target,
        object: &Value,
        record: &Record,
        message: String,
    ) -> Result<Stepped, WriteError> {
        if record.template(object) != TemplateState::Repaired {
            return Ok(Stepped::Changed);
        }
        let template = at(object, "/spec/template");
        let back = match record.taken_back(object) {
            Ok(back) => back,
            Err(why) => return Ok(Stepped::Refused(format!("its record is not believed: {why}"))),
        };
        let mut operations = vec![test(&TEMPLATE, template)];
        operations.extend(changes(template, &back));
        let record = Record { state: RemediationState::RolledBack, message, ..record.clone() };
        // It is not over where pods stand in the way: see `clear`.
        self.step(target, object, operations, record, leaves_pods(target.kind)).await
    }

    /// Deletes the pods that a repair which was taken back has left in the way of the old ones: the controller of
    /// `StatefulSet`s waits for a pod to become ready before it replaces it (kubernetes#67250). Says whether none is
    /// left.
    pub async fn clear(
        &self,
        target: &Target,
        object: &Value,
        record: &Record,
    ) -> Result<bool, WriteError> {
        if !leaves_pods(target.kind) {
            return Ok(true);
        }
        let number = |pointer| at(object, pointer).as_i64().unwrap_or(0);
        if number("/status/observedGeneration") < number("/metadata/generation") {
            return Ok(false);
        }
        let revision = at(object, "/status/updateRevision").as_str().unwrap_or_default();
        let mut clear = true;
        for pod in self.pods_since(target, object, record).await? {
            let found = json!(pod);
            let of = at(&found, "/metadata/labels/controller-revision-hash").as_str();
            if of == Some(revision) || rollout::is_ready(&found) {
                continue;
            }
            clear = false;
            let preconditions = Preconditions {
                uid: pod.metadata.uid.clone(),
                resource_version: pod.metadata.resource_version.clone(),
            };
            let params =
                DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            let name = pod.metadata.name.clone().unwrap_or_default();
            let api = self.api(Kind::Pod, Some(&target.key.namespace));
            match self.claim.write(api.delete(&name, &params)).await {
                Ok(_) => {}
                // It is gone, or another by now.
                Err(error) if matches!(error.code(), Some(404 | 409)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(clear)
    }

    /// Somebody else has changed the template: it is theirs again.
    pub async fn forget(&self, target: &Target, object: &Value) -> Result<(), WriteError> {
        let mut operations = vec![test_record(object)];
        operations.extend(marks(object, None, false));
        match self.patch(target, operations, false).await {
            Ok(_) => Ok(()),
            Err(error) => refused(error).map(|_| ()),
        }
    }

    /// What shows in the new pods of a workload that they will not run.
    pub async fn crash(
        &self,
        target: &Target,
        object: &Value,
        record: &Record,
    ) -> Result<Option<String>, kube::Error> {
        let pods = self.pods_since(target, object, record).await?;
        Ok(pods.iter().find_map(|pod| rollout::crash(&json!(pod))))
    }

    /// The workload's own pods that were made since its repair began. They are known by their owner's uid: any pod of
    /// the namespace may carry the same labels.
    async fn pods_since(
        &self,
        target: &Target,
        object: &Value,
        record: &Record,
    ) -> Result<Vec<DynamicObject>, kube::Error> {
        let selector = rollout::selector(object);
        let api = self.api(Kind::Pod, Some(&target.key.namespace));
        let mut pods = api.list(&ListParams::default().labels(&selector)).await?.items;
        pods.retain(|pod: &DynamicObject| {
            let made = pod.metadata.creation_timestamp.as_ref();
            // The API server's time has whole seconds.
            made.is_some_and(|made| made.0.as_second() >= record.began.as_second())
        });
        let uid = at(object, "/metadata/uid").as_str().unwrap_or_default();
        let mut own = BTreeMap::from([(uid.to_owned(), true)]);
        if target.kind == Kind::Deployment {
            for owner in pods.iter().filter_map(|pod| controller(&pod.metadata)) {
                if owner.kind == "ReplicaSet"
                    && !own.contains_key(&owner.uid)
                    && own.len() <= MAX_REPLICA_SETS
                {
                    let api = self.api(Kind::ReplicaSet, Some(&target.key.namespace));
                    let found = api.get_metadata_opt(&owner.name).await?;
                    let is_own = found.is_some_and(|it| {
                        it.metadata.uid.as_deref() == Some(&owner.uid)
                            && controller(&it.metadata).is_some_and(|owner| owner.uid == uid)
                    });
                    own.insert(owner.uid.clone(), is_own);
                }
            }
        }
        pods.retain(|pod| {
            controller(&pod.metadata).is_some_and(|it| own.get(&it.uid) == Some(&true))
        });
        Ok(pods)
    }

    /// Writes operations together with the record.
    async fn step(
        &self,
        target: &Target,
        object: &Value,
        mut operations: Vec<PatchOperation>,
        record: Record,
        in_flight: bool,
    ) -> Result<Stepped, WriteError> {
        let text = match record.text() {
            Ok(text) => text,
            Err(why) => return Ok(Stepped::Refused(format!("its record cannot be kept: {why}"))),
        };
        operations.extend(marks(object, Some(text), in_flight));
        match self.patch(target, operations, false).await {
            Ok(_) => Ok(Stepped::Done(record)),
            // A test that fails, or a workload that is gone.
            Err(error) if matches!(error.code(), Some(404 | 409 | 422)) => Ok(Stepped::Changed),
            Err(error) => refused(error).map(Stepped::Refused),
        }
    }

    async fn patch(
        &self,
        target: &Target,
        operations: Vec<PatchOperation>,
        dry_run: bool,
    ) -> Result<Value, WriteError> {
        let params = PatchParams {
            dry_run,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api(target.kind, Some(&target.key.namespace));
        let patch = Patch::Json::<()>(json_patch::Patch(operations));
        let patched = self.claim.write(api.patch(&target.key.name, &params, &patch)).await?;
        Ok(json!(patched))
    }
}

/// Whether the controller of a kind keeps a pod that never becomes ready.
const fn leaves_pods(kind: Kind) -> bool {
    matches!(kind, Kind::StatefulSet)
}

/// What the API server says of a write that it does not admit; other errors stay errors.
fn refused(error: WriteError) -> Result<String, WriteError> {
    match error {
        WriteError::Api(kube::Error::Api(status)) if (400..429).contains(&status.code) => {
            Ok(status.message)
        }
        error => Err(error),
    }
}

/// The object that controls another.
fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|it| it.controller == Some(true))
}

const TEMPLATE: [&str; 2] = ["spec", "template"];
const VERSION: [&str; 2] = ["metadata", "resourceVersion"];

/// What leads from one pod template to another, by paths from the object's root.
fn changes(from: &Value, to: &Value) -> Vec<PatchOperation> {
    let object = |template: &Value| json!({"spec": {"template": template}});
    json_patch::diff(&object(from), &object(to)).0
}

fn path(tokens: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(tokens.iter().copied())
}

fn test(at: &[&str], value: &Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: path(at), value: value.clone() })
}

/// Holds the record to the one that was read; where there is none, the whole workload.
fn test_record(object: &Value) -> PatchOperation {
    match at(object, &place("annotations", ANNOTATION)) {
        Value::Null => test(&VERSION, at(object, "/metadata/resourceVersion")),
        record => test(&["metadata", "annotations", ANNOTATION], record),
    }
}

/// The operations that leave record, as its text, and label as they should be.
fn marks(object: &Value, record: Option<String>, in_flight: bool) -> Vec<PatchOperation> {
    let wanted = [
        ("annotations", ANNOTATION, record),
        ("labels", LABEL, in_flight.then(|| IN_FLIGHT.to_owned())),
    ];
    let mut operations = Vec::new();
    for (part, key, value) in wanted {
        let has_others = at(object, &format!("/metadata/{part}")).is_object();
        match value {
            Some(value) if has_others => {
                let path = path(&["metadata", part, key]);
                operations.push(PatchOperation::Add(AddOperation { path, value: value.into() }));
            }
            Some(value) => {
                // Somebody may put another one there meanwhile, which must not be lost.
                operations.push(test(&VERSION, at(object, "/metadata/resourceVersion")));
                let (path, value) = (path(&["metadata", part]), json!({key: value}));
                operations.push(PatchOperation::Add(AddOperation { path, value }));
            }
            None if !at(object, &place(part, key)).is_null() => {
                let path = path(&["metadata", part, key]);
                operations.push(PatchOperation::Remove(RemoveOperation { path }));
            }
            None => {}
        }
    }
    operations
}
