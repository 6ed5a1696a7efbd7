//! Whether a policy covers any namespace, and what it looked for where it covers none.

use std::collections::BTreeMap;

use super::protected::Protected;
use super::scope::Scope;

/// The most namespaces that a sentence names.
const MAX_NAMED: usize = 10;

/// Why a scope covers none of a cluster's namespaces, as a sentence. `None` if it covers one, or if no namespace is
/// known, as without a cluster.
pub(super) fn covers_nothing<'n>(
    scope: &Scope,
    namespaces: impl Iterator<Item = (&'n str, &'n BTreeMap<String, String>)> + Clone,
    protected: &Protected,
) -> Option<String> {
    let never = |name: &str| format!("{name} is protected, and podgate never judges it");
    let selection = match scope {
        Scope::Namespace(own) => return protected.contains(own).then(|| never(own)),
        Scope::Cluster(selection) => selection,
    };
    let mut known = namespaces.clone();
    let covers = |(name, labels): (&str, &BTreeMap<String, String>)| {
        !protected.contains(name) && scope.covers(name, Some(labels))
    };
    if namespaces.clone().next().is_none() || known.any(covers) {
        return None;
    }
    let selected = namespaces.filter(|(_, labels)| selection.selects(labels));
    let selected: Vec<_> = selected.map(|(name, _)| name).collect();
    let labels = selection.selector().map(|it| format!(" the labels {it}"));
    Some(match (&*selected, labels) {
        ([], labels) => format!("no namespace has{}", labels.unwrap_or_default()),
        ([name], _) if protected.contains(name) => never(name),
        (names, labels) => {
            let whose = labels.map(|it| format!(" with{it}")).unwrap_or_default();
            let kept = names.iter().filter(|name| protected.contains(name)).count();
            let how = match kept {
                0 => "named in excludeNamespaces",
                kept if kept == names.len() => "protected",
                _ => "protected or named in excludeNamespaces",
            };
            format!("every namespace{whose} is {how}: {}", named(names))
        }
    })
}

fn named(names: &[&str]) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    names.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ") + &more
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::scope::Selection;
    use super::*;

    /// The sentence of a scope in a cluster of shop (team=shop), lab (team=lab) and kube-system (team=cluster).
    fn sentence(scope: &Scope) -> Option<String> {
        let labels = |team: &str| BTreeMap::from([("team".to_owned(), team.to_owned())]);
        let known =
            [("kube-system", labels("cluster")), ("lab", labels("lab")), ("shop", labels("shop"))];
        let known = known.iter().map(|(name, labels)| (*name, labels));
        covers_nothing(scope, known, &Protected::default())
    }

    fn selecting(selector: &Value, excluded: &[&str]) -> Scope {
        let selector = serde_json::from_value(selector.clone()).unwrap();
        let excluded = excluded.iter().map(|it| (*it).to_owned()).collect();
        Scope::Cluster(Selection::new(Some(&selector), Some(excluded)).unwrap())
    }

    #[test]
    fn a_policy_that_covers_a_namespace_is_told_from_one_that_covers_none() {
        let team = |team: &str| json!({"matchLabels": {"team": team}});
        for (scope, expected) in [
            (Scope::Namespace("shop".to_owned()), None),
            (selecting(&team("shop"), &[]), None),
            (selecting(&json!({}), &["shop"]), None),
            (selecting(&team("web"), &[]), Some("no namespace has the labels team=web")),
            (
                selecting(
                    &json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
                    &[],
                ),
                Some("no namespace has the labels tier"),
            ),
            (
                Scope::Namespace("kube-system".to_owned()),
                Some("kube-system is protected, and podgate never judges it"),
            ),
            (
                selecting(&team("cluster"), &[]),
                Some("kube-system is protected, and podgate never judges it"),
            ),
            (
                selecting(&team("shop"), &["shop"]),
                Some(
                    "every namespace with the labels team=shop is named in excludeNamespaces: shop",
                ),
            ),
            (
                selecting(&json!({}), &["shop", "lab"]),
                Some(
                    "every namespace is protected or named in excludeNamespaces: kube-system, lab, shop",
                ),
            ),
        ] {
            assert_eq!(sentence(&scope).as_deref(), expected, "{scope:?}");
        }
    }

    #[test]
    fn without_a_cluster_nothing_is_said_of_a_cluster_policy() {
        let scope = selecting(&json!({"matchLabels": {"team": "web"}}), &[]);
        assert_eq!(covers_nothing(&scope, std::iter::empty(), &Protected::default()), None);
    }

    #[test]
    fn of_many_namespaces_ten_are_named_and_the_rest_counted() {
        let names: Vec<_> = (10..22).map(|it| format!("n{it}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert!(named(&names).ends_with("n19, and 2 more"), "{}", named(&names));
    }
}
