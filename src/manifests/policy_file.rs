//! Reads policies from a text, for `--policy` and the `podgate policy` commands.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::documents::{self, Manifest};
use super::error::ManifestError;
use super::node::{Node, Position};
use super::value::DecodeError;
use crate::api::{API_VERSION, ClusterDevOpsPolicySpec, DevOpsPolicySpec, GROUP};
use crate::policy::compile::Policy;
use crate::policy::rule::InvalidField;
use crate::policy::scope::{Scope, Selection};
use crate::policy::text::{self, quote};

/// The longest error message, in bytes: messages quote values of any length.
const MAX_MESSAGE: usize = 500;

const KINDS: [&str; 2] = ["DevOpsPolicy", "ClusterDevOpsPolicy"];

/// A policy and the position of its name.
pub struct PolicyDocument {
    pub policy: Arc<Policy>,
    pub at: Position,
    /// The object as written, with [`ParseOptions::namespace`] put in if it has none.
    pub manifest: Value,
}

/// How to read a text.
#[derive(Clone, Copy, Default)]
pub struct ParseOptions<'a> {
    /// The namespace of a `DevOpsPolicy` that names none. Without it, such a policy judges all namespaces.
    pub namespace: Option<&'a str>,
    pub other_groups: OtherGroups,
}

/// What to do with objects of other API groups.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OtherGroups {
    #[default]
    Refuse,
    Skip,
}

impl<'a> ParseOptions<'a> {
    /// For a folder of a `GitOps` tool, which holds objects of other API groups too.
    pub fn gitops_folder(namespace: &'a str) -> Self {
        Self { namespace: Some(namespace), other_groups: OtherGroups::Skip }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PolicyManifest<Spec> {
    #[serde(rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    metadata: Metadata,
    #[serde(default = "Option::default")]
    spec: Option<Spec>,
    /// A policy that was exported from a cluster has one.
    #[serde(default, rename = "status")]
    _status: IgnoredAny,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

/// Reads every policy of a text, which may hold several documents.
///
/// # Errors
/// The first error, with its position: invalid YAML, a document that is no policy, an unknown field, a value of the
/// wrong type, a check that cannot be compiled, or a name that is used twice.
pub fn parse(text: &str, options: ParseOptions<'_>) -> Result<Vec<PolicyDocument>, ManifestError> {
    let mut policies = Vec::new();
    let mut defined = BTreeMap::new();
    for object in documents::read(text) {
        let object = object?;
        let other_group = object.api_version.split('/').next() != Some(GROUP);
        if other_group && options.other_groups == OtherGroups::Skip {
            continue;
        }
        let document = policy(&object, options.namespace)?;
        let Policy { name, label, .. } = &*document.policy;
        if let Some(first) = defined.insert(label.clone(), document.at) {
            let message = format!("policy {} is defined twice, first at {first}", quote(name));
            return Err(ManifestError::new(document.at, message));
        }
        policies.push(document);
    }
    Ok(policies)
}

fn policy(object: &Manifest<'_>, namespace: Option<&str>) -> Result<PolicyDocument, ManifestError> {
    let at = |path: &str| object.node.position_of(path);
    if !KINDS.contains(&object.kind.as_str()) {
        let message =
            format!("kind is {}; a policy has kind: {}", quote(&object.kind), KINDS.join(" or "));
        return Err(ManifestError::new(at("kind"), message));
    }
    if object.api_version != API_VERSION {
        let message = format!(
            "apiVersion is {}; a policy has apiVersion: {API_VERSION}",
            quote(&object.api_version)
        );
        return Err(ManifestError::new(at("apiVersion"), message));
    }
    let name = object.node.get("metadata").and_then(|it| it.get("name")).and_then(Node::as_str);
    let invalid = |InvalidField { path, message }: InvalidField| {
        let message = format!("policy {}: {path}: {message}", quote(name.unwrap_or_default()));
        ManifestError::new(at(&path), text::brief(message, MAX_MESSAGE))
    };
    let mut manifest = object.node.to_json();
    let policy = if object.kind == "ClusterDevOpsPolicy" {
        let PolicyManifest { metadata, spec, .. } =
            decode::<PolicyManifest<ClusterDevOpsPolicySpec>>(&object.node)?;
        Policy::compile_cluster(metadata.name, &spec.unwrap_or_default()).map_err(invalid)?
    } else {
        let PolicyManifest { metadata, spec, .. } =
            decode::<PolicyManifest<DevOpsPolicySpec>>(&object.node)?;
        let scope = match metadata.namespace.or_else(|| namespace.map(str::to_owned)) {
            Some(namespace) => {
                if let Some(metadata) =
                    manifest.pointer_mut("/metadata").and_then(Value::as_object_mut)
                {
                    metadata.insert("namespace".to_owned(), namespace.clone().into());
                }
                Scope::Namespace(namespace)
            }
            None => Scope::Cluster(Selection::default()),
        };
        Policy::compile(scope, metadata.name, &spec.unwrap_or_default()).map_err(invalid)?
    };
    if let Some(fault) = policy.unknown_kind() {
        return Err(invalid(fault));
    }
    let at = at("metadata.name");
    if policy.name.is_empty() {
        return Err(ManifestError::new(at, "metadata.name is empty"));
    }
    Ok(PolicyDocument { policy: Arc::new(policy), at, manifest })
}

/// Decodes an object that a person wrote for podgate.
///
/// # Errors
/// A value of the wrong type, or an unknown field, with the nearest known one.
pub(crate) fn decode<T: DeserializeOwned>(node: &Node<'_>) -> Result<T, ManifestError> {
    T::deserialize(node)
        .map_err(|error| ManifestError::new(error.at.unwrap_or(node.at), describe(&error)))
}

/// serde's message in plain words, with the nearest known name for an unknown field.
fn describe(error: &DecodeError) -> String {
    let mut message = error.message.replace("expected u32", "expected a whole number, 0 or more");
    if let Some(rest) = error.message.strip_prefix("unknown field ") {
        let mut names = rest.split('`').skip(1).step_by(2);
        let unknown = names.next().unwrap_or_default();
        let near = names.max_by(|a, b| {
            strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b))
        });
        message = format!("unknown field `{unknown}`");
        if let Some(near) = near.filter(|near| strsim::jaro_winkler(unknown, near) > 0.8) {
            let _ = write!(message, "; did you mean `{near}`?");
        }
    }
    let message =
        if error.path.is_empty() { message } else { format!("{}: {message}", error.path) };
    text::brief(message, MAX_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\n";

    fn policy(rest: &str) -> String {
        format!("{HEAD}metadata:\n  name: baseline\n{rest}")
    }

    fn error(text: &str) -> String {
        parse(text, ParseOptions::default()).err().expect("it was accepted").to_string()
    }

    #[test]
    fn a_file_may_hold_several_policies_and_empty_documents() {
        let text = format!(
            "---\n{}---\n# nothing\n---\n{HEAD}metadata: {{name: other, namespace: shop, labels: {{a: b}}}}\nstatus: {{}}\n---\n{}",
            policy("spec:\n  forbidLatestTag: true\n  enforcementMode: enforce\n"),
            "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: all}\nspec: {excludeNamespaces: [lab]}\n",
        );
        let labels: Vec<_> = parse(&text, ParseOptions::default())
            .unwrap()
            .into_iter()
            .map(|it| it.policy.label.clone())
            .collect();
        assert_eq!(labels, ["baseline", "shop/other", "all"]);
    }

    #[test]
    fn a_folders_other_objects_are_skipped_on_request_and_a_policy_takes_the_namespace() {
        let text = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\n{}",
            policy("")
        );
        let options = ParseOptions::gitops_folder("shop");
        let read = parse(&text, options).unwrap();
        assert_eq!(
            read.iter().map(|it| it.policy.label.as_str()).collect::<Vec<_>>(),
            ["shop/baseline"]
        );
        assert_eq!(read[0].manifest["metadata"]["namespace"], "shop");
        let typo = text.replace("DevOpsPolicy", "DevOpsPolice");
        assert!(parse(&typo, options).is_err(), "kinds of podgate's own group are not skipped");
    }

    #[test]
    fn every_error_has_its_line_and_column() {
        insta::assert_snapshot!(error(&policy("spec:\n  forbidLatestTags: true\n")), @"6:3: spec: unknown field `forbidLatestTags`; did you mean `forbidLatestTag`?");
        insta::assert_snapshot!(error(&policy("spec:\n  nonsense: true\n")), @"6:3: spec: unknown field `nonsense`");
        insta::assert_snapshot!(error(&policy("spec:\n  forbidLatestTag: often\n")), @r#"6:20: spec.forbidLatestTag: invalid type: string "often", expected a boolean"#);
        insta::assert_snapshot!(error(&policy("spec:\n  maxRestartCount: -1\n")), @"6:20: spec.maxRestartCount: invalid value: integer `-1`, expected a whole number, 0 or more");
        insta::assert_snapshot!(error(&policy("spec:\n  enforcementMode: strict\n")), @"6:20: spec.enforcementMode: unknown variant `strict`, expected one of `audit`, `warn`, `enforce`");
        insta::assert_snapshot!(error(&policy("spec:\n  requiredLabels:\n  - key: a\n  - patern: b\n")), @"8:5: spec.requiredLabels[1]: unknown field `patern`; did you mean `pattern`?");
        insta::assert_snapshot!(error(&policy("spec:\n  namespaceSelector: {}\n")), @"6:3: spec: unknown field `namespaceSelector`");
        insta::assert_snapshot!(error(&policy("spec: [\n")), @"5:7: it is not YAML: unclosed bracket '['");
        insta::assert_snapshot!(error(&policy("rules: []\n")), @"5:1: unknown field `rules`");
        insta::assert_snapshot!(error(&format!("{HEAD}metadata: {{}}\n")), @"3:11: metadata: missing field `name`");
        insta::assert_snapshot!(error("apiVersion: v1\nkind: ConfigMap\ndata: {}\n"), @r#"2:1: kind is "ConfigMap"; a policy has kind: DevOpsPolicy or ClusterDevOpsPolicy"#);
        insta::assert_snapshot!(error("metadata: {}\n"), @"1:1: it has no kind, so it is no Kubernetes object");
        insta::assert_snapshot!(error("just text\n"), @"1:1: it is no Kubernetes object: an object is a map with apiVersion and kind");
        insta::assert_snapshot!(error(&format!("{}---\n{}", policy(""), policy(""))), @r#"9:3: policy "baseline" is defined twice, first at 4:3"#);
    }

    #[test]
    fn a_check_that_cannot_be_compiled_has_its_position() {
        insta::assert_snapshot!(error(&policy("spec:\n  validations:\n  - name: a\n    message: m\n    expression: object.spec.\n")), @r#"9:5: policy "baseline": spec.validations[0].expression: 1:13: the expression ends here; the name of a field or a function should follow"#);
        insta::assert_snapshot!(error(&policy("spec:\n  requiredLabels:\n  - {key: a, pattern: '('}\n")), @r#"7:14: policy "baseline": spec.requiredLabels[0].pattern: it is no regular expression: unclosed group"#);
        insta::assert_snapshot!(error(&policy("spec:\n  severityOverrides: {forbidLatestTag/x: low}\n")), @r#"6:23: policy "baseline": spec.severityOverrides["forbidLatestTag/x"]: forbidLatestTag is one check; write "forbidLatestTag""#);
        insta::assert_snapshot!(error("apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: all}\nspec:\n  namespaceSelector: {matchExpressions: [{key: a, operator: Maybe}]}\n"), @r#"5:3: policy "all": spec.namespaceSelector: failed to parse value as expression: Invalid expression operator"#);
    }
}
