//! Whether a policy covers the namespace of the pod, where that depends on its labels.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::super::expression::{text, texts};
use super::super::pods::{Variable, variable};
use crate::policy::compile::Policy;
use crate::policy::scope::Scope;

/// A variable for each policy that does not cover every namespace, by the policy's place.
pub fn variables(policies: &[&Policy]) -> Vec<Variable> {
    let mut all = vec![variable("nsLabels", "namespaceObject.metadata.?labels.orValue({})")];
    let own = policies.iter().enumerate().filter_map(|(index, policy)| {
        Some(variable(format!("covers{index}"), condition(&policy.scope)?))
    });
    all.extend(own);
    all
}

/// The variable of a policy; `None` if it covers every namespace.
pub fn covers(index: usize, policy: &Policy) -> Option<String> {
    condition(&policy.scope).map(|_| format!("variables.covers{index}"))
}

fn condition(scope: &Scope) -> Option<String> {
    let selection = match scope {
        Scope::Namespace(own) => return Some(format!("request.namespace == {}", text(own))),
        Scope::Cluster(selection) => selection,
    };
    let mut conditions = Vec::new();
    if !selection.excluded.is_empty() {
        conditions.push(format!("!(request.namespace in {})", texts(&selection.excluded)));
    }
    let selector = selection.selector().cloned().map(LabelSelector::from).unwrap_or_default();
    let is_in = |key: &str, values: &[String]| {
        let key = text(key);
        format!("{key} in variables.nsLabels && variables.nsLabels[{key}] in {}", texts(values))
    };
    for (key, value) in selector.match_labels.iter().flatten() {
        conditions.push(is_in(key, std::slice::from_ref(value)));
    }
    for it in selector.match_expressions.iter().flatten() {
        let values = it.values.as_deref().unwrap_or_default();
        conditions.push(match it.operator.as_str() {
            "In" => is_in(&it.key, values),
            "NotIn" => format!("!({})", is_in(&it.key, values)),
            "Exists" => format!("{} in variables.nsLabels", text(&it.key)),
            _ => format!("!({} in variables.nsLabels)", text(&it.key)),
        });
    }
    (!conditions.is_empty()).then(|| conditions.join(" && "))
}
