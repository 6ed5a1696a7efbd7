//! What a workload carries of its repair: enough for the next leader to finish it or to take it back. Pure.
//!
//! It is written in the same write as the patch of the template, so there is never a patch without its record, nor a
//! record without its patch.
//!
//! Whoever may change the workload may write the record too, so it is not believed because it is there ([`Record::of`]):
//! it must be this workload's, of sane times, and take out nothing but what a repair puts in ([`super::repaired`]).
//! While podgate's webhook is called, nobody else can write one of a repair under way (`admission::repairs`).

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
/// The label by which workloads are found whose rollout is watched. It has no other value.
pub const LABEL: &str = "devops.stochastic.io/remediation";
pub const IN_FLIGHT: &str = "in-flight";

/// The longest record, in bytes. All annotations of an object together have 256 KiB.
const MAX_RECORD: usize = 64 * 1024;
/// The longest message that a status takes.
const MAX_MESSAGE: usize = 512;
/// The longest time that a policy or a person gives a rollout.
const MAX_TIMEOUT: SignedDuration = SignedDuration::from_hours(24);
/// How far two machines' clocks may be apart.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A policy in the version that asked.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct PolicyRef {
    /// `NAMESPACE/NAME`, or the name alone.
    pub policy: String,
    pub uid: String,
    pub generation: i64,
}

impl PolicyRef {
    /// `None` of a policy that is no object of a cluster.
    pub fn of(policy: &Policy) -> Option<Self> {
        let origin = policy.origin.as_ref()?;
        let (uid, generation) = (origin.uid.clone(), origin.generation);
        Some(Self { policy: policy.label.clone(), uid, generation })
    }

    /// Whether it is a version of this policy.
    pub fn is(&self, policy: &Policy) -> bool {
        Self::of(policy).is_some_and(|it| it.policy == self.policy && it.uid == self.uid)
    }
}

/// Who began a repair, and sees it through.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StartedBy {
    /// The leader.
    #[default]
    Podgate,
    /// A person, with `podgate remediate`, by their own rights: the leader leaves it to them.
    Person,
}

/// A repair.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub state: RemediationState,
    /// Why it is in that state.
    #[serde(default)]
    pub message: String,
    /// The workload's `metadata.uid`, so that a copy on another one says nothing.
    #[serde(default)]
    pub uid: String,
    #[serde(default)]
    pub by: StartedBy,
    pub policies: Vec<PolicyRef>,
    /// The rules that it satisfies.
    pub rules: Vec<String>,
    pub began: Timestamp,
    /// When it is taken back, if it is not done.
    pub deadline: Timestamp,
    /// How often it was tried with the same template before and after.
    pub attempts: u32,
    /// What the template is without the repair and with it, as hashes of it.
    pub before: String,
    pub after: String,
    /// How many pods were available before.
    pub available: i64,
    /// What makes the template what it was before.
    pub inverse: Vec<PatchOperation>,
}

/// Why a record is not believed, as the end of a sentence about it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidRecord {
    #[error("it is longer than {MAX_RECORD} bytes")]
    TooLong,
    #[error("it is no record of this podgate")]
    Unreadable,
    #[error("it is of another workload: its uid is not this one's")]
    OtherWorkload,
    #[error("its times are none that podgate writes")]
    Times,
    #[error("it would not take out what a repair puts in, and only that")]
    Inverse,
}

/// Whose hand a workload's template shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TemplateState {
    /// It is as the repair left it.
    Repaired,
    /// It is as it was before.
    Reverted,
    /// It is neither: somebody went on from it.
    Other,
}

impl Record {
    /// The record of an object; `None` where it has none.
    ///
    /// # Errors
    /// Why it is not believed.
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
        // They are shown to people.
        record.message = text::brief(record.message, MAX_MESSAGE);
        record.rules.retain(|rule| registry::find(rule).is_some());
        Ok(record)
    }

    /// Whose hand the template shows.
    pub fn template(&self, object: &Value) -> TemplateState {
        match fingerprint(object) {
            found if found == self.after => TemplateState::Repaired,
            found if found == self.before => TemplateState::Reverted,
            _ => TemplateState::Other,
        }
    }

    /// The repaired object's template as it is without the repair.
    ///
    /// # Errors
    /// The inverse does not fit the template, or would take out nothing, or more than a repair puts in.
    pub fn taken_back(&self, repaired: &Value) -> Result<Value, InvalidRecord> {
        // Such as `json_patch::diff` makes them; copies of copies would fill the memory.
        let plain = |it: &PatchOperation| {
            use PatchOperation::{Add, Remove, Replace};
            matches!(it, Add(_) | Remove(_) | Replace(_))
        };
        if !self.inverse.iter().all(plain) {
            return Err(InvalidRecord::Inverse);
        }
        let template = at(repaired, "/spec/template");
        // Nothing but the template is at hand, so nothing else can be copied into it.
        let mut object = json!({"spec": {"template": template}});
        json_patch::patch(&mut object, &self.inverse).map_err(|_| InvalidRecord::Inverse)?;
        let back = at(&object, "/spec/template").clone();
        let believed = back != *template && repaired::is_repair(&back, template);
        believed.then_some(back).ok_or(InvalidRecord::Inverse)
    }

    /// As it stands in the annotation.
    ///
    /// # Errors
    /// It would not be believed again.
    pub fn text(&self) -> Result<String, InvalidRecord> {
        let text = serde_json::to_string(self).map_err(|_| InvalidRecord::Unreadable)?;
        if text.len() > MAX_RECORD { Err(InvalidRecord::TooLong) } else { Ok(text) }
    }
}

/// Whether an object carries the label of a repair under way.
pub fn is_in_flight(object: &Value) -> bool {
    at(object, &place("labels", LABEL)) == IN_FLIGHT
}

/// A hash of an object's pod template, by which it is known again.
pub fn fingerprint(object: &Value) -> String {
    hash(at(object, "/spec/template"))
}

/// A hash of a pod template.
pub fn hash(template: &Value) -> String {
    // The keys of a `Value` are in order, so equal templates have equal texts.
    text::hash(&template.to_string())
}

#[cfg(test)]
mod tests;
