//! One repair of one workload: each step is one write, and each leaves the workload in a state that whoever comes next can
//! read from it.

use std::time::Duration;

use jiff::Timestamp;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::at;

use super::plan::{KINDS, Repair};
use super::record::{ANNOTATION, Asker, IN_FLIGHT, LABEL, Record, Template, fingerprint, place};
use super::rollout;
use crate::api::RemediationState;
use crate::clusters::claim::{Claim, WriteError};
use crate::policy::picture::WorkloadKey;
use crate::policy::workload::Kind;

const FIELD_MANAGER: &str = "podgate-remediation";

/// A workload that may be repaired.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Target {
    pub key: WorkloadKey,
    kind: &'static str,
}

impl Target {
    pub fn new(kind: Kind, key: WorkloadKey) -> Self {
        Self { key, kind: kind.names().kind }
    }

    /// The workload that an object is.
    pub fn of(kind: Kind, object: &Value) -> Self {
        let text = |pointer| at(object, pointer).as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        Self::new(kind, WorkloadKey { namespace, kind: kind.names().kind.to_owned(), name })
    }

    pub fn kind(&self) -> Kind {
        KINDS.into_iter().find(|it| it.names().kind == self.kind).unwrap_or(Kind::Deployment)
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
    pub policies: Vec<Asker>,
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
        let api = self.api(target.kind(), Some(&target.key.namespace));
        let found = api.get_opt(&target.key.name).await?;
        Ok(found.map(|it| json!(it)))
    }

    /// Every workload whose rollout is watched.
    pub async fn in_flight(&self) -> Result<Vec<(Target, Record)>, kube::Error> {
        let mut found = Vec::new();
        let labelled = ListParams::default().labels(&format!("{LABEL}={IN_FLIGHT}"));
        for kind in KINDS {
            for object in self.api(kind, None).list(&labelled).await? {
                let object = json!(object);
                if let Some(record) = Record::of(&object) {
                    found.push((Target::of(kind, &object), record));
                }
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
        let mut operations = vec![test("/spec/template", at(object, "/spec/template"))];
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
        let (before, after_hash) = (fingerprint(object), fingerprint(&after));
        if before == after_hash {
            return Ok(Stepped::Refused("the API server leaves the template as it is".to_owned()));
        }
        let template = |it: &Value| json!({"spec": {"template": at(it, "/spec/template")}});
        let record = Record {
            state: RemediationState::RollingOut,
            message: String::new(),
            policies: order.policies,
            rules: repair.rules.iter().map(|it| (*it).to_owned()).collect(),
            began: now,
            deadline: now.checked_add(order.timeout).unwrap_or(Timestamp::MAX),
            attempts: order.attempts,
            before,
            after: after_hash,
            available: rollout::available(target.kind(), object),
            inverse: json_patch::diff(&template(&after), &template(object)).0,
        };
        let mut operations = vec![test("/spec/template", at(object, "/spec/template"))];
        operations.extend(repair.operations.iter().cloned());
        operations.extend(marks(object, Some(&record), true));
        self.step(target, operations, record).await
    }

    /// The rollout is over, one way or the other, and the template stays as it is: this is the record from now on.
    pub async fn settle(
        &self,
        target: &Target,
        object: &Value,
        record: Record,
    ) -> Result<Stepped, WriteError> {
        let mut operations = vec![test_record(object)];
        operations.extend(marks(object, Some(&record), false));
        self.step(target, operations, record).await
    }

    /// Makes the template what it was before the repair.
    pub async fn roll_back(
        &self,
        target: &Target,
        object: &Value,
        record: &Record,
        message: String,
    ) -> Result<Stepped, WriteError> {
        if record.template(object) != Template::Repaired {
            return Ok(Stepped::Changed);
        }
        let back = Record { state: RemediationState::RolledBack, message, ..record.clone() };
        let mut operations = vec![test("/spec/template", at(object, "/spec/template"))];
        operations.extend(record.inverse.iter().cloned());
        // It is not over where pods stand in the way: see `clear`.
        operations.extend(marks(object, Some(&back), leaves_pods(target.kind())));
        self.step(target, operations, back).await
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
        if !leaves_pods(target.kind()) {
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

    /// The workload's pods that were made since its repair began.
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
        Ok(pods)
    }

    async fn step(
        &self,
        target: &Target,
        operations: Vec<PatchOperation>,
        record: Record,
    ) -> Result<Stepped, WriteError> {
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
        let api = self.api(target.kind(), Some(&target.key.namespace));
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

fn path(path: &str) -> PointerBuf {
    PointerBuf::parse(path).unwrap_or_default()
}

fn test(at: &str, value: &Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: path(at), value: value.clone() })
}

/// Holds the record to the one that was read; where there is none, the whole workload.
fn test_record(object: &Value) -> PatchOperation {
    match at(object, &place("annotations", ANNOTATION)) {
        Value::Null => test("/metadata/resourceVersion", at(object, "/metadata/resourceVersion")),
        record => test(&place("annotations", ANNOTATION), record),
    }
}

/// The operations that leave record and label as they should be.
fn marks(object: &Value, record: Option<&Record>, in_flight: bool) -> Vec<PatchOperation> {
    let wanted = [
        ("annotations", ANNOTATION, record.map(Record::text)),
        ("labels", LABEL, in_flight.then(|| IN_FLIGHT.to_owned())),
    ];
    let mut operations = Vec::new();
    for (part, key, value) in wanted {
        let has_others = at(object, &format!("/metadata/{part}")).is_object();
        match value {
            Some(value) if has_others => {
                let path = path(&place(part, key));
                operations.push(PatchOperation::Add(AddOperation { path, value: value.into() }));
            }
            Some(value) => {
                // Somebody may put another one there meanwhile, which must not be lost.
                operations.push(test(
                    "/metadata/resourceVersion",
                    at(object, "/metadata/resourceVersion"),
                ));
                let (path, value) = (path(&format!("/metadata/{part}")), json!({key: value}));
                operations.push(PatchOperation::Add(AddOperation { path, value }));
            }
            None if !at(object, &place(part, key)).is_null() => {
                operations.push(PatchOperation::Remove(RemoveOperation {
                    path: path(&place(part, key)),
                }));
            }
            None => {}
        }
    }
    operations
}
