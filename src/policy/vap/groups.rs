//! Sets of policies that cover the same namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::super::compile::Policy;
use super::super::protected::Protected;
use super::super::scope::{NAME_LABEL, Scope, Selection};
use super::super::text::hash;

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
    /// The policies that may add to pods in its namespaces, in the order in which they do; none if the API server is
    /// not to add to pods.
    pub mutating: Vec<&'p Policy>,
}

/// The groups of policies that add to pods. Which policy adds first depends on all that cover a namespace, so a policy
/// that selects by labels is in every group, where it asks for the labels.
pub fn mutating_groups<'p>(policies: &'p [Arc<Policy>], protected: &Protected) -> Vec<Group<'p>> {
    let mutating = mutating(policies);
    by_names(&mutating, &mutating, protected)
}

fn mutating(policies: &[Arc<Policy>]) -> Vec<&Policy> {
    policies.iter().map(Arc::as_ref).filter(|it| mutates(it)).collect()
}

fn mutates(policy: &Policy) -> bool {
    policy.injector.is_some()
}

/// Sorts policies, in display order, into groups. Namespaces that policies name, because they are in them or exclude
/// them, are told apart; a policy that selects by labels is a group with those that select the same, because which
/// namespaces have which labels changes.
pub fn groups<'p>(policies: &'p [Arc<Policy>], protected: &Protected) -> Vec<Group<'p>> {
    sorted(policies, &[], protected)
}

/// The same where the API server adds to pods ([`mutating_groups`]).
pub fn mutated_groups<'p>(policies: &'p [Arc<Policy>], protected: &Protected) -> Vec<Group<'p>> {
    sorted(policies, &mutating(policies), protected)
}

fn sorted<'p>(
    policies: &'p [Arc<Policy>],
    mutating: &[&'p Policy],
    protected: &Protected,
) -> Vec<Group<'p>> {
    let mut selected: BTreeMap<String, (Value, Vec<&Policy>)> = BTreeMap::new();
    let mut others: Vec<&Policy> = Vec::new();
    for policy in policies.iter().map(Arc::as_ref) {
        match &policy.scope {
            Scope::Cluster(selection) if selection.selector().is_some() => {
                let selector = selector(selection, protected);
                let key = selector.to_string();
                selected.entry(key).or_insert((selector, Vec::new())).1.push(policy);
            }
            _ => others.push(policy),
        }
    }
    let by_label = selected.values().flat_map(|(_, policies)| policies).any(|it| mutates(it));
    let anywhere = by_label || others.iter().any(|it| mutates(it));
    let mut groups = by_names(&others, mutating, protected);
    for group in &mut groups {
        group.mutated |= by_label;
    }
    groups.extend(selected.into_iter().map(|(key, (namespaces, policies))| Group {
        name: format!("by-label-{}", short(&key)),
        mutated: anywhere,
        policies,
        namespaces,
        mutating: mutating.to_vec(),
    }));
    groups
}

/// The groups of the namespaces that policies name, and of all others.
fn by_names<'p>(
    policies: &[&'p Policy],
    mutating: &[&'p Policy],
    protected: &Protected,
) -> Vec<Group<'p>> {
    let mut named: BTreeSet<&'p str> = BTreeSet::new();
    for policy in policies {
        match &policy.scope {
            Scope::Cluster(Selection { excluded, .. }) => {
                named.extend(excluded.iter().map(String::as_str));
            }
            Scope::Namespace(own) => {
                named.insert(own.as_str());
            }
        }
    }
    named.retain(|name| !protected.contains(name));
    let covering = |namespace: &str| -> Vec<&'p Policy> {
        policies.iter().copied().filter(|it| it.scope.covers(namespace, None)).collect()
    };
    // A policy that selects by labels may cover any.
    let mutating_in = |names: &[&str]| -> Vec<&'p Policy> {
        let covers = |it: &&Policy| names.iter().any(|name| it.scope.covers(name, None));
        mutating.iter().copied().filter(covers).collect()
    };
    let mut by_set: Vec<(Vec<&'p Policy>, Vec<&str>)> = Vec::new();
    for name in &named {
        let set = covering(name);
        let same = |(known, _): &&mut (Vec<&'p Policy>, Vec<&str>)| {
            known.iter().map(|it| &it.label).eq(set.iter().map(|it| &it.label))
        };
        match by_set.iter_mut().find(same) {
            Some((_, together)) => together.push(name),
            None => by_set.push((set, vec![name])),
        }
    }
    let mut groups = Vec::new();
    // No namespace has an empty name.
    let elsewhere = covering("");
    let outside: Vec<_> =
        protected.names().iter().map(String::as_str).chain(named.iter().copied()).collect();
    groups.push(Group {
        name: "elsewhere".to_owned(),
        mutated: elsewhere.iter().any(|it| mutates(it)),
        policies: elsewhere,
        namespaces: by_name("NotIn", &outside),
        mutating: mutating_in(&[""]),
    });
    groups.extend(by_set.into_iter().map(|(policies, names)| Group {
        name: match &*names {
            [name] => format!("in-{name}"),
            several => format!("in-{}", short(&several.join(","))),
        },
        mutated: policies.iter().any(|it| mutates(it)),
        policies,
        namespaces: by_name("In", &names),
        mutating: mutating_in(&names),
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
