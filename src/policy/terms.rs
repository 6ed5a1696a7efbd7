//! What the rules of a policy demand, to see whether two versions of the policy demand the same.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::rules::validations;
use super::scope::Scope;

/// The fields of a spec that decide about the violations of every rule: a pod that was mutated when it was made complies,
/// and the template that it was made from need not.
const COMMON: [&str; 5] =
    ["denySeverity", "mutate", "defaultResources", "defaultProbe", "imageTags"];

/// The hashes of what the rules of a policy demand, by rule and, of validations, by check (`validations/NAME`). Equal in
/// one process only.
pub type Terms = BTreeMap<String, u64>;

/// The terms of a policy, by its effective spec as JSON.
/// `checks` are the ids of its rules, each with the text of the fields that it depends on.
pub(super) fn terms<'a>(
    fields: &Value,
    scope: &Scope,
    checks: impl Iterator<Item = (&'a str, &'a str)>,
) -> Terms {
    let mut common = DefaultHasher::new();
    format!("{scope:?}").hash(&mut common);
    for field in COMMON {
        fields.get(field).map(Value::to_string).hash(&mut common);
    }
    let term = |rule: &str, id: &str, demand: &str| {
        let mut hasher = common.clone();
        demand.hash(&mut hasher);
        for (of, severity) in fields["severityOverrides"].as_object().into_iter().flatten() {
            if concerns(of, rule, id) {
                (of, severity.as_str()).hash(&mut hasher);
            }
        }
        for exemption in fields["exemptions"].as_array().into_iter().flatten() {
            let mut rules = exemption["rules"].as_array().into_iter().flatten();
            if rules.any(|it| it.as_str().is_some_and(|of| concerns(of, rule, id))) {
                exemption.to_string().hash(&mut hasher);
            }
        }
        (id.to_owned(), hasher.finish())
    };
    let rules = checks.filter(|(rule, _)| *rule != validations::RULE.id);
    let rules = rules.map(|(rule, parameters)| term(rule, rule, parameters));
    let own = fields["validations"].as_array().into_iter().flatten().map(|it| {
        let id = format!("{}/{}", validations::RULE.id, it["name"].as_str().unwrap_or_default());
        term(validations::RULE.id, &id, &format!("{it}{}", fields["variables"]))
    });
    rules.chain(own).collect()
}

/// Whether an override or exemption of a rule or check concerns this rule, or this check of it.
fn concerns(of: &str, rule: &str, id: &str) -> bool {
    let check = |whole: &str| of.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/'));
    of == rule || of == id || (rule == id && check(rule))
}
