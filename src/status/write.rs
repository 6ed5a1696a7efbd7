//! Brings the status of policies up to what the audit found, by server-side apply. Only whoever leads runs it, and it
//! writes only what differs from what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::runtime::utils::Backoff;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::build::Desired;
use crate::api::DevOpsPolicyStatus;
use crate::client::backoff::Doubling;
use crate::leader::claim::{Claim, WriteError};
use crate::metrics::AuditMetrics;
use crate::policies::{self, Faults};
use crate::policy::key::PolicyKey;
use crate::policy::observed::{ObservedRemediation, PolicyUpdate};

const FIELD_MANAGER: &str = "podgate";
/// Longer than any answer takes; a call that hangs must not hold up the others for ever.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What remediation tells of policies that have it.
pub type Remediations = Arc<BTreeMap<PolicyKey, ObservedRemediation>>;

/// What became of a policy, for whoever looks on.
pub struct Reconciled {
    /// `NAMESPACE/NAME`, or the name of a cluster policy.
    pub policy: String,
    /// Its state in one sentence.
    pub message: String,
    /// Whether its status was written, because it said something else.
    pub written: bool,
}

pub struct Reconciler {
    pub client: Client,
    pub claim: Claim,
    pub metrics: AuditMetrics,
    pub on_reconciled: Box<dyn Fn(&Reconciled) + Send + Sync>,
}

/// A policy as the API server last gave it.
struct Seen {
    uid: Option<String>,
    resource_version: Option<String>,
    status: DevOpsPolicyStatus,
}

impl Seen {
    fn of(object: &DynamicObject) -> Self {
        let status = object.data.get("status").cloned().unwrap_or(Value::Null);
        Self {
            uid: object.uid(),
            resource_version: object.resource_version(),
            // One that podgate did not write may be anything; it is replaced.
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }
}

impl Reconciler {
    /// Writes until nothing comes any more, or this podgate does not lead any more.
    pub async fn run(
        self,
        mut updates: mpsc::Receiver<Vec<PolicyUpdate>>,
        mut faults: watch::Receiver<Faults>,
        mut remediation: watch::Receiver<Remediations>,
    ) {
        let mut desired: BTreeMap<PolicyKey, Desired> = BTreeMap::new();
        let mut pending = BTreeSet::new();
        let mut seen = BTreeMap::new();
        let mut backoff = Doubling::default();
        let mut told_last = false;
        take_faults(&mut desired, &mut pending, &faults.borrow_and_update());
        loop {
            let mut wait = None;
            for key in std::mem::take(&mut pending) {
                let Some(wanted) = desired.get(&key) else { continue };
                match tokio::time::timeout(TIMEOUT, self.reconcile(&key, wanted, &mut seen)).await {
                    Ok(Ok(())) => backoff.reset(),
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
                update = updates.recv() => {
                    let Some(update) = update else { return };
                    for PolicyUpdate { policy, observed } in update {
                        if observed.is_none() {
                            seen.remove(&policy);
                            desired.remove(&policy);
                        } else {
                            let known = desired.entry(policy.clone()).or_default();
                            known.observed = observed;
                            known.remediation = remediation.borrow().get(&policy).cloned().unwrap_or_default();
                            pending.insert(policy);
                        }
                    }
                }
                changed = remediation.changed(), if !told_last => {
                    // What is gone has told its last.
                    told_last = changed.is_err();
                    let told = remediation.borrow_and_update().clone();
                    for (key, known) in &mut desired {
                        let told = told.get(key).cloned().unwrap_or_default();
                        if known.remediation != told {
                            known.remediation = told;
                            pending.insert(key.clone());
                        }
                    }
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

    async fn reconcile(
        &self,
        key: &PolicyKey,
        desired: &Desired,
        seen: &mut BTreeMap<PolicyKey, Seen>,
    ) -> Result<(), WriteError> {
        let (api, resource) = policies::api(self.client.clone(), key.namespace.as_deref());
        // Once more with what is there now, if it is not what it was.
        for try_again in [true, false] {
            if !seen.contains_key(key) {
                match api.get_opt(&key.name).await? {
                    Some(object) => drop(seen.insert(key.clone(), Seen::of(&object))),
                    None => return Ok(()),
                }
            }
            let Some(current) = seen.get(key) else { return Ok(()) };
            if desired.uid().is_some_and(|uid| Some(uid) != current.uid.as_deref()) {
                // It was deleted and made anew: the audit will hear of it too.
                seen.remove(key);
                if try_again {
                    continue;
                }
                return Ok(());
            }
            let status = desired.status(&current.status, Timestamp::now());
            let written = status != current.status;
            if written {
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
                    Ok(object) => drop(seen.insert(key.clone(), Seen::of(&object))),
                    Err(error) if error.code() == Some(404) => return Ok(()),
                    Err(error) if error.code() == Some(409) && try_again => {
                        seen.remove(key);
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
            return Ok(());
        }
        Ok(())
    }
}

impl Desired {
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

/// Notes which policies have other faults than before.
fn take_faults(
    desired: &mut BTreeMap<PolicyKey, Desired>,
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
            Desired { fault: Some(fault.clone()), ..Desired::default() }
        });
    }
    desired.retain(|_, known| known.observed.is_some() || known.fault.is_some());
}
