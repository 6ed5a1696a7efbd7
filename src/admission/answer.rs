//! Encodes the AdmissionReview that answers a review. Pure.

use k8s_openapi::ByteString;
use serde::Serialize;

use super::review::{API_VERSION, REVIEW_KIND};
use crate::policy::decision::{Decision, each_once};
use crate::policy::engine::Finding;
use crate::policy::message;
use crate::policy::mutation::Injected;

/// The decision of a review whose answer patches the pod.
pub(super) const MUTATE: &str = "mutate";

/// The room for what is around a denial's message; of the message, every sixteenth byte may be one that JSON escapes.
const FRAME: usize = 512;

/// The names of the policies of findings, sorted, without duplicates.
pub(super) fn policy_names<'f, 'p: 'f>(findings: impl Iterator<Item = &'f Finding<'p>>) -> String {
    let policies = each_once(findings.map(|finding| finding.policy).collect());
    policies.iter().map(|it| it.label.as_str()).collect::<Vec<_>>().join(",")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    /// In base64, as the API has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<ByteString>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<AuditAnnotations>,
}

/// A `metav1.Status`, as far as a denial needs one.
#[derive(Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

/// The annotations that the API server writes to its audit log, under the webhook's name. An answer without violations
/// has them too: they distinguish it from a fail-open.
#[derive(Serialize)]
struct AuditAnnotations {
    #[serde(skip_serializing_if = "String::is_empty")]
    policy: String,
    decision: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    violations: String,
}

/// The answer to a review that no policy judges.
pub(super) fn allowed(uid: &str) -> Vec<u8> {
    encode(Response { uid, allowed: true, ..Response::default() })
}

/// An allowed answer with warnings for the API server's client.
pub(super) fn allowed_with(uid: &str, warnings: Vec<String>) -> Vec<u8> {
    encode(Response { uid, allowed: true, warnings, ..Response::default() })
}

/// The answer to another user's write of an object that only podgate itself writes.
pub(super) fn forbidden(uid: &str, message: String) -> Vec<u8> {
    let status = Status { code: 403, reason: "Forbidden", message };
    encode(Response { uid, allowed: false, status: Some(status), ..Response::default() })
}

/// The answer that patches a pod.
pub(super) fn patched(uid: &str, injected: &Injected<'_>) -> Vec<u8> {
    let policies: Vec<_> = injected.policies.iter().copied().collect();
    let audit_annotations = AuditAnnotations {
        policy: policies.join(","),
        decision: MUTATE,
        violations: String::new(),
    };
    encode(Response {
        uid,
        allowed: true,
        patch_type: Some("JSONPatch"),
        patch: Some(ByteString(serde_json::to_vec(&injected.operations).unwrap_or_default())),
        audit_annotations: Some(audit_annotations),
        ..Response::default()
    })
}

/// The answer to an object with an invalid content.
pub(super) fn invalid(uid: &str, message: String) -> Vec<u8> {
    let status = Status { code: 422, reason: "Invalid", message };
    encode(Response { uid, allowed: false, status: Some(status), ..Response::default() })
}

/// The answer to a workload; `denial` is the message, if it is denied.
pub(super) fn decided(uid: &str, decision: &Decision<'_>, denial: Option<String>) -> Vec<u8> {
    let status = denial.map(|message| Status { code: 403, reason: "Forbidden", message });
    let audit_annotations = AuditAnnotations {
        policy: policy_names(decision.all()),
        decision: decision.outcome().as_str(),
        violations: decision.all().count().to_string(),
    };
    encode(Response {
        uid,
        allowed: status.is_none(),
        status,
        warnings: message::warnings(decision),
        audit_annotations: Some(audit_annotations),
        ..Response::default()
    })
}

fn encode(response: Response<'_>) -> Vec<u8> {
    let message = response.status.as_ref().map_or(0, |it| it.message.len());
    let mut body = Vec::with_capacity(FRAME + message + message / 16);
    let answer = Answer { api_version: API_VERSION, kind: REVIEW_KIND, response };
    // Serializing strings and integers into memory cannot fail.
    let _ = serde_json::to_writer(&mut body, &answer);
    body
}
