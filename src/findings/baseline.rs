//! The violations that are known already, so that a pipeline fails only by new ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Violation;

/// A file of known violations. A violation is known by its object, rule, container and field, however its file, its
/// line, or its place in a list changes; so many of them are known as were there.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    api_version: String,
    kind: String,
    violations: Vec<Known>,
}

/// Violations that are alike.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Known {
    #[serde(flatten)]
    key: Key,
    count: u64,
}

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Key {
    kind: String,
    namespace: Option<String>,
    name: String,
    rule: String,
    container: Option<String>,
    /// The path of the field, without the numbers of lists.
    path: String,
}

impl Key {
    fn of(violation: &Violation) -> Self {
        let Violation { kind, namespace, name, rule, container, path, .. } = violation;
        Self {
            kind: kind.clone(),
            namespace: namespace.clone(),
            name: name.clone(),
            rule: rule.clone(),
            container: container.clone(),
            path: unnumbered(path),
        }
    }
}

impl Baseline {
    /// A baseline in which all of these are known.
    pub fn of(violations: &[Violation]) -> Self {
        let mut counts = BTreeMap::<Key, u64>::new();
        for violation in violations {
            *counts.entry(Key::of(violation)).or_default() += 1;
        }
        Self {
            api_version: "podgate/v1".to_owned(),
            kind: "Baseline".to_owned(),
            violations: counts.into_iter().map(|(key, count)| Known { key, count }).collect(),
        }
    }

    /// Whether the file says that it is a baseline of this version.
    pub fn is_one(&self) -> bool {
        self.api_version == "podgate/v1" && self.kind == "Baseline"
    }

    /// Removes the known violations; returns how many there were.
    pub fn remove(&self, violations: &mut Vec<Violation>) -> u64 {
        let mut left: BTreeMap<_, _> =
            self.violations.iter().map(|known| (&known.key, known.count)).collect();
        let before = violations.len();
        violations.retain(|violation| match left.get_mut(&Key::of(violation)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        });
        (before - violations.len()) as u64
    }
}

/// A path without the numbers of lists: `containers[0].image` as `containers[].image`.
fn unnumbered(path: &str) -> String {
    let mut parts = path.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        plain.push('[');
        plain.push_str(if rest.starts_with(']') { rest } else { part });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_numbers_of_lists_are_dropped() {
        for (path, expected) in [
            ("spec.containers[0].ports[12].hostPort", "spec.containers[].ports[].hostPort"),
            (r#"metadata.labels["a[1]"]"#, r#"metadata.labels["a[]"]"#),
            (r#"metadata.labels["x"]"#, r#"metadata.labels["x"]"#),
            ("spec", "spec"),
            ("", ""),
        ] {
            assert_eq!(unnumbered(path), expected);
        }
    }
}
