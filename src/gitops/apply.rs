//! Writes policies to a cluster: all of them, or none.
//!
//! [`ApplyPlan::make`] sends every policy as a dry run first. [`ApplyPlan::refusals`] are the API server's objections;
//! write only a plan without any. Kubernetes has no transaction over several objects, so a later write may still fail.

use kube::api::{Api, DynamicObject, Patch, PatchParams, ValidationDirective};
use serde_json::Value;

use super::desired::Desired;
use super::leftover::{self, FIELD_MANAGER, Leftover, leftovers};
use super::live;
use super::refusal::WriteRefusal;
use crate::client::dry_run::DryRun;
use crate::clusters::Cluster;
use crate::manifests::canonical::canonical;
use crate::policies;
use crate::policy::key::PolicyKey;

/// What to do about fields that another field manager set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Conflicts {
    /// Refuse to write the policy.
    Refuse,
    /// Take the fields over, as kubectl's `--force-conflicts` does.
    Force,
}

/// The effect of a write on a policy, in kubectl's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ApplyOutcome {
    Created,
    Configured,
    Unchanged,
}

impl ApplyOutcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A policy that was written, or that a dry run accepted.
#[derive(Clone, Debug)]
pub struct Applied {
    pub key: PolicyKey,
    pub outcome: ApplyOutcome,
    /// The canonical form of the result.
    pub policy: Value,
}

/// Desired policies, and the outcome of their dry runs.
pub struct ApplyPlan<'a> {
    cluster: &'a Cluster,
    desired: &'a [Desired],
    conflicts: Conflicts,
    /// The outcome of each policy that the dry run accepted.
    pub applied: Vec<Applied>,
    /// Why the dry run refused the others.
    pub refusals: Vec<WriteRefusal>,
}

impl<'a> ApplyPlan<'a> {
    /// Sends every policy as a dry run; nothing is written.
    pub async fn make(cluster: &'a Cluster, desired: &'a [Desired], conflicts: Conflicts) -> Self {
        let (applied, refusals) = (Vec::new(), Vec::new());
        let mut plan = Self { cluster, desired, conflicts, applied, refusals };
        for desired in desired {
            match plan.send(desired, DryRun::Yes).await {
                Ok(applied) => plan.applied.push(applied),
                Err(refusal) => plan.refusals.push(refusal),
            }
        }
        plan
    }

    /// The policies to write, in order; see [`Self::write`].
    pub fn desired(&self) -> &'a [Desired] {
        self.desired
    }

    /// Writes one policy.
    ///
    /// # Errors
    /// The API server refuses it although it accepted the dry run.
    pub async fn write(&self, desired: &Desired) -> Result<Applied, WriteRefusal> {
        self.send(desired, DryRun::No).await
    }

    async fn send(&self, desired: &Desired, dry_run: DryRun) -> Result<Applied, WriteRefusal> {
        let Desired { key, place, policy } = desired;
        let (api, _) = policies::api(self.cluster.client.clone(), key.namespace.as_deref());
        let before = live::get(self.cluster, key, place).await?;
        let deleting = before.as_ref().and_then(|it| it.pointer("/metadata/deletionTimestamp"));
        if deleting.is_some() {
            let message = "it is being deleted; import it again when it is gone";
            return Err(desired.refused(message));
        }
        let refused = |error| WriteRefusal::of(place.clone(), key, self.cluster, error);
        let params = PatchParams {
            dry_run: dry_run == DryRun::Yes,
            force: self.conflicts == Conflicts::Force,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            // Otherwise the API server would silently drop fields that its CRD does not have yet.
            field_validation: Some(ValidationDirective::Strict),
        };
        let after = api.patch(&key.name, &params, &Patch::Apply(policy)).await.map_err(refused)?;
        let mut after = live::json(&after);
        let left = leftovers(&after, policy);
        let foreign: Vec<_> = left.iter().filter(|it| !it.own).collect();
        if self.conflicts == Conflicts::Refuse && !foreign.is_empty() {
            return Err(desired.refused(&describe(&foreign)));
        }
        if !left.is_empty() {
            after = match dry_run {
                DryRun::Yes => policy.clone(),
                DryRun::No => remove(&api, key, &after, &left).await.map_err(refused)?,
            };
        }
        let outcome = match before {
            None => ApplyOutcome::Created,
            Some(before) if canonical(&before) == canonical(&after) => ApplyOutcome::Unchanged,
            Some(_) => ApplyOutcome::Configured,
        };
        Ok(Applied { key: key.clone(), outcome, policy: canonical(&after) })
    }
}

fn describe(leftovers: &[&Leftover]) -> String {
    let fields: Vec<_> = leftovers.iter().map(|it| it.describe()).collect();
    format!(
        "the cluster's policy differs from the file in fields that another manager set ({}); put them into the file, or overwrite them with --force-conflicts",
        fields.join("; ")
    )
}

/// Removes the fields that server-side apply leaves on the live policy.
async fn remove(
    api: &Api<DynamicObject>,
    key: &PolicyKey,
    live: &Value,
    left: &[Leftover],
) -> Result<Value, kube::Error> {
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Json::<()>(leftover::patch(live, left));
    Ok(super::live::json(&api.patch(&key.name, &params, &patch).await?))
}
