//! What a workload carries of its repair: enough for whoever leads next to finish it or to take it back. Pure.
//!
//! It is written in the same write as the patch of the template, so there is never a patch without its record, nor a
//! record without its patch.

use jiff::Timestamp;
use json_patch::PatchOperation;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::at;

use crate::api::RemediationState;
use crate::policy::compile::Policy;
use crate::policy::picture::label;
use crate::policy::text;

/// The annotation that holds the record, as JSON.
pub const ANNOTATION: &str = "devops.stochastic.io/remediation";
/// The label by which workloads are found whose rollout is watched. It has no other value.
pub const LABEL: &str = "devops.stochastic.io/remediation";
pub const IN_FLIGHT: &str = "in-flight";

/// A policy in the version that asked.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Asker {
    /// `NAMESPACE/NAME`, or the name alone.
    pub policy: String,
    pub uid: String,
    pub generation: i64,
}

impl Asker {
    /// `None` of a policy that is no object of a cluster.
    pub fn of(policy: &Policy) -> Option<Self> {
        let origin = policy.origin.as_ref()?;
        let (uid, generation) = (origin.uid.clone(), origin.generation);
        Some(Self { policy: label(&policy.key()), uid, generation })
    }
}

/// A repair.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub state: RemediationState,
    /// Why it is in that state.
    #[serde(default)]
    pub message: String,
    pub policies: Vec<Asker>,
    /// The rules that it satisfies.
    pub rules: Vec<String>,
    pub began: Timestamp,
    /// When it is taken back, if it is not done.
    pub deadline: Timestamp,
    /// How often it was tried with the same template before and after.
    pub attempts: u32,
    /// What the template was and is, as hashes of it.
    pub before: String,
    pub after: String,
    /// How many pods were available before.
    pub available: i64,
    /// What makes the template what it was before.
    pub inverse: Vec<PatchOperation>,
}

/// Whose hand a workload's template shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Template {
    /// It is as the repair left it.
    Repaired,
    /// It is as it was before.
    Reverted,
    /// It is neither: somebody went on from it.
    Other,
}

impl Record {
    /// The record of an object, if it has one that can be read.
    pub fn of(object: &Value) -> Option<Self> {
        let text = at(object, &place("annotations", ANNOTATION)).as_str()?;
        serde_json::from_str(text).ok()
    }

    /// Whose hand the template shows.
    pub fn template(&self, object: &Value) -> Template {
        match fingerprint(object) {
            found if found == self.after => Template::Repaired,
            found if found == self.before => Template::Reverted,
            _ => Template::Other,
        }
    }

    /// As it stands in the annotation.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The pointer to one of an object's labels or annotations.
pub(super) fn place(part: &str, key: &str) -> String {
    format!("/metadata/{part}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A hash of an object's pod template, by which it is known again.
pub fn fingerprint(object: &Value) -> String {
    // The keys of a `Value` are in order, so equal templates have equal texts.
    text::hash(&at(object, "/spec/template").to_string())
}
