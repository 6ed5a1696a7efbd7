//! Kyverno's `PolicyException`: exemptions in what its policies became.

use serde_json::Value;

use super::part::{Fit, Part, Reason, exemption};
use super::source::Read;
use super::value::{Fields, text};
use super::{assemble, cel};
use crate::api::EXEMPT_KINDS;
use crate::policy::glob::glob;

/// Adds each exception to the parts that it is about. Its own part says what became of it.
pub(super) fn apply(read: &mut [Read<'_>]) {
    for index in 0..read.len() {
        let Some(source) = read.get(index).map(|it| it.source) else { continue };
        if text(&source.object, "/kind") != Some("PolicyException") {
            continue;
        }
        let part = Part::make(String::new(), |part| exempt(part, &source.object, read));
        if let Some(own) = read.get_mut(index) {
            own.parts = vec![part];
        }
    }
}

fn exempt(part: &mut Part, exception: &Value, read: &mut [Read<'_>]) -> Result<(), Reason> {
    let spec = exception.at("/spec");
    if !spec.at("/conditions").is_empty_value() || !spec.at("/podSecurity").is_empty_value() {
        return Err(
            "it exempts by conditions or single controls; write an exemption for the rule's checks"
                .into(),
        );
    }
    let conditions = spec.at("/matchConditions").items();
    let (exemptions, except) = if conditions.is_empty() {
        (exemptions(part, spec.at("/match"), exception)?, None)
    } else {
        let conditions: Result<Vec<_>, _> =
            conditions.iter().map(|it| cel::expression(part, it)).collect();
        (Vec::new(), Some(format!("!(({}))", conditions?.join(") && ("))))
    };
    // policies.kyverno.io has policyRefs, kyverno.io exceptions.
    let listed = spec.at("/exceptions").items().iter().chain(spec.at("/policyRefs").items());
    let mut missing = Vec::new();
    let mut applied = 0;
    for listed in listed {
        let policy = text(listed, "/policyName").or(text(listed, "/name")).unwrap_or_default();
        let rules = listed.at("/ruleNames").texts();
        let about = |rule: &str| {
            rules.is_empty() || rules.iter().any(|it| glob(it.trim_start_matches("autogen-"), rule))
        };
        let mut found = false;
        for other in read.iter_mut().filter(|it| it.name == policy && is_kyverno(&it.source.object))
        {
            for rule in other.parts.iter_mut().filter(|it| about(&it.rule)) {
                found = true;
                if rule.fit != Fit::Not {
                    applied += 1;
                    rule.draft.exemptions.extend(exemptions.iter().cloned());
                    rule.draft.when.extend(except.clone());
                }
            }
        }
        if !found {
            missing.push(policy.to_owned());
        }
    }
    if applied == 0 {
        return Err(match missing.as_slice() {
            [] => "its policies are not converted".into(),
            missing => format!(
                "its policy {} is not there; give the policy's file too",
                missing.join(", ")
            )
            .into(),
        });
    }
    if !missing.is_empty() {
        part.mark(Fit::Stricter, &format!("of its policies, {} are not there", missing.join(", ")));
    }
    Ok(())
}

fn is_kyverno(object: &Value) -> bool {
    text(object, "/apiVersion").is_some_and(|it| it.contains("kyverno.io/"))
        && text(object, "/kind") != Some("PolicyException")
}

/// The exemptions that its `match` means, one for each alternative.
fn exemptions(part: &mut Part, matching: &Value, exception: &Value) -> Result<Vec<Value>, Reason> {
    let (any, all) = (matching.at("/any").items(), matching.at("/all").items());
    let entries = match (any, all) {
        (any, []) => any,
        ([], [one]) => std::slice::from_ref(one),
        _ => return Err("it matches by several things together".into()),
    };
    let mut exemptions = Vec::new();
    for entry in entries {
        let resources = entry.at("/resources");
        let plain = ["kinds", "names", "namespaces", "operations"];
        let mut fields = resources.as_object().into_iter().flatten();
        let users = entry.as_object().is_some_and(|it| it.keys().any(|key| key != "resources"));
        if users || fields.any(|(key, _)| !plain.contains(&key.as_str())) {
            return Err("it exempts by users, labels or annotations; podgate exempts by kinds, names and namespaces".into());
        }
        let all_kinds = resources.at("/kinds").texts();
        let kinds: Vec<_> = all_kinds
            .iter()
            .filter_map(|it| it.rsplit('/').next())
            .filter(|it| EXEMPT_KINDS.contains(it))
            .collect();
        if kinds.is_empty() && !all_kinds.is_empty() {
            continue;
        }
        let names = resources.at("/names").texts();
        if !kinds.contains(&"Pod") && !kinds.is_empty() {
            part.mark(
                Fit::Looser,
                "it exempts a workload's template; podgate's exemption is for its pods too",
            );
        } else if names.iter().any(|it| !it.ends_with('*')) {
            part.mark(
                Fit::Looser,
                "podgate's exemption by name is also for what a workload of the name makes",
            );
        }
        let reason = format!("converted from {}", assemble::converted_from(exception));
        let namespaces = resources.at("/namespaces").clone();
        let fields =
            vec![("kinds", kinds.into()), ("names", names.into()), ("namespaces", namespaces)];
        exemptions.push(exemption(&reason, fields));
    }
    if exemptions.is_empty() {
        return Err("it exempts no kind that podgate judges".into());
    }
    Ok(exemptions)
}
