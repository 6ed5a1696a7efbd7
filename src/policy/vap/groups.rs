//! Sets of policies that cover the same namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::super::compile::Policy;
use super::super::protected::Protected;
use super::super::scope::{Scope, Selection};
use super::super::text::hash;

/// The label with a namespace's name, which Kubernetes maintains and no tenant can change.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// The digits of a name's hash.
const DIGITS: usize = 10;

/// Policies that cover the same namespaces.
pub struct Group<'p> {
    /// The part of the objects' names that tells the group; the same as long as its namespaces are.
    pub name: String,
    /// In display order.
    pub policies: Vec<&'p Policy>,
    /// The `namespaceSelector` of its namespaces, without protected ones.
    pub namespaces: Value,
    /// Whether a policy with `mutate`, of this or another group, may cover some of its namespaces.
    pub mutated: bool,
}

/// Sorts policies, in display order, into groups. Namespaces that policies name, because they are in them or exclude
/// them, are told apart; a policy that selects by labels is a group with those that select the same, because which
/// namespaces have which labels changes.
pub fn groups<'p>(policies: &'p [Arc<Policy>], protected: &Protected) -> Vec<Group<'p>> {
    let mut named = BTreeSet::new();
    let mut selected: BTreeMap<String, (Value, Vec<&Policy>)> = BTreeMap::new();
    let mut others: Vec<&Policy> = Vec::new();
    for policy in policies.iter().map(Arc::as_ref) {
        match &policy.scope {
            Scope::Cluster(selection) if selection.selector().is_some() => {
                let selector = selector(selection, protected);
                let key = selector.to_string();
                selected.entry(key).or_insert((selector, Vec::new())).1.push(policy);
            }
            Scope::Cluster(Selection { excluded, .. }) => {
                named.extend(excluded.iter().map(String::as_str));
                others.push(policy);
            }
            Scope::Namespace(own) => {
                named.insert(own.as_str());
                others.push(policy);
            }
        }
    }
    named.retain(|name| !protected.contains(name));
    let covering = |namespace: &str| -> Vec<&Policy> {
        others.iter().copied().filter(|it| it.scope.covers(namespace, None)).collect()
    };
    let mut by_set: Vec<(Vec<&Policy>, Vec<&str>)> = Vec::new();
    for name in &named {
        let set = covering(name);
        let same = |(known, _): &&mut (Vec<&Policy>, Vec<&str>)| {
            known.iter().map(|it| &it.label).eq(set.iter().map(|it| &it.label))
        };
        match by_set.iter_mut().find(same) {
            Some((_, together)) => together.push(name),
            None => by_set.push((set, vec![name])),
        }
    }
    let mutates = |it: &&Policy| it.injector.is_some();
    let by_label = selected.values().flat_map(|(_, policies)| policies).any(mutates);
    let anywhere = by_label || others.iter().any(mutates);
    let mut groups = Vec::new();
    // No namespace has an empty name.
    let elsewhere = covering("");
    let outside: Vec<_> =
        protected.names().iter().map(String::as_str).chain(named.iter().copied()).collect();
    groups.push(Group {
        name: "elsewhere".to_owned(),
        mutated: by_label || elsewhere.iter().any(mutates),
        policies: elsewhere,
        namespaces: by_name("NotIn", &outside),
    });
    groups.extend(by_set.into_iter().map(|(policies, names)| Group {
        name: match &*names {
            [name] => format!("in-{name}"),
            several => format!("in-{}", short(&several.join(","))),
        },
        mutated: by_label || policies.iter().any(mutates),
        policies,
        namespaces: by_name("In", &names),
    }));
    groups.extend(selected.into_iter().map(|(key, (namespaces, policies))| Group {
        name: format!("by-label-{}", short(&key)),
        mutated: anywhere,
        policies,
        namespaces,
    }));
    groups.retain(|it| !it.policies.is_empty());
    groups
}

fn short(text: &str) -> String {
    hash(text).chars().take(DIGITS).collect()
}

fn by_name(operator: &str, names: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": NAME_LABEL, "operator": operator, "values": names}]})
}

/// The namespaces of a policy that selects by labels.
fn selector(selection: &Selection, protected: &Protected) -> Value {
    let own = selection.selector().cloned().map(LabelSelector::from).unwrap_or_default();
    let mut expressions: Vec<Value> = own
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}))
        .collect();
    for it in own.match_expressions.iter().flatten() {
        let mut expression = json!({"key": it.key, "operator": it.operator});
        if let Some(values) = it.values.as_ref().filter(|values| !values.is_empty())
            && let Some(fields) = expression.as_object_mut()
        {
            fields.insert("values".to_owned(), json!(values));
        }
        expressions.push(expression);
    }
    let mut outside: Vec<_> = protected.names().iter().chain(&selection.excluded).collect();
    outside.dedup();
    expressions.push(json!({"key": NAME_LABEL, "operator": "NotIn", "values": outside}));
    json!({"matchExpressions": expressions})
}
