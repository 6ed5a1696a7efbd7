//! A case as an API server asks about it: one AdmissionReview for `/mutate`, and one for `/validate` with the patched
//! object.

use std::hash::RandomState;
use std::sync::{Mutex, PoisonError};

use json_patch::PatchOperation;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::file::{Case, Decision};
use crate::admission::mutate::mutate_review;
use crate::admission::validate::Reviewer;
use crate::api::Effect;
use crate::policy::decision;
use crate::policy::engine::{Exempt, Finding};
use crate::policy::grace::ControllerUsers;
use crate::policy::policy_set::PolicySet;
use crate::policy::workload::KindNames;

/// What the webhooks answer about an object.
pub(super) struct Observed {
    pub decision: Decision,
    /// Sorted.
    pub found: Vec<Found>,
    pub exempt: Vec<Exempted>,
    /// The denial, then the warnings, as the user reads them.
    pub text: String,
    /// The JSON Patch of `/mutate`.
    pub patch: Vec<Value>,
    /// The object after the patch.
    pub patched: Value,
}

/// A violation.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Found {
    pub rule: String,
    pub policy: String,
    pub effect: &'static str,
    pub sentence: String,
}

impl Found {
    pub fn of(finding: &Finding<'_>, effect: Effect) -> Self {
        Self {
            rule: finding.id().into_owned(),
            policy: finding.policy.label.clone(),
            effect: effect.as_str(),
            sentence: finding.sentence(),
        }
    }
}

/// A violation that its policy exempts.
pub(super) struct Exempted {
    pub rule: String,
    pub policy: String,
    /// The index in `spec.exemptions`.
    pub exemption: usize,
}

/// Asks both webhooks about an object.
///
/// # Errors
/// The review cannot be judged; a webhook would answer with an HTTP error.
pub(super) fn review(
    set: &PolicySet,
    case: &Case,
    names: &KindNames,
    object: &Value,
) -> Result<Observed, String> {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "policy-test",
            "kind": {"group": names.group, "version": names.version, "kind": names.kind},
            "resource": {"group": names.group, "version": names.version, "resource": names.resource},
            "name": object.pointer("/metadata/name"),
            "namespace": case.namespace,
            "operation": if case.old.is_some() { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": case.user.username, "groups": case.user.groups},
            "object": object,
            "oldObject": case.old,
            "dryRun": false,
        },
    });
    let body = review.to_string();
    let answer = mutate_review(body.as_bytes(), set, case.time).map_err(|it| it.to_string())?;
    let answer = response(&answer.answer);
    let mut patched = object.clone();
    let patch: Vec<Value> = decoded(answer.get("patch"));
    let operations: Vec<PatchOperation> = patch
        .iter()
        .map(|it| serde_json::from_value(it.clone()))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    json_patch::patch(&mut patched, &operations).map_err(|error| error.to_string())?;
    if let Some(request) = review.pointer_mut("/request/object") {
        request.clone_from(&patched);
    }
    let seen = Mutex::new((Vec::new(), Vec::new()));
    let observer = |decision: &decision::Decision<'_>, exempt: &[Exempt<'_>]| {
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = (found(decision), exempted(exempt));
    };
    let reviewer = Reviewer {
        policies: set,
        docs_url: None,
        own_user: None,
        controllers: &ControllerUsers::default(),
        cost: u64::MAX,
        now: case.time,
        seed: &RandomState::new(),
        observer: Some(&observer),
    };
    let judged = reviewer.validate(review.to_string().as_bytes()).map_err(|it| it.to_string())?;
    let (found, exempt) = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let decision = match judged.decision {
        "deny" => Decision::Deny,
        "grace" => Decision::Grace,
        "warn" => Decision::Warn,
        _ if found.is_empty() => Decision::Allow,
        _ => Decision::Audit,
    };
    let text = text(&response(&judged.answer));
    Ok(Observed { decision, found, exempt, text, patch, patched })
}

fn found(decision: &decision::Decision<'_>) -> Vec<Found> {
    let decision::Decision { denied, graced, warned, recorded, .. } = decision;
    let effects = [Effect::Deny, Effect::Grace, Effect::Warn, Effect::Audit];
    let by_effect = effects.into_iter().zip([denied, graced, warned, recorded]);
    let mut found: Vec<_> = by_effect
        .flat_map(|(effect, findings)| findings.iter().map(move |it| Found::of(it, effect)))
        .collect();
    found.sort_unstable();
    found
}

fn exempted(exempt: &[Exempt<'_>]) -> Vec<Exempted> {
    let exempted = exempt.iter().map(|Exempt { finding, exemption }| Exempted {
        rule: finding.id().into_owned(),
        policy: finding.policy.label.clone(),
        exemption: *exemption,
    });
    exempted.collect()
}

fn response(answer: &[u8]) -> Value {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer.get("response").cloned().unwrap_or_default()
}

/// The operations of a patch in base64; none without a patch.
fn decoded(patch: Option<&Value>) -> Vec<Value> {
    let bytes = patch.and_then(|it| serde_json::from_value::<ByteString>(it.clone()).ok());
    bytes.and_then(|it| serde_json::from_slice(&it.0).ok()).unwrap_or_default()
}

fn text(response: &Value) -> String {
    let denial = response.pointer("/status/message").and_then(Value::as_str);
    let warnings = response.get("warnings").and_then(Value::as_array);
    let warnings = warnings.into_iter().flatten().filter_map(Value::as_str);
    denial.into_iter().chain(warnings).collect::<Vec<_>>().join("\n")
}
