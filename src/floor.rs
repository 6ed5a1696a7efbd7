//! Keeps the floor ([`crate::policy::vap::floor`]) in the cluster: the leader applies its objects, updates them with the
//! policies, and prunes what is left over. The way in is [`FloorWork::run`].
//!
//! A binding is created only while podgate is heard and every API server knows its newest beat, so that none judges
//! before its parameter is known.
//!
//! Breaking the glass is deleting the bindings, so a policy that has none says that the glass is broken. Then the leader
//! creates no binding until somebody deletes the policies too. A policy has to exist before its binding: the API server
//! reads the parameter's kind in it, which who writes the binding must be allowed to read. So one that waits for its
//! binding is marked by an annotation ([`UNBOUND`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::leader::claim::{Claim, WriteError};
use crate::metrics::FloorMetrics;
use crate::policy::called::Called;
use crate::policy::floor_state::{Canary, FloorState, Kept};
use crate::policy::policy_set::PolicySet;
use crate::policy::text::hash;
use crate::policy::vap::floor::{Floor, FloorObject, FloorObjects, LABEL, mend, put};

const FIELD_MANAGER: &str = "podgate-floor";
/// How often the objects are compared with what was applied.
const TICK: Duration = Duration::from_mins(1);
/// The same while not all of them are in force.
const SOON: Duration = Duration::from_secs(10);
/// The longest time of a pass.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Of the wait after failures, in powers of two seconds.
const MAX_DOUBLINGS: u32 = 6;

/// The annotation of a policy that the leader has just created, until it has created the binding too.
const UNBOUND: &str = "devops.stochastic.io/floor-unbound";

/// The leader's work on the floor.
pub struct FloorWork {
    pub client: Client,
    pub claim: Claim,
    pub floor: Arc<Floor>,
    /// The name of the `ClusterRole` that owns the objects, so that they are garbage-collected with it; `None` where
    /// podgate is not installed by the chart.
    pub owner: Option<String>,
    pub policies: watch::Receiver<Option<Arc<PolicySet>>>,
    pub called: watch::Receiver<Called>,
    pub canary: watch::Receiver<Canary>,
    pub metrics: FloorMetrics,
    pub state: watch::Sender<FloorState>,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
enum FloorError {
    #[error("this podgate does not lead")]
    NotLeading,
    #[error("{0}")]
    Api(String),
    #[error("there is no ClusterRole {0}, which would own the objects; helm upgrade restores it")]
    NoOwner(String),
    #[error("no answer within {TIMEOUT:?}")]
    NoAnswer,
}

impl FloorError {
    fn of(what: &str, error: WriteError) -> Self {
        match error {
            WriteError::NotLeading => Self::NotLeading,
            WriteError::Api(error) => Self::Api(format!("{what}: {error}")),
        }
    }
}

/// What of a floor is not in force.
struct Floored {
    /// The policies without a binding: somebody has broken the glass.
    unbound: Vec<String>,
    /// The policies that wait until podgate is heard.
    waiting: Vec<String>,
}

/// The objects of a kind.
struct Objects {
    api: Api<DynamicObject>,
    /// The generations of those that exist, by name.
    existing: BTreeMap<String, Option<i64>>,
    /// Those with the annotation [`UNBOUND`].
    marked: BTreeSet<String>,
}

/// What was applied, by kind and name: the hash of the object, and the generation that it got.
type Applied = BTreeMap<(&'static str, String), (String, Option<i64>)>;

const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";

impl FloorWork {
    /// Keeps the floor until it is dropped, or this replica is not the leader any more.
    pub async fn run(mut self) {
        let series = Series(self.metrics.clone());
        let mut applied = Applied::new();
        let mut failures = 0;
        // The objects of the newest policies.
        let mut compiled: Option<(Arc<PolicySet>, FloorObjects)> = None;
        loop {
            let mut wait = TICK;
            let set = self.policies.borrow_and_update().clone();
            let heard = *self.called.borrow_and_update() == Called::Yes;
            let canary = self.canary.borrow_and_update().clone();
            if let Some(set) = set {
                let (_, objects) = match compiled.take() {
                    Some((known, objects)) if Arc::ptr_eq(&known, &set) => (known, objects),
                    _ => (Arc::clone(&set), self.floor.objects(set.policies())),
                };
                let fresh = heard && canary == Canary::Fresh;
                let pass = self.keep(&objects, fresh, &mut applied);
                let kept = tokio::time::timeout(TIMEOUT, pass).await;
                let kept = kept.unwrap_or(Err(FloorError::NoAnswer));
                match &kept {
                    Err(FloorError::NotLeading) => break,
                    Err(error) => {
                        tracing::warn!(%error, "the floor cannot be kept; it is tried again");
                        failures = (failures + 1).min(MAX_DOUBLINGS);
                        wait = Duration::from_secs(1 << failures);
                    }
                    Ok(floored) => {
                        failures = 0;
                        if !floored.unbound.is_empty() || !floored.waiting.is_empty() {
                            wait = SOON;
                        }
                    }
                }
                self.publish(kept, canary, objects.missing.clone());
                compiled = Some((set, objects));
            }
            if failures > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let changed = tokio::select! {
                () = tokio::time::sleep(wait) => Ok(()),
                changed = self.policies.changed() => changed,
                changed = self.called.changed() => changed,
                changed = self.canary.changed() => changed,
            };
            if changed.is_err() {
                // The senders end with the process.
                tokio::time::sleep(wait).await;
            }
        }
        drop(series);
    }

    /// Makes the cluster's objects those of the floor. `heard`: whether every API server knows podgate's newest beat.
    async fn keep(
        &self,
        objects: &FloorObjects,
        heard: bool,
        applied: &mut Applied,
    ) -> Result<Floored, FloorError> {
        let owner = self.owner().await?;
        let mut policies = self.existing(POLICY).await?;
        let mut bindings = self.existing(BINDING).await?;
        let canary = self.floor.canary();
        let unbound = policies
            .existing
            .keys()
            .filter(|it| !bindings.existing.contains_key(*it) && !policies.marked.contains(*it));
        let unbound: Vec<_> = unbound.cloned().collect();
        let create = heard && unbound.is_empty();
        let canaries = std::iter::once((&canary, true));
        let judging = objects.judging.iter().map(|it| (it, create));
        let mut failed = None;
        let mut waiting = Vec::new();
        for (object, create) in canaries.chain(judging) {
            let name = &object.name;
            let exists = policies.existing.contains_key(name);
            let bound = bindings.existing.contains_key(name);
            if !create && (!exists || !bound && policies.marked.contains(name)) {
                waiting.push(name.clone());
                continue;
            }
            // The canary is not among those that were listed, and nobody breaks the glass by it.
            let marks = create && !bound && *name != canary.name;
            for (kind, wanted) in writes(object, marks, create || bound) {
                let of_kind = if kind == POLICY { &mut policies } else { &mut bindings };
                match self.apply(kind, of_kind, name, &wanted, owner.as_ref(), applied).await {
                    Ok(()) => {}
                    Err(FloorError::NotLeading) => return Err(FloorError::NotLeading),
                    // One object that the API server refuses does not hold up the others.
                    Err(error) => {
                        failed = failed.or(Some(error));
                        break;
                    }
                }
            }
        }
        if unbound.is_empty() {
            // The canary has not the label, so it is not among those that were listed.
            let judging = objects.judging.iter().map(|it| &it.name);
            let wanted: BTreeSet<_> = judging.chain([&canary.name]).collect();
            // The policy first: without its policy a binding does nothing.
            for (kind, of_kind) in [(POLICY, &policies), (BINDING, &bindings)] {
                let names = of_kind.existing.keys();
                for name in names.filter(|it| !wanted.contains(it)) {
                    self.prune(kind, of_kind, name).await?;
                    applied.remove(&(kind, name.clone()));
                }
            }
        }
        let has = |it: &&FloorObject| {
            policies.existing.contains_key(&it.name) && bindings.existing.contains_key(&it.name)
        };
        self.metrics.policies(objects.judging.iter().filter(has).count());
        failed.map_or(Ok(Floored { unbound, waiting }), Err)
    }

    /// An owner reference to the `ClusterRole`.
    async fn owner(&self) -> Result<Option<Value>, FloorError> {
        let Some(name) = &self.owner else { return Ok(None) };
        let resource = resource("rbac.authorization.k8s.io", "ClusterRole", "clusterroles");
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &resource);
        let role = api.get_metadata_opt(name).await;
        let role = role.map_err(|error| FloorError::of("ClusterRole", error.into()))?;
        let role = role.filter(|it| it.metadata.deletion_timestamp.is_none());
        let uid = role.and_then(|it| it.metadata.uid);
        let uid = uid.ok_or_else(|| FloorError::NoOwner(name.clone()))?;
        Ok(Some(json!([{
            "apiVersion": resource.api_version, "kind": resource.kind, "name": name, "uid": uid,
        }])))
    }

    /// The floor's objects of a kind.
    async fn existing(&self, kind: &str) -> Result<Objects, FloorError> {
        let api = api(&self.client, kind);
        let own = ListParams::default().labels(&format!("{LABEL}={}", self.floor.release));
        let listed = api.list_metadata(&own).await;
        let listed = listed.map_err(|error| FloorError::of(kind, error.into()))?;
        let (mut existing, mut marked) = (BTreeMap::new(), BTreeSet::new());
        for metadata in listed.items.into_iter().map(|it| it.metadata) {
            let Some(name) = metadata.name else { continue };
            if metadata.annotations.is_some_and(|it| it.contains_key(UNBOUND)) {
                marked.insert(name.clone());
            }
            existing.insert(name, metadata.generation);
        }
        Ok(Objects { api, existing, marked })
    }

    /// Applies an object, unless it is as it was applied.
    async fn apply(
        &self,
        kind: &'static str,
        objects: &mut Objects,
        name: &str,
        wanted: &Value,
        owner: Option<&Value>,
        applied: &mut Applied,
    ) -> Result<(), FloorError> {
        let mut wanted = wanted.clone();
        if let Some(owner) = owner {
            put(&mut wanted, "/metadata", "ownerReferences", owner.clone());
        }
        let key = (kind, name.to_owned());
        let is = hash(&wanted.to_string());
        let known = applied.get(&key).map(|(hash, generation)| (hash, generation));
        if objects.existing.get(name).is_some_and(|it| known == Some((&is, it))) {
            return Ok(());
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(wanted);
        let written = self.claim.write(objects.api.patch(name, &params, &patch)).await;
        let written = written.map_err(|error| FloorError::of(&format!("{kind} {name}"), error))?;
        let generation = written.metadata.generation;
        let new = (is, generation);
        if applied.get(&key) != Some(&new) {
            tracing::info!(kind, name, "the floor's object is applied");
        }
        objects.existing.insert(name.to_owned(), generation);
        applied.insert(key, new);
        Ok(())
    }

    async fn prune(&self, kind: &str, objects: &Objects, name: &str) -> Result<(), FloorError> {
        let params = DeleteParams::default();
        match self.claim.write(objects.api.delete(name, &params)).await {
            Ok(_) => tracing::info!(kind, name, "the floor's object is deleted"),
            Err(error) if error.code() == Some(404) => {}
            Err(error) => return Err(FloorError::of(&format!("{kind} {name}"), error)),
        }
        Ok(())
    }

    /// Tells the statuses of policies.
    fn publish(
        &self,
        kept: Result<Floored, FloorError>,
        canary: Canary,
        missing: BTreeMap<String, Vec<String>>,
    ) {
        let ready = match (kept, canary) {
            (Err(error), _) => Some(Err(error.to_string())),
            (Ok(Floored { unbound, .. }), _) if !unbound.is_empty() => Some(Err(format!(
                "the glass is broken: somebody has deleted the bindings of {}; to mend it: {}",
                unbound.join(", "),
                mend(&self.floor.release)
            ))),
            (Ok(_), Canary::Stale(why)) => Some(Err(why)),
            (Ok(_), Canary::Undecided) => None,
            (Ok(Floored { waiting, .. }), Canary::Fresh) if !waiting.is_empty() => {
                Some(Err(format!(
                    "{} are created when the API servers are seen to call podgate",
                    waiting.join(", ")
                )))
            }
            (Ok(_), Canary::Fresh) => Some(Ok(())),
        };
        let state = FloorState { kept: Some(Kept { ready, missing: Some(missing) }) };
        self.state.send_if_modified(|known| {
            let changed = *known != state;
            *known = state;
            changed
        });
    }
}

/// The kinds and objects to apply, in order. `marks`: whether the policy has the annotation until the binding exists.
fn writes(object: &FloorObject, marks: bool, binds: bool) -> Vec<(&'static str, Value)> {
    let FloorObject { policy, binding, .. } = object;
    let mut writes = Vec::new();
    if marks {
        let mut marked = policy.clone();
        put(&mut marked, "/metadata", "annotations", json!({UNBOUND: "true"}));
        writes.push((POLICY, marked));
    } else {
        writes.push((POLICY, policy.clone()));
    }
    if binds {
        writes.push((BINDING, binding.clone()));
    }
    if marks {
        writes.push((POLICY, policy.clone()));
    }
    writes
}

/// Deletes what judges.
///
/// # Errors
/// The API server's error.
pub async fn remove(client: &Client, release: &str) -> Result<(), kube::Error> {
    let own = ListParams::default().labels(&format!("{LABEL}={release}"));
    for kind in [POLICY, BINDING] {
        api(client, kind).delete_collection(&DeleteParams::default(), &own).await?;
    }
    Ok(())
}

fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    let plural = if kind == POLICY {
        "validatingadmissionpolicies"
    } else {
        "validatingadmissionpolicybindings"
    };
    let resource = resource("admissionregistration.k8s.io", kind, plural);
    Api::all_with(client.clone(), &resource)
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}

/// The leader's series. Dropping it removes them.
struct Series(FloorMetrics);

impl Drop for Series {
    fn drop(&mut self) {
        self.0.stopped();
    }
}

#[cfg(test)]
mod tests;
