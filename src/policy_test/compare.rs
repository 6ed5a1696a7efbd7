//! Compares what came with what a case expects.

use std::collections::BTreeSet;

use json_patch::PatchOperation;
use serde_json::Value;

use super::file::Expect;
use super::results::Failure;
use super::review::Observed;
use crate::policy::text::quote;

/// The expectations that are not met, in the order of their fields.
pub(super) fn failures(expect: &Expect, object: &Value, observed: &Observed) -> Vec<Failure> {
    let Expect { decision, rules, exempt, message, patch } = expect;
    let mut failures = Vec::new();
    let mut fail = |what, expected: String, found: String| {
        failures.push(Failure { what, expected, found });
    };
    if let Some(expected) = decision.filter(|it| *it != observed.decision) {
        fail("decision", expected.as_str().to_owned(), observed.decision.as_str().to_owned());
    }
    for (what, expected, found) in
        [("rules", rules, rules_of(observed)), ("exempt", exempt, exempt_of(observed))]
    {
        let Some(expected) = expected else { continue };
        let expected: BTreeSet<_> = expected.iter().map(String::as_str).collect();
        if expected != found {
            fail(what, listed(&expected), listed(&found));
        }
    }
    for part in message.iter().flatten().filter(|it| !observed.text.contains(*it)) {
        let found = if observed.text.is_empty() { "no message" } else { "the text below" };
        fail("message", format!("a text with {}", quote(part)), found.to_owned());
    }
    if let Some(expected) = patch
        && !has_effect(expected, object, &observed.patched)
    {
        let json = |patch: &[Value]| Value::from(patch.to_vec()).to_string();
        fail("patch", json(expected), json(&observed.patch));
    }
    failures
}

/// The ids of the violations, each once.
pub(super) fn rules_of(observed: &Observed) -> BTreeSet<&str> {
    observed.found.iter().map(|it| it.rule.as_str()).collect()
}

/// The ids of the exempt violations, each once.
pub(super) fn exempt_of(observed: &Observed) -> BTreeSet<&str> {
    observed.exempt.iter().map(|it| it.rule.as_str()).collect()
}

fn listed(ids: &BTreeSet<&str>) -> String {
    let ids: Vec<_> = ids.iter().copied().collect();
    if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
}

/// Whether a patch makes this of an object, in whatever order and steps.
fn has_effect(patch: &[Value], object: &Value, patched: &Value) -> bool {
    let operations: Result<Vec<PatchOperation>, _> =
        patch.iter().map(|it| serde_json::from_value(it.clone())).collect();
    let mut made = object.clone();
    operations.is_ok_and(|it| json_patch::patch(&mut made, &it).is_ok()) && made == *patched
}
