//! The table of all rules, and the lookup of rules and checks by id.

use super::rule::{Phase, Rule};
use super::rules;
use crate::api::DevOpsPolicySpec;

/// Every rule, in the order of the fields of `DevOpsPolicySpec`.
pub static RULES: [&Rule; 12] = [
    &rules::forbid_latest_tag::RULE,
    &rules::require_liveness_probe::RULE,
    &rules::require_readiness_probe::RULE,
    &rules::max_restart_count::RULE,
    &rules::forbid_pending_duration::RULE,
    &rules::require_image_digest::RULE,
    &rules::allowed_registries::RULE,
    &rules::require_resource_requests::RULE,
    &rules::require_resource_limits::RULE,
    &rules::required_labels::RULE,
    &rules::pod_security::RULE,
    &rules::validations::RULE,
];

/// The rule with this id.
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES.into_iter().find(|rule| rule.id == id)
}

/// Whether the rule with this id judges specs, so that admission can deny for it.
pub fn denies(id: &str) -> bool {
    find(id).is_some_and(|rule| matches!(rule.phase, Phase::Spec(_)))
}

/// Checks that an id of a policy's spec names a rule, or a check as `RULE/CHECK`.
///
/// # Errors
/// What is wrong with the id, as a message for its field.
pub(super) fn known_id(spec: &DevOpsPolicySpec, id: &str) -> Result<(), String> {
    let (rule, check) = id.split_once('/').map_or((id, None), |(rule, check)| (rule, Some(check)));
    let Some(found) = find(rule) else {
        return Err(format!("there is no rule {rule:?}; podgate explain lists them"));
    };
    let Some(check) = check else { return Ok(()) };
    let validations = spec.validations.iter().flatten().map(|it| it.name.as_str());
    let mut checks: Vec<&str> = found.checks.to_vec();
    if found.id == rules::validations::RULE.id {
        checks.extend(validations);
    }
    if checks.contains(&check) {
        return Ok(());
    }
    Err(if checks.is_empty() && found.id != rules::validations::RULE.id {
        format!("{rule} is one check; write {rule:?}")
    } else {
        let known = if checks.is_empty() { "none".to_owned() } else { checks.join(", ") };
        format!("{rule} has no check {check:?}; it has {known}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::crds;

    #[test]
    fn every_rule_has_a_page_that_says_more_than_its_name() {
        for rule in RULES {
            assert!(rule.page().lines().count() >= 3, "{} has no page", rule.id);
        }
    }

    #[test]
    fn a_rules_id_is_the_name_of_its_spec_field() {
        let crd = serde_json::to_value(&crds()[0]).unwrap();
        let properties = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties")
            .and_then(|it| it.as_object())
            .unwrap();
        let mut fields: Vec<_> = properties.keys().map(String::as_str).collect();
        let not_rules = [
            "enforcementMode",
            "graceUntil",
            "variables",
            "denySeverity",
            "severityOverrides",
            "bundle",
            "exemptions",
            "mutate",
            "remediation",
            "defaultResources",
            "defaultProbe",
            "imageTags",
            "contact",
        ];
        fields.retain(|field| !not_rules.contains(field));
        let mut ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        fields.sort_unstable();
        ids.sort_unstable();
        assert_eq!(ids, fields);
    }
}
