//! Names, places and orders of violations, as several formats need them.

use std::collections::HashMap;

use crate::api::Effect;
use crate::findings::Violation;

/// The name of a violation's object: `Deployment shop/cart`.
pub(super) fn object_name(violation: &Violation) -> String {
    let Violation { kind, namespace, name, .. } = violation;
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// `FILE:LINE:COLUMN`, as far as they are known.
pub(super) fn place(violation: &Violation) -> Option<String> {
    let file = violation.file.as_ref()?;
    Some(
        [violation.line, violation.column]
            .into_iter()
            .flatten()
            .fold(file.clone(), |place, it| format!("{place}:{it}")),
    )
}

/// The message without its leading path, for formats that show the path in a column of its own.
pub(super) fn without_path(violation: &Violation) -> &str {
    violation.message.strip_prefix(&violation.path).map_or(&violation.message, str::trim_start)
}

/// The word for what a violation does when its object is created; empty for an object of a cluster.
pub(super) fn decision(violation: &Violation) -> &'static str {
    violation.decision.map(Effect::as_str).unwrap_or_default()
}

/// Whether a table needs a column of decisions: not where every violation is recorded only.
pub(super) fn have_decisions(results: &[Violation]) -> bool {
    results.iter().any(|it| it.decision.is_some_and(|effect| effect != Effect::Audit))
}

/// The file's path in the repository, with slashes and without `./`; `None` for stdin and a cluster's objects.
pub(super) fn repository_path(violation: &Violation) -> Option<String> {
    let file = violation.file.as_deref().filter(|file| *file != "-")?;
    let path = if cfg!(windows) { file.replace('\\', "/") } else { file.to_owned() };
    Some(path.trim_start_matches("./").to_owned())
}

/// The identity of a violation's object.
#[derive(Eq, Hash, PartialEq)]
pub(super) struct ObjectIdentity<'a> {
    file: Option<&'a str>,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
}

impl<'a> ObjectIdentity<'a> {
    pub(super) fn of(violation: &'a Violation) -> Self {
        let Violation { file, kind, namespace, name, .. } = violation;
        Self { file: file.as_deref(), kind, namespace: namespace.as_deref(), name }
    }
}

/// Violations grouped by object, in the report's order of objects; within an object the worst first.
pub(super) fn by_object(results: &[Violation]) -> Vec<&Violation> {
    let mut order = HashMap::new();
    for violation in results {
        let next = order.len();
        order.entry(ObjectIdentity::of(violation)).or_insert(next);
    }
    let mut sorted: Vec<_> = results.iter().collect();
    sorted.sort_by_key(|violation| (order.get(&ObjectIdentity::of(violation)), violation.severity));
    sorted
}

/// Violations with the worst first; equally severe ones stay in the report's order.
pub(super) fn worst_first(results: &[Violation]) -> Vec<&Violation> {
    let mut sorted: Vec<_> = results.iter().collect();
    sorted.sort_by_key(|violation| violation.severity);
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::testing::plain;
    use super::*;

    #[test]
    fn a_repositorys_path_has_neither_a_leading_dot_nor_stdin() {
        let path =
            |file: &str| repository_path(&Violation { file: Some(file.to_owned()), ..plain() });
        assert_eq!(path("./deploy/cart.yaml").as_deref(), Some("deploy/cart.yaml"));
        assert_eq!(path("../cart.yaml").as_deref(), Some("../cart.yaml"));
        assert_eq!(path(".ci/cart.yaml").as_deref(), Some(".ci/cart.yaml"));
        assert_eq!(path("-"), None);
    }
}
