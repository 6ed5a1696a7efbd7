//! Reviews of updates that concern repairs. podgate's own update that begins or rolls back a repair must not be denied
//! for violations that the workload had before; another user's update must not forge podgate's record of a repair.
//! Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::answer;
use super::judged::Judged;
use super::review::{Operation, Request, ReviewObjects, whole_objects};
use crate::api::{RemediationMode, RemediationState};
use crate::policy::decision::Outcome;
use crate::policy::plan::EvaluationPlan;
use crate::policy::pointer::at;
use crate::policy::record::{ANNOTATION, LABEL, Record, StartedBy, TemplateState, is_in_flight};
use crate::policy::repaired::is_repair;
use crate::policy::workload::Kind;

/// Whether podgate's own update changes nothing in the template except that it begins the repair in the new object's
/// record, or rolls back the repair in the old object's record. The dry run before a repair has no record yet.
pub(super) fn is_repair_step(request: &Request<'_>, body: &[u8], now: Timestamp) -> bool {
    let ReviewObjects { object: Some(new), old_object: Some(old) } = whole_objects(body) else {
        return false;
    };
    let begins_unrecorded = || is_repair(at(&old, "/spec/template"), at(&new, "/spec/template"));
    is_repair_of(&new, &old, now)
        || is_repair_of(&old, &new, now)
        || request.dry_run == Some(true) && begins_unrecorded()
}

/// Whether an object has the record of an in-flight repair whose rollback results in the other object's template.
fn is_repair_of(repaired: &Value, other: &Value, now: Timestamp) -> bool {
    let Some(Ok(record)) = Record::of(repaired, now) else { return false };
    is_in_flight(repaired)
        && record.by == StartedBy::Podgate
        && record.state == RemediationState::RollingOut
        && record.template(repaired) == TemplateState::Repaired
        && record.taken_back(repaired).is_ok_and(|back| back == *at(other, "/spec/template"))
}

/// The denial of another user's update that writes podgate's record of an in-flight repair, where podgate would act on
/// the record. A record that was copied from another workload is allowed: podgate ignores it.
pub(super) fn forged(
    request: &Request<'_>,
    kind: Kind,
    operation: Operation,
    plan: &EvaluationPlan,
    body: &[u8],
    now: Timestamp,
) -> Option<Judged> {
    let repairs = plan.policies().iter().any(|it| it.repair.mode == RemediationMode::Apply);
    // Few workloads have a record, and only their objects are read whole.
    if !repairs
        || operation != Operation::Update
        || !std::str::from_utf8(body).is_ok_and(|body| body.contains(ANNOTATION))
    {
        return None;
    }
    let ReviewObjects { object: Some(new), old_object } = whole_objects(body) else { return None };
    let marks = |object: &Value| {
        let metadata = at(object, "/metadata");
        let mark = |part: &str, key: &str| metadata.get(part)?.get(key).cloned();
        (mark("annotations", ANNOTATION), mark("labels", LABEL))
    };
    let record = Record::of(&new, now)?.ok()?;
    let acts = is_in_flight(&new)
        && record.by == StartedBy::Podgate
        && matches!(record.state, RemediationState::RollingOut | RemediationState::RolledBack);
    if !acts || old_object.is_some_and(|old| marks(&old) == marks(&new)) {
        return None;
    }
    let message = format!(
        "annotation and label {ANNOTATION} are podgate's own record of a repair under way; leave both as they are, or remove both"
    );
    let answer = answer::forbidden(&request.uid, message);
    Some(Judged::with_outcome(Outcome::Deny, Some(kind), operation, answer))
}

#[cfg(test)]
mod tests;
