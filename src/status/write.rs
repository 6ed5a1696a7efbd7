//! Writes the status of policies by server-side apply, when it changes. Only the leader runs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::runtime::utils::Backoff;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::build::PolicyState;
use super::exemptions::notes;
use super::pace::Paces;
use crate::api::DevOpsPolicyStatus;
use crate::client::backoff::Doubling;
use crate::leader::claim::{Claim, WriteError};
use crate::metrics::AuditMetrics;
use crate::policies::{self, Faults};
use crate::policy::called::Called;
use crate::policy::event::EventReason;
use crate::policy::floor_state::FloorState;
use crate::policy::key::PolicyKey;
use crate::policy::observed::{
    Notice, NoticeAbout, ObservedPolicy, ObservedRemediation, PolicyUpdate,
};

const FIELD_MANAGER: &str = "podgate";
/// The longest time of a call. A call that hangs must not block the others.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often statuses are compared with the time: an exemption comes near its end without an update.
const TICK: Duration = Duration::from_mins(1);

/// The remediation status of each policy that has remediation.
pub type Remediations = Arc<BTreeMap<PolicyKey, ObservedRemediation>>;

/// The result of reconciling a policy, for logs and `podgate watch`.
pub struct Reconciled {
    /// `NAMESPACE/NAME`, or the name of a cluster policy.
    pub policy: String,
    /// The state of the policy, as a sentence.
    pub message: String,
    /// Whether the status changed and was written.
    pub written: bool,
}

pub struct Reconciler {
    pub client: Client,
    pub claim: Claim,
    pub metrics: AuditMetrics,
    /// Where the Events on exemptions that end are sent.
    pub notices: mpsc::Sender<Notice>,
    pub on_reconciled: Box<dyn Fn(&Reconciled) + Send + Sync>,
}

/// The last version of a policy that the API server returned.
struct CachedPolicy {
    uid: Option<String>,
    resource_version: Option<String>,
    status: DevOpsPolicyStatus,
}

impl CachedPolicy {
    fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned().unwrap_or(Value::Null);
        Self {
            uid: object.uid(),
            resource_version: object.resource_version(),
            // An invalid status was not written by podgate, and is replaced.
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }
}

impl Reconciler {
    /// Writes every change, until the senders are gone or this replica is not the leader any more.
    pub async fn run(
        self,
        mut updates: mpsc::Receiver<Vec<PolicyUpdate>>,
        mut faults: watch::Receiver<Faults>,
        mut remediation: watch::Receiver<Remediations>,
        mut called: watch::Receiver<Called>,
        mut floor: watch::Receiver<FloorState>,
    ) {
        let mut desired: BTreeMap<PolicyKey, PolicyState> = BTreeMap::new();
        let mut pending = BTreeSet::new();
        let (mut cache, mut paces) = (BTreeMap::new(), Paces::default());
        let mut backoff = Doubling::default();
        let mut remediation_closed = false;
        let mut clock = tokio::time::interval(TICK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut called_closed, mut floor_closed) = (false, false);
        take_faults(&mut desired, &mut pending, &faults.borrow_and_update());
        loop {
            let mut wait = None;
            for key in std::mem::take(&mut pending) {
                let Some(wanted) = desired.get_mut(&key) else { continue };
                wanted.called = called.borrow().clone();
                wanted.floor = floor.borrow().clone();
                match tokio::time::timeout(TIMEOUT, self.reconcile(&key, wanted, &mut cache)).await
                {
                    Ok(Ok(written)) => {
                        backoff.reset();
                        if written {
                            paces.written(&key, Instant::now());
                        }
                    }
                    Ok(Err(WriteError::NotLeading)) => return,
                    Ok(Err(WriteError::Api(error))) => {
                        self.failed(&key, &error.to_string());
                        wait = backoff.next();
                        pending.insert(key);
                    }
                    Err(_) => {
                        self.failed(&key, "no answer");
                        wait = backoff.next();
                        pending.insert(key);
                    }
                }
            }
            let retry = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = retry => {}
                () = paces.next_due() => pending.extend(paces.due(Instant::now())),
                _ = clock.tick() => pending.extend(outdated(&desired, &cache, Timestamp::now())),
                update = updates.recv() => {
                    let Some(update) = update else { return };
                    for PolicyUpdate { policy, observed } in update {
                        if observed.is_none() {
                            cache.remove(&policy);
                            desired.remove(&policy);
                            paces.forget(&policy);
                        } else {
                            let known = desired.entry(policy.clone()).or_default();
                            // What its author waits for is not paced.
                            let edited = known.is_of_another(observed.as_ref());
                            known.observed = observed;
                            known.remediation = remediation.borrow().get(&policy).cloned().unwrap_or_default();
                            if edited || paces.may_write(&policy, Instant::now()) {
                                pending.insert(policy);
                            }
                        }
                    }
                }
                changed = remediation.changed(), if !remediation_closed => {
                    remediation_closed = changed.is_err();
                    let statuses = remediation.borrow_and_update().clone();
                    for (key, known) in &mut desired {
                        let status = statuses.get(key).cloned().unwrap_or_default();
                        if known.remediation != status {
                            known.remediation = status;
                            pending.insert(key.clone());
                        }
                    }
                }
                changed = called.changed(), if !called_closed => {
                    called_closed = changed.is_err();
                    let enforcing = desired.iter().filter(|(_, known)| known.enforces());
                    pending.extend(enforcing.map(|(key, _)| key.clone()));
                }
                changed = floor.changed(), if !floor_closed => {
                    floor_closed = changed.is_err();
                    let enforcing = desired.iter().filter(|(_, known)| known.enforces());
                    pending.extend(enforcing.map(|(key, _)| key.clone()));
                }
                changed = faults.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    take_faults(&mut desired, &mut pending, &faults.borrow_and_update());
                }
            }
        }
    }

    fn failed(&self, PolicyKey { namespace, name }: &PolicyKey, error: &str) {
        self.metrics.reconcile_failed();
        tracing::warn!(
            namespace,
            name,
            error,
            "cannot write the policy's status; it is tried again"
        );
    }

    /// Sends the Events on exemptions that end.
    fn tell(&self, key: &PolicyKey, uid: Option<&str>, notes: Vec<String>) {
        let Some(uid) = uid else { return };
        for note in notes {
            let about = NoticeAbout::Policy { key: key.clone(), uid: uid.to_owned() };
            let reason = EventReason::ExemptionEnds;
            tracing::warn!(policy = key.label(), "{note}");
            if self.notices.try_send(Notice { about, reason, note }).is_err() {
                tracing::warn!("an exemption ends without an Event: too many at once");
            }
        }
    }

    /// Writes the status if it changed; returns whether it did.
    async fn reconcile(
        &self,
        key: &PolicyKey,
        desired: &PolicyState,
        cache: &mut BTreeMap<PolicyKey, CachedPolicy>,
    ) -> Result<bool, WriteError> {
        let (api, resource) = policies::api(self.client.clone(), key.namespace.as_deref());
        // A second attempt with the current version, if the cached one is outdated.
        for try_again in [true, false] {
            if !cache.contains_key(key) {
                match api.get_opt(&key.name).await? {
                    Some(object) => drop(cache.insert(key.clone(), CachedPolicy::of(&object))),
                    None => return Ok(false),
                }
            }
            let Some(current) = cache.get(key) else { return Ok(false) };
            if desired.uid().is_some_and(|uid| Some(uid) != current.uid.as_deref()) {
                // The policy was deleted and created again. The audit will observe the new one.
                cache.remove(key);
                if try_again {
                    continue;
                }
                return Ok(false);
            }
            let status = desired.status(&current.status, Timestamp::now());
            let written = status != current.status;
            if written {
                let notes = notes(&current.status, &status);
                let uid = current.uid.clone();
                let patch = json!({
                    "apiVersion": resource.api_version,
                    "kind": resource.kind,
                    "metadata": {"resourceVersion": current.resource_version},
                    "status": status,
                });
                let params = PatchParams::apply(FIELD_MANAGER).force();
                let patch = Patch::Apply(patch);
                let call = api.patch_status(&key.name, &params, &patch);
                match self.claim.write(call).await {
                    Ok(object) => {
                        cache.insert(key.clone(), CachedPolicy::of(&object));
                        self.tell(key, uid.as_deref(), notes);
                    }
                    Err(error) if error.code() == Some(404) => return Ok(false),
                    Err(error) if error.code() == Some(409) && try_again => {
                        cache.remove(key);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            self.metrics.reconciled();
            (self.on_reconciled)(&Reconciled {
                policy: key.label(),
                message: desired.sentence(),
                written,
            });
            return Ok(written);
        }
        Ok(false)
    }
}

impl PolicyState {
    /// Whether this is the observation of another version of the policy, or the first.
    fn is_of_another(&self, observed: Option<&ObservedPolicy>) -> bool {
        let versions = self.observed.as_ref().zip(observed);
        versions.is_none_or(|(before, now)| !Arc::ptr_eq(&before.policy, &now.policy))
    }

    fn uid(&self) -> Option<&str> {
        let origin = self.observed.as_ref().and_then(|it| it.policy.origin.as_ref());
        origin.map(|it| &*it.uid).or_else(|| Some(&self.fault.as_ref()?.origin.uid))
    }

    fn sentence(&self) -> String {
        match (&self.observed, &self.fault) {
            (Some(observed), None) => observed.sentence(),
            (Some(observed), Some(fault)) => format!(
                "its newest version cannot be put in force: {}; {}, and finds: {}",
                fault.message,
                fault.in_force(),
                observed.sentence()
            ),
            (None, Some(fault)) => {
                format!("it cannot be put in force: {}; {}", fault.message, fault.in_force())
            }
            (None, None) => String::new(),
        }
    }
}

/// The policies whose status has changed with the time alone.
fn outdated(
    desired: &BTreeMap<PolicyKey, PolicyState>,
    cache: &BTreeMap<PolicyKey, CachedPolicy>,
    now: Timestamp,
) -> Vec<PolicyKey> {
    let written = desired.iter().filter_map(|(key, state)| Some((key, state, cache.get(key)?)));
    let outdated =
        written.filter(|(_, state, cached)| state.status(&cached.status, now) != cached.status);
    outdated.map(|(key, ..)| key.clone()).collect()
}

/// Applies the current faults, and adds the policies with changed faults to `pending`.
fn take_faults(
    desired: &mut BTreeMap<PolicyKey, PolicyState>,
    pending: &mut BTreeSet<PolicyKey>,
    faults: &Faults,
) {
    for (key, known) in &mut *desired {
        if known.fault.as_ref() != faults.get(key) {
            known.fault = faults.get(key).cloned();
            pending.insert(key.clone());
        }
    }
    for (key, fault) in &**faults {
        desired.entry(key.clone()).or_insert_with(|| {
            pending.insert(key.clone());
            PolicyState { fault: Some(fault.clone()), ..PolicyState::default() }
        });
    }
    desired.retain(|_, known| known.observed.is_some() || known.fault.is_some());
}

#[cfg(test)]
mod tests {
    use super::super::exemptions::tests::{ending, state};
    use super::*;
    use crate::client::script::Script;
    use crate::leader::claim::since_boot;
    use crate::metrics::Metrics;

    fn key() -> PolicyKey {
        PolicyKey { namespace: Some("shop".to_owned()), name: "own".to_owned() }
    }

    #[test]
    fn a_status_that_the_time_alone_changes_is_written_again() {
        let begin = "2026-06-01T00:00:00Z";
        let state = state(&json!([ending()]), &[(0, 1)], begin);
        let status = state.status(&DevOpsPolicyStatus::default(), begin.parse().unwrap());
        let cached = CachedPolicy { uid: None, resource_version: None, status };
        let (desired, cache) = ([(key(), state)].into(), [(key(), cached)].into());
        for (now, expected) in
            [("2026-06-22T23:59:59Z", vec![]), ("2026-06-23T00:00:00Z", vec![key()])]
        {
            assert_eq!(outdated(&desired, &cache, now.parse().unwrap()), expected, "{now}");
        }
    }

    /// The notes that are sent while this is the API server's answer to the new status.
    async fn told(answer: u16) -> Vec<String> {
        let before = "2026-06-01T00:00:00Z";
        let exemptions = json!([ending()]);
        let status = state(&exemptions, &[(0, 2)], before);
        let status = status.status(&DevOpsPolicyStatus::default(), before.parse().unwrap());
        let object = |status: Value| {
            json!({"apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
                "metadata": {"name": "own", "namespace": "shop", "uid": "1", "resourceVersion": "1"}, "status": status})
        };
        let refusal =
            json!({"kind": "Status", "status": "Failure", "message": "no", "code": answer});
        let answered = if answer == 200 { object(json!({})) } else { refusal };
        let script =
            Script::new([(200, object(serde_json::to_value(status).unwrap())), (answer, answered)]);
        let claim = Claim::default();
        claim.extend(since_boot() + Duration::from_mins(1));
        let (notices, mut sent) = mpsc::channel(9);
        let reconciler = Reconciler {
            client: script.client(),
            claim,
            metrics: Metrics::new().unwrap().audit,
            notices,
            on_reconciled: Box::new(|_| {}),
        };
        let ended = state(&exemptions, &[], "2026-07-01T00:00:00Z");
        let _ = reconciler.reconcile(&key(), &ended, &mut BTreeMap::new()).await;
        drop(reconciler);
        let mut notes = Vec::new();
        while let Some(Notice { about: NoticeAbout::Policy { uid, .. }, reason, note }) =
            sent.recv().await
        {
            assert_eq!((uid.as_str(), reason), ("1", EventReason::ExemptionEnds));
            notes.push(note);
        }
        notes
    }

    #[tokio::test]
    async fn the_end_of_an_exemption_is_told_once_the_status_that_says_so_is_written() {
        assert_eq!(
            told(200).await,
            [
                "the exemption of forbidLatestTag for cart (team shop: moves in June) ended at 2026-06-30T00:00:00Z; the \
              violations of 2 workloads are open now, and the policy enforces"
            ]
        );
        assert_eq!(told(403).await, Vec::<String>::new());
    }
}
