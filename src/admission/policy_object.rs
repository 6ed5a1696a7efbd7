//! The review of a policy itself: a policy that does not compile is refused when it is applied, with the field and the
//! position in it. Pure.
//!
//! An update that does not change the spec is allowed: a policy that was stored without a review must still accept
//! labels and finalizers, and be deletable.

use serde_json::Value;

use super::answer;
use super::judged::Judged;
use super::review::{Operation, Request, whole_objects};
use crate::policy::compile::Policy;
use crate::policy::decision::Outcome;
use crate::policy::in_force::Stored;
use crate::policy::rule::InvalidField;
use crate::policy::text::{brief, clip};

/// The most bytes of a fault in a denial.
const MAX_FAULT: usize = 1000;
/// The most bytes of a warning; the API server truncates one of more than 256 characters when there are many.
const MAX_WARNING: usize = 250;
/// The most warnings; the API server keeps 4 KiB of them.
const MAX_WARNINGS: usize = 10;

/// Judges the policy of a review.
pub(super) fn judge(request: &Request<'_>, operation: Operation, body: &[u8]) -> Judged {
    let objects = whole_objects(body);
    let unreadable = objects.object.is_none();
    let policy = objects.object.unwrap_or_default();
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    let same = objects.old_object.is_some_and(|old| spec(&old) == spec(&policy));
    let allowed = Judged::allowed(request, None, operation);
    let (false, kind @ ("DevOpsPolicy" | "ClusterDevOpsPolicy")) = (same, &*request.kind.kind)
    else {
        return allowed;
    };
    let compiled = if unreadable {
        Err("it is missing, or is larger or nests deeper than can be read".to_owned())
    } else {
        compile(kind, &policy)
    };
    let fault = match compiled {
        Ok(policy) if policy.unknown_fields.is_empty() => return allowed,
        Ok(policy) => {
            let answer = answer::allowed_with(&request.uid, warnings(&policy));
            return Judged { answer, ..allowed };
        }
        Err(fault) => fault,
    };
    let answer = answer::invalid(&request.uid, denial(kind, &policy, &fault));
    Judged::with_outcome(Outcome::Deny, None, operation, answer)
}

fn denial(kind: &str, policy: &Value, fault: &str) -> String {
    let text = |field: &str| metadata(policy, field);
    let slash = if text("namespace").is_empty() { "" } else { "/" };
    let (namespace, name) = (clip(text("namespace")), clip(text("name")));
    format!(
        "{kind} {namespace}{slash}{name} cannot be put in force\n  {}\n\
         fields: kubectl explain {}.spec\ncheck before you push: kubectl apply --dry-run=server -f FILE",
        brief(fault.to_owned(), MAX_FAULT),
        kind.to_lowercase(),
    )
}

/// A warning for each field in an expression that no Pod has.
fn warnings(policy: &Policy) -> Vec<String> {
    let warning = |field: &InvalidField| brief(field.to_string(), MAX_WARNING);
    policy.unknown_fields.iter().take(MAX_WARNINGS).map(warning).collect()
}

/// Compiles the policy; an error names the field and the fault.
fn compile(kind: &str, policy: &Value) -> Result<Policy, String> {
    let own = kind == "DevOpsPolicy";
    let stored = Stored {
        namespace: own.then(|| metadata(policy, "namespace")),
        name: metadata(policy, "name"),
        spec: policy.get("spec").unwrap_or(&Value::Null),
        last_good: None,
    };
    stored.compile(stored.spec).map_err(|fault| fault.to_string())
}

fn metadata<'a>(policy: &'a Value, field: &str) -> &'a str {
    policy.get("metadata").and_then(|it| it.get(field)?.as_str()).unwrap_or_default()
}
