//! The record of a repair: an annotation on the workload with all that the next leader needs to finish the repair or to
//! roll it back. Pure.
//!
//! One write carries the record and the patch of the template, so neither exists without the other.
//!
//! Anyone who may change the workload may also write the annotation, so [`Record::of`] validates it: the record must
//! have the workload's uid and plausible times, and its inverse may remove only what a repair adds
//! ([`super::repaired`]). While podgate's webhook is called, only podgate can write the record of a repair in flight
//! (`admission::repairs`).

use jiff::{SignedDuration, Timestamp};
use json_patch::PatchOperation;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::compile::Policy;
use super::pointer::{at, place};
use super::registry;
use super::repaired;
use super::text;
use crate::api::RemediationState;

/// The annotation that holds the record, as JSON.
pub const ANNOTATION: &str = "devops.stochastic.io/remediation";
/// The label of workloads with a repair in flight. Its only value is [`IN_FLIGHT`].
pub const LABEL: &str = "devops.stochastic.io/remediation";
pub const IN_FLIGHT: &str = "in-flight";

/// The longest record, in bytes. The API server allows 256 KiB for all annotations of an object.
const MAX_RECORD: usize = 64 * 1024;
/// The longest message of a workload in a policy's status, in bytes.
const MAX_MESSAGE: usize = 512;
/// The longest rollout timeout that a policy or `podgate remediate` may set.
const MAX_TIMEOUT: SignedDuration = SignedDuration::from_hours(24);
/// The largest accepted difference between the clocks of two machines.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A policy, in the version that requested a repair.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct PolicyRef {
    /// `NAMESPACE/NAME`, or the name of a cluster policy.
    pub policy: String,
    pub uid: String,
    pub generation: i64,
}

impl PolicyRef {
    /// The reference to a policy; `None` if the policy comes from a file.
    pub fn of(policy: &Policy) -> Option<Self> {
        let origin = policy.origin.as_ref()?;
        let (uid, generation) = (origin.uid.clone(), origin.generation);
        Some(Self { policy: policy.label.clone(), uid, generation })
    }

    /// Whether it refers to this policy, in any version.
    pub fn is(&self, policy: &Policy) -> bool {
        Self::of(policy).is_some_and(|it| it.policy == self.policy && it.uid == self.uid)
    }
}

/// Who started a repair, and finishes it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StartedBy {
    /// The leader.
    #[default]
    Podgate,
    /// A person, with `podgate remediate` and their own permissions. The leader does not touch the repair.
    Person,
}

/// A repair of a workload, as its annotation records it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub state: RemediationState,
    /// The reason for the state, as a sentence.
    #[serde(default)]
    pub message: String,
    /// The workload's `metadata.uid`: a copy of the record on another workload is invalid.
    #[serde(default)]
    pub uid: String,
    #[serde(default)]
    pub by: StartedBy,
    pub policies: Vec<PolicyRef>,
    /// The ids of the rules that it satisfies.
    pub rules: Vec<String>,
    pub began: Timestamp,
    /// When it is rolled back if the rollout is not complete.
    pub deadline: Timestamp,
    /// The number of attempts with the same template before and after.
    pub attempts: u32,
    /// The hashes of the template without and with the repair ([`fingerprint`]).
    pub before: String,
    pub after: String,
    /// The number of available pods before the repair.
    pub available: i64,
    /// The JSON Patch from the repaired template to the original one, with paths from the object's root.
    pub inverse: Vec<PatchOperation>,
}

/// Why a record is invalid, as the end of a sentence about it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidRecord {
    #[error("it is longer than {MAX_RECORD} bytes")]
    TooLong,
    #[error("this version of podgate cannot read it")]
    Unreadable,
    #[error("it is of another workload: its uid is not this one's")]
    OtherWorkload,
    #[error("its times are not plausible")]
    Times,
    #[error("its inverse does not remove exactly what a repair adds")]
    Inverse,
}

/// A workload's template compared with its record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TemplateState {
    /// The template with the repair.
    Repaired,
    /// The template without the repair.
    Reverted,
    /// Neither: someone changed it since.
    Other,
}

impl Record {
    /// The record of an object; `None` if it has none.
    ///
    /// # Errors
    /// The annotation is not a valid record of this object.
    pub fn of(object: &Value, now: Timestamp) -> Option<Result<Self, InvalidRecord>> {
        let annotation = at(object, &place("annotations", ANNOTATION));
        (!annotation.is_null()).then(|| Self::read(annotation, object, now))
    }

    fn read(annotation: &Value, object: &Value, now: Timestamp) -> Result<Self, InvalidRecord> {
        let written = annotation.as_str().ok_or(InvalidRecord::Unreadable)?;
        if written.len() > MAX_RECORD {
            return Err(InvalidRecord::TooLong);
        }
        let mut record: Self =
            serde_json::from_str(written).map_err(|_| InvalidRecord::Unreadable)?;
        if record.uid.is_empty() || at(object, "/metadata/uid") != record.uid.as_str() {
            return Err(InvalidRecord::OtherWorkload);
        }
        let took = record.deadline.duration_since(record.began);
        let future = record.began.duration_since(now) > SKEW;
        if future || took.is_negative() || took > MAX_TIMEOUT {
            return Err(InvalidRecord::Times);
        }
        if record.template(object) == TemplateState::Repaired {
            record.taken_back(object)?;
        }
        // Message and rules are shown to people, so they are bounded and known.
        record.message = text::brief(record.message, MAX_MESSAGE);
        record.rules.retain(|rule| registry::find(rule).is_some());
        Ok(record)
    }

    /// Compares an object's template with the record.
    pub fn template(&self, object: &Value) -> TemplateState {
        match fingerprint(object) {
            found if found == self.after => TemplateState::Repaired,
            found if found == self.before => TemplateState::Reverted,
            _ => TemplateState::Other,
        }
    }

    /// The template of a repaired object without the repair.
    ///
    /// # Errors
    /// The inverse does not fit the template, removes nothing, or removes more than a repair adds.
    pub fn taken_back(&self, repaired: &Value) -> Result<Value, InvalidRecord> {
        // The operations that `json_patch::diff` makes. Copies of copies could exhaust the memory.
        let plain = |it: &PatchOperation| {
            use PatchOperation::{Add, Remove, Replace};
            matches!(it, Add(_) | Remove(_) | Replace(_))
        };
        if !self.inverse.iter().all(plain) {
            return Err(InvalidRecord::Inverse);
        }
        let template = at(repaired, "/spec/template");
        // The document has only the template, so the patch cannot copy anything else into it.
        let mut object = json!({"spec": {"template": template}});
        json_patch::patch(&mut object, &self.inverse).map_err(|_| InvalidRecord::Inverse)?;
        let back = at(&object, "/spec/template").clone();
        let valid = back != *template && repaired::is_repair(&back, template);
        valid.then_some(back).ok_or(InvalidRecord::Inverse)
    }

    /// The value of the annotation.
    ///
    /// # Errors
    /// It would be too long to be read again.
    pub fn text(&self) -> Result<String, InvalidRecord> {
        let text = serde_json::to_string(self).map_err(|_| InvalidRecord::Unreadable)?;
        if text.len() > MAX_RECORD { Err(InvalidRecord::TooLong) } else { Ok(text) }
    }
}

/// Whether an object has the label of a repair in flight.
pub fn is_in_flight(object: &Value) -> bool {
    at(object, &place("labels", LABEL)) == IN_FLIGHT
}

/// The hash of an object's pod template.
pub fn fingerprint(object: &Value) -> String {
    hash(at(object, "/spec/template"))
}

/// The hash of a pod template.
pub fn hash(template: &Value) -> String {
    // The keys of a `Value` are sorted, so equal templates have equal texts.
    text::hash(&template.to_string())
}

#[cfg(test)]
mod tests;
