//! Kubernetes' escapes for names of fields that are not identifiers (`k8s.io/apiserver/pkg/cel/escaping.go`): `__dot__`
//! is a dot, `__namespace__` the reserved word `namespace`.

use std::borrow::Cow;

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name that an escaped name stands for; `None` if an escape in
/// it is unknown. An escape is a word between pairs of underscores.
pub(super) fn unescape(escaped: &str) -> Option<Cow<'_, str>> {
    if !escaped.contains("__") {
        return Some(Cow::Borrowed(escaped));
    }
    let mut name = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, contents, after)) = next_escape(rest) {
        name.push_str(before);
        match contents {
            "underscores" => name.push_str("__"),
            "dot" => name.push('.'),
            "dash" => name.push('-'),
            "slash" => name.push('/'),
            word if RESERVED.contains(&word) && escaped.len() == word.len() + 4 => {
                name.push_str(word);
            }
            _ => return None,
        }
        rest = after;
    }
    name.push_str(rest);
    Some(Cow::Owned(name))
}

/// Splits at the first `__…__` whose inner text has no underscore: the text before, the inner text, the text after.
fn next_escape(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(start) = text.get(from..)?.find("__").map(|at| from + at) {
        let inner = text.get(start + 2..)?;
        let length = inner.find('_').unwrap_or(inner.len());
        let after = inner.get(length..)?;
        if length > 0
            && let Some(after) = after.strip_prefix("__")
        {
            return Some((text.get(..start)?, inner.get(..length)?, after));
        }
        from = start + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unescaped_as_kubernetes_escapes_them() {
        for (escaped, name) in [
            ("plain", Some("plain")),
            ("_a_b", Some("_a_b")),
            ("__namespace__", Some("namespace")),
            ("a__dot__b", Some("a.b")),
            ("a__dash__b__slash__c", Some("a-b/c")),
            ("a__underscores__b", Some("a__b")),
            ("a__b", Some("a__b")),
            ("___dot__", Some("_.")),
            ("__foo__", None),
            ("a__in__", None),
        ] {
            assert_eq!(unescape(escaped).as_deref(), name, "{escaped}");
        }
    }
}
