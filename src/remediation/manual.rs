//! Repairs that a person runs: `podgate remediate`. Steps and record are the leader's; the record names a person as its
//! author, and the leader leaves such a repair alone, since its own permissions may differ from that person's.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Resource;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use serde_json::Value;

use super::finalizer::{self, Finalizer};
use super::plan::{KINDS, RepairPatch, RepairPlan, plan};
use super::rollout::{self, Deadline, RolloutVerdict};
use super::transaction::{DryRunOutcome, Order, RepairTarget, StepOutcome, Transactions};
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy, FINALIZER, RemediationState};
use crate::clusters::{Cluster, ClusterError};
use crate::leader;
use crate::leader::claim::{Claim, WriteError};
use crate::policies;
use crate::policies::list::ClusterPolicies;
use crate::policies::namespaces;
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;
use crate::policy::policy_set::{Namespaces, PolicySet};
use crate::policy::protected::Protected;
use crate::policy::record::{PolicyRef, Record, StartedBy, TemplateState, is_in_flight};

/// How often a rollout is read.
const POLL: Duration = Duration::from_secs(1);

/// A cluster, and the policies in force in it.
pub struct ManualRepairs {
    cluster: Cluster,
    transactions: Transactions,
    policies: Vec<Arc<Policy>>,
    namespaces: Namespaces,
    protected: Protected,
}

/// A workload of the cluster.
pub struct LiveWorkload {
    pub target: RepairTarget,
    pub object: Value,
}

/// The outcome of a repair, as a sentence.
pub enum RepairOutcome {
    Repaired(String),
    /// The template of before the repair is restored.
    RolledBack(String),
    /// Nothing was written, or nothing more.
    Refused(String),
}

impl ManualRepairs {
    /// Reads the policies of a namespace, or of all.
    ///
    /// # Errors
    /// The policies cannot be read.
    pub async fn open(
        cluster: Cluster,
        namespace: Option<&str>,
        protected: Protected,
    ) -> Result<Self, ClusterError> {
        let own = namespace.into_iter();
        let read = ClusterPolicies::read(&cluster, namespace.is_none(), own).await?;
        if let Some(fault) = read.faults.first() {
            return Err(ClusterError::Forbidden(format!("{}: {}", fault.place, fault.message)));
        }
        // Only policies with a namespace selector need the namespaces' labels.
        let selects = read.policies.iter().any(|it| it.scope.reads_labels());
        let namespaces = match namespaces::all(&cluster).await {
            Err(error) if selects => return Err(cluster.explain(error)),
            listed => listed.unwrap_or_default(),
        };
        let transactions = Transactions { client: cluster.client.clone(), claim: Claim::by_hand() };
        Ok(Self { cluster, transactions, policies: read.policies, namespaces, protected })
    }

    /// Lists the workloads of the kinds that can be repaired, in a namespace or in all.
    ///
    /// # Errors
    /// The workloads cannot be listed.
    pub async fn workloads(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<LiveWorkload>, ClusterError> {
        let mut found = Vec::new();
        for kind in KINDS {
            let api = self.transactions.api(kind, namespace);
            let listed = api.list(&ListParams::default()).await;
            for object in listed.map_err(|error| self.cluster.explain(error))? {
                let object = serde_json::to_value(object);
                let object = object.map_err(|error| ClusterError::Api(error.to_string()))?;
                found.push(LiveWorkload { target: RepairTarget::of(kind, &object), object });
            }
        }
        found.retain(|it| !self.protected.contains(&it.target.key.namespace));
        found.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(found)
    }

    /// Plans a workload's repair by every policy in force that covers it, whatever its remediation mode.
    pub fn plan(&self, found: &LiveWorkload) -> RepairPlan {
        let by = self.covering(&found.target);
        if by.is_empty() {
            return RepairPlan::Nothing;
        }
        let set = PolicySet::new(by, Arc::default());
        plan(found.target.kind, &found.object, &set, Timestamp::now())
    }

    fn covering(&self, target: &RepairTarget) -> Vec<Arc<Policy>> {
        let namespace = &target.key.namespace;
        let labels = self.namespaces.get(namespace).map(|it| &it.labels);
        let covers = |it: &&Arc<Policy>| it.scope.covers(namespace, labels);
        self.policies.iter().filter(covers).cloned().collect()
    }

    /// Sends the repair to the API server as a dry run.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn dry_run(
        &self,
        found: &LiveWorkload,
        repair: &RepairPatch,
    ) -> Result<RepairOutcome, ClusterError> {
        let outcome = self.transactions.dry_run(&found.target, &found.object, repair).await;
        Ok(match outcome.map_err(|error| self.explain(error))? {
            DryRunOutcome::Admitted(_) => {
                RepairOutcome::Repaired("the API server would admit it".to_owned())
            }
            DryRunOutcome::Refused(why) => RepairOutcome::Refused(why),
        })
    }

    /// Repairs a workload and follows its rollout; rolls back if the workload becomes worse.
    ///
    /// # Errors
    /// The API server does not answer. The record on the workload keeps the state, and the same command resumes.
    pub async fn apply(
        &self,
        found: &LiveWorkload,
        repair: &RepairPatch,
        timeout: Duration,
        progress: impl Fn(&str),
    ) -> Result<RepairOutcome, ClusterError> {
        let LiveWorkload { target, object } = found;
        let covering = self.covering(target);
        let policies = covering.iter().filter_map(|it| PolicyRef::of(it)).collect();
        let order = Order { policies, by: StartedBy::Person, timeout, attempts: 1 };
        let begun = self.transactions.begin(target, object, repair, order).await;
        let record = match begun.map_err(|error| self.explain(error))? {
            StepOutcome::Done(record) => record,
            StepOutcome::Changed => return Ok(RepairOutcome::Refused(CHANGED.to_owned())),
            StepOutcome::Refused(why) => return Ok(RepairOutcome::Refused(why)),
        };
        self.follow(target, record, progress).await.map_err(|error| self.explain(error))
    }

    /// The record of a repair that a person began and that has not ended.
    pub fn in_flight(found: &LiveWorkload) -> Option<Record> {
        let record = Record::of(&found.object, Timestamp::now())?.ok()?;
        let by_hand =
            record.by == StartedBy::Person && record.state == RemediationState::RollingOut;
        (by_hand && is_in_flight(&found.object)).then_some(record)
    }

    /// Resumes a repair that a person began.
    ///
    /// # Errors
    /// As [`ManualRepairs::apply`].
    pub async fn resume(
        &self,
        found: &LiveWorkload,
        record: Record,
        progress: impl Fn(&str),
    ) -> Result<RepairOutcome, ClusterError> {
        let followed = self.follow(&found.target, record, progress).await;
        followed.map_err(|error| self.explain(error))
    }

    async fn follow(
        &self,
        target: &RepairTarget,
        record: Record,
        progress: impl Fn(&str),
    ) -> Result<RepairOutcome, WriteError> {
        loop {
            tokio::time::sleep(POLL).await;
            let Some(object) = self.transactions.get(target).await? else {
                return Ok(RepairOutcome::Refused("it was deleted meanwhile".to_owned()));
            };
            if record.template(&object) != TemplateState::Repaired {
                return Ok(RepairOutcome::Refused(
                    "somebody else changed its template meanwhile".to_owned(),
                ));
            }
            let crash = self.transactions.crash(target, &object, &record).await?;
            let deadline = if Timestamp::now() >= record.deadline {
                Deadline::Passed
            } else {
                Deadline::Ahead
            };
            match rollout::judge(target.kind, &object, crash, deadline, record.available) {
                RolloutVerdict::Underway(how) => progress(&how),
                RolloutVerdict::Good(why) => {
                    let message = format!("repaired by hand: {why}");
                    let settled = Record {
                        state: RemediationState::Repaired,
                        message: message.clone(),
                        ..record.clone()
                    };
                    if let StepOutcome::Done(_) =
                        self.transactions.settle(target, &object, settled).await?
                    {
                        return Ok(RepairOutcome::Repaired(message));
                    }
                }
                RolloutVerdict::Worse(why) => {
                    let message = format!("taken back: {why}");
                    let back =
                        self.transactions.roll_back(target, &object, &record, message.clone());
                    match back.await? {
                        StepOutcome::Done(back) => {
                            self.delete_stuck_pods(target, &back).await?;
                            return Ok(RepairOutcome::RolledBack(message));
                        }
                        StepOutcome::Changed => {}
                        StepOutcome::Refused(why) => {
                            return Ok(RepairOutcome::Refused(format!(
                                "it cannot be taken back: {why}"
                            )));
                        }
                    }
                }
            }
        }
    }

    /// Rolls a repair back, however long ago it was.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn roll_back(
        &self,
        found: &LiveWorkload,
        record: &Record,
    ) -> Result<RepairOutcome, ClusterError> {
        let LiveWorkload { target, object } = found;
        let message = "taken back by hand".to_owned();
        let record = Record { by: StartedBy::Person, ..record.clone() };
        let back = self.transactions.roll_back(target, object, &record, message.clone()).await;
        Ok(match back.map_err(|error| self.explain(error))? {
            StepOutcome::Done(back) => {
                let deleted = self.delete_stuck_pods(target, &back).await;
                deleted.map_err(|error| self.explain(error))?;
                RepairOutcome::RolledBack(message)
            }
            StepOutcome::Changed => RepairOutcome::Refused(CHANGED.to_owned()),
            StepOutcome::Refused(why) => RepairOutcome::Refused(why),
        })
    }

    /// Deletes the stuck pods of a repair that was rolled back, until none is left, then ends the repair.
    async fn delete_stuck_pods(
        &self,
        target: &RepairTarget,
        record: &Record,
    ) -> Result<(), WriteError> {
        while let Some(object) = self.transactions.get(target).await? {
            if self.transactions.delete_stuck_pods(target, &object, record).await? {
                self.transactions.settle(target, &object, record.clone()).await?;
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn explain(&self, error: WriteError) -> ClusterError {
        explain(&self.cluster, error)
    }
}

fn explain(cluster: &Cluster, error: WriteError) -> ClusterError {
    match error {
        WriteError::Api(error) => cluster.explain(error),
        WriteError::NotLeading => ClusterError::Api(error.to_string()),
    }
}

const CHANGED: &str = "the pod template changed since it was read; run the command again";

/// How long to wait until the leader has noticed that it lost the Lease: longer than its renewal interval.
const NOTICE: Duration = Duration::from_secs(5);

/// Takes the Lease for a minute, so that a podgate that is about to be uninstalled writes nothing more.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn stop_leader(cluster: &Cluster, namespace: String) -> Result<(), ClusterError> {
    let taken = leader::take_over(cluster.client.clone(), namespace).await;
    taken.map_err(|error| cluster.explain(error))?;
    tokio::time::sleep(NOTICE).await;
    Ok(())
}

/// Removes podgate's finalizer from policies. Returns the labels of the policies that had it.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn release(
    cluster: &Cluster,
    wanted: impl Fn(Option<&str>, &str) -> bool,
) -> Result<Vec<String>, ClusterError> {
    let mut released = Vec::new();
    for resource in
        [ApiResource::erase::<DevOpsPolicy>(&()), ApiResource::erase::<ClusterDevOpsPolicy>(&())]
    {
        let all = Api::<DynamicObject>::all_with(cluster.client.clone(), &resource);
        let listed = all.list_metadata(&ListParams::default()).await;
        for policy in listed.map_err(|error| cluster.explain(error))? {
            let metadata = policy.meta();
            let namespace = metadata.namespace.as_deref();
            let name = metadata.name.clone().unwrap_or_default();
            let held = metadata.finalizers.iter().flatten().any(|it| it == FINALIZER);
            if !held || !wanted(namespace, &name) {
                continue;
            }
            let (api, resource) = policies::api(cluster.client.clone(), namespace);
            let claim = Claim::by_hand();
            let removed = finalizer::set(&claim, &api, &resource, &name, Finalizer::Absent).await;
            removed.map_err(|error| explain(cluster, error))?;
            released.push(PolicyKey { namespace: namespace.map(str::to_owned), name }.label());
        }
    }
    Ok(released)
}
