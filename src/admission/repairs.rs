//! Updates of workloads that have to do with repairs: podgate's own, which must not be denied for what the workload was
//! before, and everybody else's, which must not write what podgate would take for a repair of its own. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::answer;
use super::judged::Judged;
use super::review::{Objects, Operation, Request, whole_objects};
use crate::api::{RemediationMode, RemediationState};
use crate::policy::decision::Outcome;
use crate::policy::pointer::at;
use crate::policy::policy_set::EvaluationPlan;
use crate::policy::record::{ANNOTATION, LABEL, Record, StartedBy, TemplateState, is_in_flight};
use crate::policy::repaired::is_repair;
use crate::policy::workload::Kind;

/// Whether podgate's own update does nothing to the template but begin the repair that the new object's record tells of,
/// or take back the one that the old object's record tells of. The dry run before a repair has no record yet.
pub(super) fn is_step(request: &Request<'_>, body: &[u8], now: Timestamp) -> bool {
    let Objects { object: Some(new), old_object: Some(old) } = whole_objects(body) else {
        return false;
    };
    let tries = || is_repair(at(&old, "/spec/template"), at(&new, "/spec/template"));
    leads_back(&new, &old, now)
        || leads_back(&old, &new, now)
        || request.dry_run == Some(true) && tries()
}

/// Whether an object carries the record of a repair under way, without which its template is the other object's.
fn leads_back(repaired: &Value, other: &Value, now: Timestamp) -> bool {
    let Some(Ok(record)) = Record::of(repaired, now) else { return false };
    is_in_flight(repaired)
        && record.by == StartedBy::Podgate
        && record.state == RemediationState::RollingOut
        && record.template(repaired) == TemplateState::Repaired
        && record.taken_back(repaired).is_ok_and(|back| back == *at(other, "/spec/template"))
}

/// The answer to somebody else's update that writes the record of a repair under way by podgate, where podgate might act
/// on it. A copy of a record on another workload says nothing, and is let through.
pub(super) fn forged(
    request: &Request<'_>,
    kind: Kind,
    operation: Operation,
    plan: &EvaluationPlan,
    body: &[u8],
    now: Timestamp,
) -> Option<Judged> {
    let repairs = plan.policies().iter().any(|it| it.repair.mode == RemediationMode::Apply);
    // Few workloads have one, and only they are read whole.
    if !repairs
        || operation != Operation::Update
        || !std::str::from_utf8(body).is_ok_and(|body| body.contains(ANNOTATION))
    {
        return None;
    }
    let Objects { object: Some(new), old_object } = whole_objects(body) else { return None };
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
    Some(Judged {
        answer: answer::forbidden(&request.uid, message),
        decision: Outcome::Deny.as_str(),
        kind: Some(kind),
        operation,
        patch_operations: 0,
        interrupted: None,
        denial: None,
    })
}

#[cfg(test)]
mod tests;
