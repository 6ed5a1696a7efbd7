//! `/mutate`: AdmissionReview v1 to a JSON Patch. Pure.
//!
//! It patches Pods at their creation, and nothing else: a pod template stays as it is in git, and is judged as the pods
//! that will be created from it. It never denies.

use jiff::Timestamp;

use super::answer;
use super::judged::Judged;
use super::review::{BadReview, Operation, decode, whole_objects};
use crate::metrics::Decided;
use crate::policy::mutation::inject;
use crate::policy::policy_set::PolicySet;
use crate::policy::workload::Kind;

/// Answers an AdmissionReview with the patch that the policies in force make for its pod.
///
/// # Errors
/// The body is not a review that podgate can judge; see [`BadReview`].
pub fn mutate_review(
    body: &[u8],
    policies: &PolicySet,
    now: Timestamp,
) -> Result<Judged, BadReview> {
    let request = decode(body)?;
    let (operation, kind) = (request.operation()?, request.kind()?);
    if operation != Operation::Create || kind != Some(Kind::Pod) {
        return Ok(Judged::allowed(&request, kind, operation));
    }
    let subject = request.subject(Kind::Pod)?;
    if subject.is_mirror_by(&request.user_info.username) {
        return Ok(Judged::allowed(&request, kind, operation));
    }
    let plan = policies.covering(subject.namespace);
    let plan = plan.map_err(|_| BadReview::unknown_namespace(subject.namespace))?;
    let whole = || whole_objects(body).object;
    let Some(injected) = inject(plan, &subject, whole, now) else {
        return Ok(Judged::allowed(&request, kind, operation));
    };
    Ok(Judged {
        answer: answer::patched(&request.uid, &injected),
        decision: answer::MUTATE,
        kind,
        operation,
        patch_operations: injected.operations.len(),
        interrupted: None,
        decided: Decided::default(),
        denial: None,
    })
}
