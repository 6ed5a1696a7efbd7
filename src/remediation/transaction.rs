//! One repair of one workload. Each step is one write, and the record in it tells the next leader where to resume.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use json_patch::PatchOperation;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use self::operations::{InFlight, TEMPLATE, changes, marks, test, test_record};
use super::plan::{KINDS, RepairPatch};
use super::rollout;
use crate::api::RemediationState;
use crate::client::dry_run::DryRun;
use crate::client::resource;
use crate::leader::claim::{Claim, WriteError};
use crate::policy::observed::WorkloadKey;
use crate::policy::pointer::at;
use crate::policy::record::{self, IN_FLIGHT, LABEL, PolicyRef, Record, StartedBy, TemplateState};
use crate::policy::repaired;
use crate::policy::workload::Kind;

mod operations;

pub(super) const FIELD_MANAGER: &str = "podgate-remediation";
/// The most `ReplicaSet`s that are read to find a pod's owner. The new pods of one rollout have one `ReplicaSet`; a
/// namespace may have any number of them with the same labels.
const MAX_REPLICA_SETS: usize = 10;

/// A workload that may be repaired.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RepairTarget {
    pub key: WorkloadKey,
    /// One of [`KINDS`].
    pub kind: Kind,
}

impl RepairTarget {
    pub fn new(kind: Kind, key: WorkloadKey) -> Self {
        Self { key, kind }
    }

    /// The workload that `object` describes.
    pub fn of(kind: Kind, object: &Value) -> Self {
        let text = |pointer| at(object, pointer).as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        Self::new(kind, WorkloadKey { namespace, kind: kind.names().kind.to_owned(), name })
    }
}

/// The outcome of a step.
#[derive(Debug)]
pub enum StepOutcome {
    /// The step was written, with this record.
    Done(Record),
    /// Nothing was written: the workload changed since it was read. Read it again.
    Changed,
    /// Nothing was written: the API server refused, with this message.
    Refused(String),
}

/// The API server's answer to a dry run.
#[derive(Debug)]
pub enum DryRunOutcome {
    /// The workload as the write would leave it.
    Admitted(Value),
    /// The API server's message.
    Refused(String),
}

/// Reads and writes workloads. Every write checks the claim.
#[derive(Clone)]
pub struct Transactions {
    pub client: Client,
    pub claim: Claim,
}

/// The order for a repair.
pub struct Order {
    /// The policies that ask for it.
    pub policies: Vec<PolicyRef>,
    pub by: StartedBy,
    pub timeout: Duration,
    /// The number of this attempt, from 1.
    pub attempts: u32,
}

impl Transactions {
    /// The API of a kind's objects, in a namespace or in all.
    pub fn api(&self, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = resource::of(kind);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Reads a workload; `None` where it is gone.
    pub async fn get(&self, target: &RepairTarget) -> Result<Option<Value>, kube::Error> {
        let api = self.api(target.kind, Some(&target.key.namespace));
        let found = api.get_opt(&target.key.name).await?;
        Ok(found.map(|it| json!(it)))
    }

    /// Lists the workloads with the label of a repair in flight. The
    /// label proves nothing: anyone who may update workloads can set it.
    pub async fn in_flight(&self) -> Result<Vec<(RepairTarget, Value)>, kube::Error> {
        let mut found = Vec::new();
        let labelled = ListParams::default().labels(&format!("{LABEL}={IN_FLIGHT}"));
        for kind in KINDS {
            for object in self.api(kind, None).list(&labelled).await? {
                let object = json!(object);
                found.push((RepairTarget::of(kind, &object), object));
            }
        }
        Ok(found)
    }

    /// Sends a repair's patch to the API server as a dry run.
    pub async fn dry_run(
        &self,
        target: &RepairTarget,
        object: &Value,
        repair: &RepairPatch,
    ) -> Result<DryRunOutcome, WriteError> {
        let mut operations = vec![test(&TEMPLATE, at(object, "/spec/template"))];
        operations.extend(repair.operations.iter().cloned());
        match self.patch(target, operations, DryRun::Yes).await {
            Ok(after) => Ok(DryRunOutcome::Admitted(after)),
            Err(error) => refused(error).map(DryRunOutcome::Refused),
        }
    }

    /// Tries the patch as a dry run, then writes it together with the record.
    pub async fn begin(
        &self,
        target: &RepairTarget,
        object: &Value,
        repair: &RepairPatch,
        order: Order,
    ) -> Result<StepOutcome, WriteError> {
        let after = match self.dry_run(target, object, repair).await? {
            DryRunOutcome::Admitted(after) => after,
            // A workload that changed since it was read is refused too; the next round reads it again.
            DryRunOutcome::Refused(why) => return Ok(StepOutcome::Refused(why)),
        };
        let now = Timestamp::now();
        let template = at(&after, "/spec/template");
        // Webhooks may change more in the same write; a roll-back keeps their changes.
        let back = match repaired::taken_back(at(object, "/spec/template"), template) {
            Ok(back) => back,
            Err(field) => {
                return Ok(StepOutcome::Refused(format!(
                    "a webhook changes {field} in the same write, so that the repair could not be taken back; change its template by hand"
                )));
            }
        };
        if back == *template {
            return Ok(StepOutcome::Refused(
                "the API server leaves the template as it is".to_owned(),
            ));
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
        self.step(target, object, operations, record, InFlight::Yes).await
    }

    /// Ends a repair: writes the final record and leaves the template as it is.
    pub async fn settle(
        &self,
        target: &RepairTarget,
        object: &Value,
        record: Record,
    ) -> Result<StepOutcome, WriteError> {
        self.step(target, object, vec![test_record(object)], record, InFlight::No).await
    }

    /// Restores the template of before the repair. Refuses a record whose inverse would change more than a repair may.
    pub async fn roll_back(
        &self,
        target: &RepairTarget,
        object: &Value,
        record: &Record,
        message: String,
    ) -> Result<StepOutcome, WriteError> {
        if record.template(object) != TemplateState::Repaired {
            return Ok(StepOutcome::Changed);
        }
        let template = at(object, "/spec/template");
        let back = match record.taken_back(object) {
            Ok(back) => back,
            Err(why) => {
                return Ok(StepOutcome::Refused(format!("its record is not believed: {why}")));
            }
        };
        let mut operations = vec![test(&TEMPLATE, template)];
        operations.extend(changes(template, &back));
        let record = Record { state: RemediationState::RolledBack, message, ..record.clone() };
        // Where stuck pods may be left, the repair stays in flight until `delete_stuck_pods` finds none.
        let in_flight = if leaves_pods(target.kind) { InFlight::Yes } else { InFlight::No };
        self.step(target, object, operations, record, in_flight).await
    }

    /// Deletes the stuck pods of a repair that was taken back: the controller of `StatefulSet`s waits
    /// for a pod to become ready before it replaces it (kubernetes#67250). Returns whether none is left.
    pub async fn delete_stuck_pods(
        &self,
        target: &RepairTarget,
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
                // The pod is gone or was replaced.
                Err(error) if matches!(error.code(), Some(404 | 409)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(clear)
    }

    /// Removes the record and the label from a workload whose template somebody else changed.
    pub async fn forget(&self, target: &RepairTarget, object: &Value) -> Result<(), WriteError> {
        let mut operations = vec![test_record(object)];
        operations.extend(marks(object, None, InFlight::No));
        match self.patch(target, operations, DryRun::No).await {
            Ok(_) => Ok(()),
            Err(error) => refused(error).map(|_| ()),
        }
    }

    /// Describes the crash loop of a workload's new pods, if one has one.
    pub async fn crash(
        &self,
        target: &RepairTarget,
        object: &Value,
        record: &Record,
    ) -> Result<Option<String>, kube::Error> {
        let pods = self.pods_since(target, object, record).await?;
        Ok(pods.iter().find_map(|pod| rollout::crash(&json!(pod))))
    }

    /// The workload's pods that were created since its repair began. They are recognised
    /// by their owner's UID: any pod of the namespace may carry the same labels.
    async fn pods_since(
        &self,
        target: &RepairTarget,
        object: &Value,
        record: &Record,
    ) -> Result<Vec<DynamicObject>, kube::Error> {
        let selector = rollout::selector(object);
        let api = self.api(Kind::Pod, Some(&target.key.namespace));
        let mut pods = api.list(&ListParams::default().labels(&selector)).await?.items;
        pods.retain(|pod: &DynamicObject| {
            let created = pod.metadata.creation_timestamp.as_ref();
            // The API server's timestamps have whole seconds.
            created.is_some_and(|created| created.0.as_second() >= record.began.as_second())
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
        target: &RepairTarget,
        object: &Value,
        mut operations: Vec<PatchOperation>,
        record: Record,
        in_flight: InFlight,
    ) -> Result<StepOutcome, WriteError> {
        let text = match record.text() {
            Ok(text) => text,
            Err(why) => {
                return Ok(StepOutcome::Refused(format!("its record cannot be kept: {why}")));
            }
        };
        operations.extend(marks(object, Some(text), in_flight));
        match self.patch(target, operations, DryRun::No).await {
            Ok(_) => Ok(StepOutcome::Done(record)),
            // A failed test operation, or a workload that is gone.
            Err(error) if matches!(error.code(), Some(404 | 409 | 422)) => Ok(StepOutcome::Changed),
            Err(error) => refused(error).map(StepOutcome::Refused),
        }
    }

    async fn patch(
        &self,
        target: &RepairTarget,
        operations: Vec<PatchOperation>,
        dry_run: DryRun,
    ) -> Result<Value, WriteError> {
        let params = PatchParams {
            dry_run: dry_run == DryRun::Yes,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let api = self.api(target.kind, Some(&target.key.namespace));
        let patch = Patch::Json::<()>(json_patch::Patch(operations));
        let patched = self.claim.write(api.patch(&target.key.name, &params, &patch)).await?;
        Ok(json!(patched))
    }
}

/// Whether a kind's controller keeps a pod that never becomes ready.
const fn leaves_pods(kind: Kind) -> bool {
    matches!(kind, Kind::StatefulSet)
}

/// The API server's message, where it refused a write.
///
/// # Errors
/// Every other error.
fn refused(error: WriteError) -> Result<String, WriteError> {
    match error {
        WriteError::Api(kube::Error::Api(status)) if (400..429).contains(&status.code) => {
            Ok(status.message)
        }
        error => Err(error),
    }
}

/// The owner that controls an object.
fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|it| it.controller == Some(true))
}
