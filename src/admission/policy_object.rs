//! A review of a policy itself: one that could not be put in force is refused when it is applied, with the field and
//! the place in it. Pure.
//!
//! An update that leaves the spec as it was passes: what slipped in must take labels and finalizers, and be deleted.

use serde_json::Value;

use super::answer;
use super::judged::Judged;
use super::review::{Operation, Request, whole_objects};
use crate::policy::decision::Outcome;
use crate::policy::in_force::Stored;
use crate::policy::text::{brief, clip};

/// The most bytes that are told of a fault.
const MAX_FAULT: usize = 1000;

/// Judges the policy of a review.
pub(super) fn judge(request: &Request<'_>, operation: Operation, body: &[u8]) -> Judged {
    let objects = whole_objects(body);
    let unreadable = objects.object.is_none();
    let policy = objects.object.unwrap_or_default();
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    let same = objects.old_object.is_some_and(|old| spec(&old) == spec(&policy));
    let fault = match (same, &*request.kind.kind) {
        (false, kind @ ("DevOpsPolicy" | "ClusterDevOpsPolicy")) => {
            let fault = if unreadable {
                Some("it is missing, or is larger or nests deeper than can be read".to_owned())
            } else {
                compile(kind, &policy).err()
            };
            fault.map(|fault| denial(kind, &policy, &fault))
        }
        _ => None,
    };
    let Some(message) = fault else { return Judged::allowed(request, None, operation) };
    Judged {
        answer: answer::invalid(&request.uid, message),
        decision: Outcome::Deny.as_str(),
        kind: None,
        operation,
        patch_operations: 0,
        denial: None,
    }
}

fn denial(kind: &str, policy: &Value, fault: &str) -> String {
    let text = |field: &str| metadata(policy, field);
    let slash = if text("namespace").is_empty() { "" } else { "/" };
    let (namespace, name) = (clip(text("namespace")), clip(text("name")));
    format!(
        "{kind} {namespace}{slash}{name} cannot be put in force\n  {}\n\
         fields: kubectl explain {}.spec · check before you push: podgate scan -f FILE --policy POLICY",
        brief(fault.to_owned(), MAX_FAULT),
        kind.to_lowercase(),
    )
}

/// Says what stands in the way of a policy, after the field.
fn compile(kind: &str, policy: &Value) -> Result<(), String> {
    let own = kind == "DevOpsPolicy";
    let stored = Stored {
        namespace: own.then(|| metadata(policy, "namespace")),
        name: metadata(policy, "name"),
        spec: policy.get("spec").unwrap_or(&Value::Null),
        last_good: None,
    };
    stored.compile(stored.spec).map(|_| ()).map_err(|fault| fault.to_string())
}

fn metadata<'a>(policy: &'a Value, field: &str) -> &'a str {
    policy.get("metadata").and_then(|it| it.get(field)?.as_str()).unwrap_or_default()
}
