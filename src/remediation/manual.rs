//! Repairs by a person's hand: `podgate remediate`. The steps are those of the leader, and so is the record on the workload,
//! which says whose hand it was: the leader leaves it to that person, since it writes by other rights.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::Resource;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use serde_json::Value;

use super::finalizer;
use super::plan::{KINDS, Repair, RepairPlan, plan};
use super::rollout::{self, Verdict};
use super::transaction::{Order, Stepped, Target, Transactions};
use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy, FINALIZER, RemediationState};
use crate::clusters::{Cluster, ClusterError};
use crate::leader;
use crate::leader::claim::{Claim, WriteError};
use crate::policies;
use crate::policies::list::ClusterPolicies;
use crate::policy::compile::Policy;
use crate::policy::key::PolicyKey;
use crate::policy::policy_set::{Namespaces, PolicySet};
use crate::policy::protected::Protected;
use crate::policy::record::{PolicyRef, Record, StartedBy, TemplateState, is_in_flight};

/// How often a rollout is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A cluster, and the policies in force in it.
pub struct ByHand {
    cluster: Cluster,
    transactions: Transactions,
    policies: Vec<Arc<Policy>>,
    namespaces: Namespaces,
    protected: Protected,
}

/// A workload as it is.
pub struct LiveWorkload {
    pub target: Target,
    pub object: Value,
}

/// What a repair by hand came to.
pub enum Outcome {
    Repaired(String),
    /// It is as it was before.
    TakenBack(String),
    /// Nothing was written, or nothing more.
    Refused(String),
}

impl ByHand {
    /// Reads the policies of a namespace, or of all.
    ///
    /// # Errors
    /// They cannot be read.
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
        let mut namespaces = Namespaces::new();
        let listed = cluster.list::<Namespace>(None, None, |json| {
            if let Ok(it) = serde_json::from_str::<PartialObjectMeta<Namespace>>(json) {
                namespaces.insert(it.metadata.name.clone().unwrap_or_default(), (&it).into());
            }
        });
        // Only selectors need their labels.
        let selects = read.policies.iter().any(|it| it.scope.reads_labels());
        match listed.await {
            Err(error) if selects => return Err(cluster.explain(error)),
            _ => {}
        }
        let transactions = Transactions { client: cluster.client.clone(), claim: Claim::by_hand() };
        Ok(Self { cluster, transactions, policies: read.policies, namespaces, protected })
    }

    /// Every workload that might be repaired, of a namespace or of all.
    ///
    /// # Errors
    /// They cannot be listed.
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
                found.push(LiveWorkload { target: Target::of(kind, &object), object });
            }
        }
        found.retain(|it| !self.protected.contains(&it.target.key.namespace));
        found.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(found)
    }

    /// What the policies in force would have a workload be.
    pub fn plan(&self, found: &LiveWorkload) -> RepairPlan {
        let by = self.covering(&found.target);
        if by.is_empty() {
            return RepairPlan::Nothing;
        }
        let set = PolicySet::new(by, Arc::default());
        plan(found.target.kind, &found.object, &set, Timestamp::now())
    }

    fn covering(&self, target: &Target) -> Vec<Arc<Policy>> {
        let namespace = &target.key.namespace;
        let labels = self.namespaces.get(namespace).map(|it| &it.labels);
        let covers = |it: &&Arc<Policy>| it.scope.covers(namespace, labels);
        self.policies.iter().filter(covers).cloned().collect()
    }

    /// Asks the API server what it would say.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn dry_run(
        &self,
        found: &LiveWorkload,
        repair: &Repair,
    ) -> Result<Outcome, ClusterError> {
        let asked = self.transactions.dry_run(&found.target, &found.object, repair).await;
        Ok(match asked.map_err(|error| self.explain(error))? {
            Ok(_) => Outcome::Repaired("the API server would admit it".to_owned()),
            Err(why) => Outcome::Refused(why),
        })
    }

    /// Repairs a workload and sees it through: taken back if it becomes worse.
    ///
    /// # Errors
    /// The API server does not answer; the record on the workload says how far it is, and the same command goes on.
    pub async fn apply(
        &self,
        found: &LiveWorkload,
        repair: &Repair,
        timeout: Duration,
        progress: impl Fn(&str),
    ) -> Result<Outcome, ClusterError> {
        let LiveWorkload { target, object } = found;
        let by = self.covering(target);
        let requested_by = by.iter().filter_map(|it| PolicyRef::of(it));
        let (policies, by) = (requested_by.collect(), StartedBy::Person);
        let order = Order { policies, by, timeout, attempts: 1 };
        let begun = self.transactions.begin(target, object, repair, order).await;
        let record = match begun.map_err(|error| self.explain(error))? {
            Stepped::Done(record) => record,
            Stepped::Changed => return Ok(Outcome::Refused(CHANGED.to_owned())),
            Stepped::Refused(why) => return Ok(Outcome::Refused(why)),
        };
        self.see_through(target, record, progress).await.map_err(|error| self.explain(error))
    }

    /// The repair by hand that a workload is under, if it was not seen through.
    pub fn under_way(found: &LiveWorkload) -> Option<Record> {
        let record = Record::of(&found.object, Timestamp::now())?.ok()?;
        let by_hand =
            record.by == StartedBy::Person && record.state == RemediationState::RollingOut;
        (by_hand && is_in_flight(&found.object)).then_some(record)
    }

    /// Goes on with a repair by hand.
    ///
    /// # Errors
    /// As [`ByHand::apply`].
    pub async fn go_on(
        &self,
        found: &LiveWorkload,
        record: Record,
        progress: impl Fn(&str),
    ) -> Result<Outcome, ClusterError> {
        let seen = self.see_through(&found.target, record, progress).await;
        seen.map_err(|error| self.explain(error))
    }

    async fn see_through(
        &self,
        target: &Target,
        record: Record,
        progress: impl Fn(&str),
    ) -> Result<Outcome, WriteError> {
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(object) = self.transactions.get(target).await? else {
                return Ok(Outcome::Refused("it was deleted meanwhile".to_owned()));
            };
            if record.template(&object) != TemplateState::Repaired {
                return Ok(Outcome::Refused(
                    "somebody else changed its template meanwhile".to_owned(),
                ));
            }
            let crash = self.transactions.crash(target, &object, &record).await?;
            let over = Timestamp::now() >= record.deadline;
            match rollout::judge(target.kind, &object, crash, over, record.available) {
                Verdict::Underway(how) => progress(&how),
                Verdict::Good(why) => {
                    let message = format!("repaired by hand: {why}");
                    let settled = Record {
                        state: RemediationState::Repaired,
                        message: message.clone(),
                        ..record.clone()
                    };
                    if let Stepped::Done(_) =
                        self.transactions.settle(target, &object, settled).await?
                    {
                        return Ok(Outcome::Repaired(message));
                    }
                }
                Verdict::Worse(why) => {
                    let message = format!("taken back: {why}");
                    let back =
                        self.transactions.roll_back(target, &object, &record, message.clone());
                    match back.await? {
                        Stepped::Done(back) => {
                            self.clear(target, &back).await?;
                            return Ok(Outcome::TakenBack(message));
                        }
                        Stepped::Changed => {}
                        Stepped::Refused(why) => {
                            return Ok(Outcome::Refused(format!("it cannot be taken back: {why}")));
                        }
                    }
                }
            }
        }
    }

    /// Takes a repair back, whenever it was.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn roll_back(
        &self,
        found: &LiveWorkload,
        record: &Record,
    ) -> Result<Outcome, ClusterError> {
        let LiveWorkload { target, object } = found;
        let message = "taken back by hand".to_owned();
        let record = Record { by: StartedBy::Person, ..record.clone() };
        let back = self.transactions.roll_back(target, object, &record, message.clone()).await;
        Ok(match back.map_err(|error| self.explain(error))? {
            Stepped::Done(back) => {
                self.clear(target, &back).await.map_err(|error| self.explain(error))?;
                Outcome::TakenBack(message)
            }
            Stepped::Changed => Outcome::Refused(CHANGED.to_owned()),
            Stepped::Refused(why) => Outcome::Refused(why),
        })
    }

    /// Sees to it that no pod of the repair is left in the way of the old ones.
    async fn clear(&self, target: &Target, record: &Record) -> Result<(), WriteError> {
        while let Some(object) = self.transactions.get(target).await? {
            if self.transactions.clear(target, &object, record).await? {
                self.transactions.settle(target, &object, record.clone()).await?;
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
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

const CHANGED: &str = "its template is not the one that was looked at any more; look again";

/// How long a leader may take to see that it does not lead any more: longer than from one renewal to the next.
const SEES: Duration = Duration::from_secs(5);

/// Has nobody lead for a minute, so that a podgate that is about to be uninstalled writes nothing more.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn silence(cluster: &Cluster, namespace: String) -> Result<(), ClusterError> {
    let taken = leader::take_over(cluster.client.clone(), namespace).await;
    taken.map_err(|error| cluster.explain(error))?;
    tokio::time::sleep(SEES).await;
    Ok(())
}

/// Takes podgate's finalizer off policies; the labels of those that had it.
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
            let set = finalizer::set(&Claim::by_hand(), &api, &resource, &name, false).await;
            set.map_err(|error| explain(cluster, error))?;
            released.push(PolicyKey { namespace: namespace.map(str::to_owned), name }.label());
        }
    }
    Ok(released)
}
