//! Policies from a text: what `--policy` reads.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::documents::{self, Fault, Object};
use super::node::{Node, Position};
use super::value::DecodeError;
use crate::api::{API_VERSION, ClusterDevOpsPolicySpec, DevOpsPolicySpec, GROUP};
use crate::policy::compile::Policy;
use crate::policy::rule::InvalidField;
use crate::policy::scope::{Scope, Selection};
use crate::policy::text::{self, quote};

/// The most bytes of a fault's text: what was written may be of any length.
const MAX_MESSAGE: usize = 500;

const KINDS: [&str; 2] = ["DevOpsPolicy", "ClusterDevOpsPolicy"];

/// A policy and where its name stands.
pub struct PolicyDocument {
    pub policy: Arc<Policy>,
    pub at: Position,
    /// What is written, with the namespace that it takes.
    pub manifest: Value,
}

/// What a text means where it says nothing itself.
#[derive(Clone, Copy, Default)]
pub struct Reading<'a> {
    /// The namespace of a `DevOpsPolicy` that names none. Without it, such a policy judges all namespaces.
    pub namespace: Option<&'a str>,
    /// Whether objects of other API groups are passed over, as in a folder for a `GitOps` tool.
    pub among_others: bool,
}

impl<'a> Reading<'a> {
    /// In a folder for a `GitOps` tool.
    pub fn among_others(namespace: &'a str) -> Self {
        Self { namespace: Some(namespace), among_others: true }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Manifest<Spec> {
    #[serde(rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    metadata: Metadata,
    #[serde(default = "Option::default")]
    spec: Option<Spec>,
    /// A policy taken from a cluster has one.
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
/// The first fault, with its place: what is not YAML, a document that is no policy, an unknown field, a value of the
/// wrong type, a check that cannot be made, a name given twice.
pub fn parse(text: &str, reading: Reading<'_>) -> Result<Vec<PolicyDocument>, Fault> {
    let mut policies: Vec<PolicyDocument> = Vec::new();
    let mut seen = BTreeMap::new();
    let mut fault = None;
    documents::read(text, |object| {
        if fault.is_some() {
            return;
        }
        let foreign = |object: &Object<'_>| {
            reading.among_others && object.api_version.split('/').next() != Some(GROUP)
        };
        let read = match object {
            Ok(object) if foreign(&object) => return,
            Ok(object) => policy(&object, reading.namespace),
            Err(fault) => Err(fault),
        };
        match read {
            Ok(document) => {
                let Policy { name, label, .. } = &*document.policy;
                match seen.insert(label.clone(), document.at) {
                    None => policies.push(document),
                    Some(first) => {
                        let message =
                            format!("policy {} is defined twice, first at {first}", quote(name));
                        fault = Some(Fault { at: document.at, message });
                    }
                }
            }
            Err(error) => fault = Some(error),
        }
    });
    fault.map_or(Ok(policies), Err)
}

fn policy(object: &Object<'_>, namespace: Option<&str>) -> Result<PolicyDocument, Fault> {
    let at = |path: &str| object.node.position_of(path);
    if !KINDS.contains(&object.kind.as_str()) {
        let message =
            format!("kind is {}; a policy has kind: {}", quote(&object.kind), KINDS.join(" or "));
        return Err(Fault { at: at("kind"), message });
    }
    if object.api_version != API_VERSION {
        let message = format!(
            "apiVersion is {}; a policy has apiVersion: {API_VERSION}",
            quote(&object.api_version)
        );
        return Err(Fault { at: at("apiVersion"), message });
    }
    let name = object.node.get("metadata").and_then(|it| it.get("name")).and_then(Node::as_str);
    let invalid = |InvalidField { path, message }: InvalidField| Fault {
        at: at(&path),
        message: {
            let told = format!("policy {}: {path}: {message}", quote(name.unwrap_or_default()));
            text::brief(told, MAX_MESSAGE)
        },
    };
    let mut manifest = object.node.to_json();
    let policy = if object.kind == "ClusterDevOpsPolicy" {
        let Manifest { metadata, spec, .. } = decode::<ClusterDevOpsPolicySpec>(object)?;
        Policy::compile_cluster(metadata.name, &spec.unwrap_or_default()).map_err(invalid)?
    } else {
        let Manifest { metadata, spec, .. } = decode::<DevOpsPolicySpec>(object)?;
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
    let at = at("metadata.name");
    if policy.name.is_empty() {
        return Err(Fault { at, message: "metadata.name is empty".to_owned() });
    }
    Ok(PolicyDocument { policy: Arc::new(policy), at, manifest })
}

fn decode<Spec: DeserializeOwned>(object: &Object<'_>) -> Result<Manifest<Spec>, Fault> {
    Manifest::deserialize(&object.node).map_err(|error| {
        let at = error.at.unwrap_or(object.node.at);
        Fault { at, message: plainly(&error) }
    })
}

/// serde's words, in those of a person who wrote the file.
fn plainly(error: &DecodeError) -> String {
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
    let told = if error.path.is_empty() { message } else { format!("{}: {message}", error.path) };
    text::brief(told, MAX_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\n";

    fn policy(rest: &str) -> String {
        format!("{HEAD}metadata:\n  name: baseline\n{rest}")
    }

    fn error(text: &str) -> String {
        parse(text, Reading::default()).err().expect("it was accepted").to_string()
    }

    #[test]
    fn a_file_may_hold_several_policies_and_empty_documents() {
        let text = format!(
            "---\n{}---\n# nothing\n---\n{HEAD}metadata: {{name: other, namespace: shop, labels: {{a: b}}}}\nstatus: {{}}\n---\n{}",
            policy("spec:\n  forbidLatestTag: true\n  enforcementMode: enforce\n"),
            "apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: all}\nspec: {excludeNamespaces: [lab]}\n",
        );
        let labels: Vec<_> = parse(&text, Reading::default())
            .unwrap()
            .into_iter()
            .map(|it| it.policy.label.clone())
            .collect();
        assert_eq!(labels, ["baseline", "shop/other", "all"]);
    }

    #[test]
    fn a_folders_other_objects_are_passed_over_on_request_and_a_policy_takes_the_namespace() {
        let text = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\n{}",
            policy("")
        );
        let reading = Reading { namespace: Some("shop"), among_others: true };
        let read = parse(&text, reading).unwrap();
        assert_eq!(
            read.iter().map(|it| it.policy.label.as_str()).collect::<Vec<_>>(),
            ["shop/baseline"]
        );
        assert_eq!(read[0].manifest["metadata"]["namespace"], "shop");
        let typo = text.replace("DevOpsPolicy", "DevOpsPolice");
        assert!(parse(&typo, reading).is_err(), "our own group's kinds are not passed over");
    }

    #[test]
    fn every_fault_has_its_line_and_column() {
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
    fn a_check_that_cannot_be_made_is_told_where_it_stands() {
        insta::assert_snapshot!(error(&policy("spec:\n  validations:\n  - name: a\n    message: m\n    expression: object.spec.\n")), @r#"9:5: policy "baseline": spec.validations[0].expression: 1:13: the expression ends here; the name of a field or a function should follow"#);
        insta::assert_snapshot!(error(&policy("spec:\n  requiredLabels:\n  - {key: a, pattern: '('}\n")), @r#"7:14: policy "baseline": spec.requiredLabels[0].pattern: it is no regular expression: unclosed group"#);
        insta::assert_snapshot!(error(&policy("spec:\n  severityOverrides: {forbidLatestTag/x: low}\n")), @r#"6:23: policy "baseline": spec.severityOverrides["forbidLatestTag/x"]: forbidLatestTag is one check; write "forbidLatestTag""#);
        insta::assert_snapshot!(error("apiVersion: devops.stochastic.io/v1\nkind: ClusterDevOpsPolicy\nmetadata: {name: all}\nspec:\n  namespaceSelector: {matchExpressions: [{key: a, operator: Maybe}]}\n"), @r#"5:3: policy "all": spec.namespaceSelector: failed to parse value as expression: Invalid expression operator"#);
    }
}
