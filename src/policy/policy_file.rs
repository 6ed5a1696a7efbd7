//! Policies from YAML: what `--policy` reads. Pure: text in, policies out.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::{Location, Spanned};

use crate::api::{API_VERSION, DevOpsPolicySpec};

/// A policy as a file says it.
#[derive(Debug)]
pub struct PolicyDocument {
    /// `None` judges every namespace.
    pub namespace: Option<String>,
    pub name: String,
    pub spec: DevOpsPolicySpec,
    /// Where the document's name stands.
    pub position: Position,
}

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

impl From<Location> for Position {
    fn from(location: Location) -> Self {
        // A fault of the file as a whole has no place; it is shown at its start.
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong with a policy file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{position}: {message}")]
pub struct PolicyFileError {
    pub position: Position,
    pub message: String,
}

/// What says whether a document is a policy at all.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<Spanned<String>>,
    kind: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    metadata: Metadata,
    #[serde(default)]
    spec: DevOpsPolicySpec,
    /// A policy taken from a cluster has one.
    #[serde(default, rename = "status")]
    _status: IgnoredAny,
}

#[derive(Deserialize)]
struct Metadata {
    name: Spanned<String>,
    #[serde(default)]
    namespace: Option<String>,
}

/// Reads every policy of a YAML text, which may hold several documents.
///
/// # Errors
/// The first fault, with its place: what is not YAML, a document that is no
/// policy, an unknown field, a value of the wrong type, a name given twice.
pub fn parse(text: &str) -> Result<Vec<PolicyDocument>, PolicyFileError> {
    for head in serde_saphyr::from_multiple::<Head>(text).map_err(|error| fault(&error))? {
        check_head(&head)?;
    }
    let mut seen = BTreeMap::new();
    let mut policies = Vec::new();
    for document in serde_saphyr::from_multiple::<Document>(text).map_err(|error| fault(&error))? {
        let Metadata { name, namespace } = document.metadata;
        let position = Position::from(name.defined);
        if name.value.is_empty() {
            return Err(PolicyFileError { position, message: "metadata.name is empty".to_owned() });
        }
        if let Some(first) = seen.insert((namespace.clone(), name.value.clone()), position) {
            let message = format!("policy {:?} is defined twice, first at {first}", name.value);
            return Err(PolicyFileError { position, message });
        }
        policies.push(PolicyDocument {
            namespace,
            name: name.value,
            spec: document.spec,
            position,
        });
    }
    Ok(policies)
}

fn check_head(head: &Head) -> Result<(), PolicyFileError> {
    for (field, found, expected) in
        [("kind", &head.kind, "DevOpsPolicy"), ("apiVersion", &head.api_version, API_VERSION)]
    {
        let Some(found) = found else {
            return Err(PolicyFileError {
                position: Position { line: 1, column: 1 },
                message: format!("a document has no {field}; a policy has {field}: {expected}"),
            });
        };
        if found.value != expected {
            return Err(PolicyFileError {
                position: found.defined.into(),
                message: format!("{field} is {:?}; a policy has {field}: {expected}", found.value),
            });
        }
    }
    Ok(())
}

fn fault(error: &serde_saphyr::Error) -> PolicyFileError {
    let position = Position::from(error.location().unwrap_or(Location::UNKNOWN));
    let message = error.without_snippet().to_string();
    let place = format!(" at line {}, column {}", position.line, position.column);
    let message = match message.strip_suffix(&place).unwrap_or(&message) {
        "expected string scalar" => "expected a string",
        "invalid boolean" => "expected true or false",
        "invalid u32" => "expected a whole number, 0 or more",
        "expected mapping start" => {
            "expected a policy: a mapping with apiVersion, kind, metadata and spec"
        }
        other => other,
    };
    PolicyFileError { position, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\n";

    fn policy(rest: &str) -> String {
        format!("{HEAD}metadata:\n  name: baseline\n{rest}")
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_file_may_hold_several_policies_and_empty_documents() {
        let text = format!(
            "---\n{}---\n# nothing\n---\n{HEAD}metadata: {{name: other, namespace: shop, labels: {{a: b}}}}\nstatus: {{}}\n",
            policy("spec:\n  forbidLatestTag: true\n  enforcementMode: enforce\n"),
        );
        let policies = parse(&text).unwrap();
        let names: Vec<_> =
            policies.iter().map(|it| (it.namespace.as_deref(), &*it.name)).collect();
        assert_eq!(names, [(None, "baseline"), (Some("shop"), "other")]);
        assert_eq!(policies[0].spec.forbid_latest_tag, Some(true));
    }

    #[test]
    fn every_fault_has_its_line_and_column() {
        insta::assert_snapshot!(error(&policy("spec:\n  forbidLatestTags: true\n")), @"6:3: unknown field `forbidLatestTags`, expected one of enforcementMode, forbidLatestTag, requireLivenessProbe, requireReadinessProbe, maxRestartCount, forbidPendingDuration");
        insta::assert_snapshot!(error(&policy("spec:\n  forbidLatestTag: often\n")), @"6:20: expected true or false");
        insta::assert_snapshot!(error(&policy("spec:\n  maxRestartCount: -1\n")), @"6:20: expected a whole number, 0 or more");
        insta::assert_snapshot!(error(&policy("spec:\n  enforcementMode: strict\n")), @"6:20: unknown variant `strict`, expected one of audit, warn, enforce");
        insta::assert_snapshot!(error(&policy("spec: [\n")), @"5:7: unclosed bracket '['");
        insta::assert_snapshot!(error(&policy("rules: []\n")), @"5:1: unknown field `rules`, expected one of apiVersion, kind, metadata, spec, status");
        insta::assert_snapshot!(error(&format!("{HEAD}metadata: {{}}\n")), @"3:11: missing field `name`");
        insta::assert_snapshot!(error("apiVersion: v1\nkind: ConfigMap\ndata: {}\n"), @r#"2:7: kind is "ConfigMap"; a policy has kind: DevOpsPolicy"#);
        insta::assert_snapshot!(error("metadata: {}\n"), @"1:1: a document has no kind; a policy has kind: DevOpsPolicy");
        insta::assert_snapshot!(error("just text\n"), @"1:1: expected a policy: a mapping with apiVersion, kind, metadata and spec");
        insta::assert_snapshot!(error(&format!("{}---\n{}", policy(""), policy(""))), @r#"9:9: policy "baseline" is defined twice, first at 4:9"#);
    }
}
