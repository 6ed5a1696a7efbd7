//! Writes policies as files say them: all of them, or none.
//!
//! [`ApplyPlan::make`] has the API server try everything first, by a dry run; [`ApplyPlan::refusals`] is what stands against it. Only a plan
//! that nothing stands against is carried out. No transaction spans objects in Kubernetes, so a write may still fail.

use kube::api::{Api, DynamicObject, Patch, PatchParams, ValidationDirective};
use serde_json::{Value, json as value};

use super::leftover::{self, Leftover, leftovers};
use super::{Blame, Desired, FIELD_MANAGER, Refusal, live};
use crate::clusters::Cluster;
use crate::manifests::canonical::canonical;
use crate::policies;
use crate::policy::key::PolicyKey;

/// What a write does to a policy, in kubectl's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    Created,
    Configured,
    Unchanged,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A policy that was written, or would be.
#[derive(Clone, Debug)]
pub struct Applied {
    pub key: PolicyKey,
    pub outcome: Outcome,
    /// As the API server has it.
    pub policy: Value,
}

/// What files ask for, tried out.
pub struct ApplyPlan<'a> {
    cluster: &'a Cluster,
    desired: &'a [Desired],
    /// Whether fields that somebody else set are taken over.
    force: bool,
    /// What each write would do, where nothing stands against any.
    pub applied: Vec<Applied>,
    pub refusals: Vec<Refusal>,
}

impl<'a> ApplyPlan<'a> {
    /// Tries everything; writes nothing.
    pub async fn make(cluster: &'a Cluster, desired: &'a [Desired], force: bool) -> Self {
        let mut plan = Self { cluster, desired, force, applied: Vec::new(), refusals: Vec::new() };
        for desired in desired {
            match plan.write(desired, true).await {
                Ok(applied) => plan.applied.push(applied),
                Err(refusal) => plan.refusals.push(refusal),
            }
        }
        plan
    }

    /// Writes one after the other, and calls `written` after each.
    ///
    /// # Errors
    /// One could not be written, though the dry run of it went well; those after it are not.
    pub async fn carry_out<E: From<Refusal>>(
        self,
        mut written: impl FnMut(&Applied) -> Result<(), E>,
    ) -> Result<(), E> {
        for desired in self.desired {
            let applied = self.write(desired, false).await?;
            written(&applied)?;
        }
        Ok(())
    }

    async fn write(&self, desired: &Desired, dry_run: bool) -> Result<Applied, Refusal> {
        let Desired { key, place, policy } = desired;
        let (api, _) = policies::api(self.cluster.client.clone(), key.namespace.as_deref());
        let before = live::get(self.cluster, key, place).await?;
        let deleting = before.as_ref().and_then(|it| it.pointer("/metadata/deletionTimestamp"));
        if deleting.is_some() {
            let message = "it is being deleted; import it again when it is gone";
            return Err(desired.refused(message));
        }
        let refused = |error| Refusal::of(place.clone(), key, self.cluster, error);
        let params = PatchParams {
            dry_run,
            force: self.force,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            // A field that the cluster's CRD does not know yet would be left out without a word.
            field_validation: Some(ValidationDirective::Strict),
        };
        let after = api.patch(&key.name, &params, &Patch::Apply(policy)).await.map_err(refused)?;
        let mut after = json(&after);
        let left = leftovers(&after, policy);
        let foreign: Vec<_> = left.iter().filter(|it| !it.own).collect();
        if !self.force && !foreign.is_empty() {
            return Err(desired.refused(&describe(&foreign)));
        }
        if !left.is_empty() {
            after = if dry_run {
                policy.clone()
            } else {
                take_over(&api, key, &after, &left).await.map_err(refused)?
            };
        }
        let outcome = match before {
            None => Outcome::Created,
            Some(before) if canonical(&before) == canonical(&after) => Outcome::Unchanged,
            Some(_) => Outcome::Configured,
        };
        Ok(Applied { key: key.clone(), outcome, policy: canonical(&after) })
    }
}

impl Desired {
    fn refused(&self, message: &str) -> Refusal {
        let message = format!("{}: {message}", self.key);
        Refusal { place: self.place.clone(), message, blame: Blame::Cluster }
    }
}

fn describe(leftovers: &[&Leftover]) -> String {
    let fields: Vec<_> = leftovers.iter().map(|it| it.describe()).collect();
    format!(
        "the cluster's policy has what the file does not say ({}); put it into the file, or take it away with --force-conflicts",
        fields.join("; ")
    )
}

/// Takes away what server-side apply leaves.
async fn take_over(
    api: &Api<DynamicObject>,
    key: &PolicyKey,
    live: &Value,
    left: &[Leftover],
) -> Result<Value, kube::Error> {
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Json::<()>(leftover::patch(live, left));
    Ok(json(&api.patch(&key.name, &params, &patch).await?))
}

/// An object as the JSON it came in.
pub(super) fn json(object: &DynamicObject) -> Value {
    value!(object)
}
