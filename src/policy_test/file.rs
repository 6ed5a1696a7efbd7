//! Decodes a test. Unknown fields, names that are there twice, and cases that assert nothing are errors.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::policies::{self, TestedPolicy, folder};
use crate::inputs;
use crate::manifests::documents::{self, Manifest};
use crate::manifests::error::ManifestError;
use crate::manifests::node::{Content, Node};
use crate::manifests::policy_file::decode;
use crate::policy::protected::Protected;
use crate::policy::text::quote;

pub(super) const KIND: &str = "PolicyTest";
pub(super) const API_VERSION: &str = "podgate/v1";

/// The largest file that is read as a test, in bytes. A larger one is no test that a person reads.
pub(super) const MAX_FILE: u64 = 16 * 1024 * 1024;

/// When a case without a time is judged. Only policies whose verdict does not depend on the time have such cases.
const TIME: Timestamp = Timestamp::UNIX_EPOCH;
/// The namespace of objects that name none, as in kubectl.
const NAMESPACE: &str = "default";

/// A test, decoded, with its policies compiled.
pub(super) struct PolicyTest {
    pub file: String,
    pub name: String,
    pub policies: Vec<TestedPolicy>,
    pub protected: Protected,
    pub cases: Vec<Case>,
}

pub(super) struct Case {
    pub line: u32,
    pub name: String,
    /// The expectation holds for each of them.
    pub objects: Vec<Value>,
    /// The object before the update.
    pub old: Option<Value>,
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    pub user: User,
    pub time: Timestamp,
    /// `None` if the file is to get it.
    pub expect: Option<Expect>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TestFields {
    #[serde(rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    metadata: Metadata,
    #[serde(rename = "policies")]
    _policies: IgnoredAny,
    time: Option<String>,
    #[serde(default)]
    protected_namespaces: Vec<String>,
    cases: Vec<CaseFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CaseFields {
    name: String,
    #[serde(default, rename = "object")]
    _object: IgnoredAny,
    object_file: Option<String>,
    #[serde(default, rename = "oldObject")]
    _old_object: IgnoredAny,
    namespace: Option<String>,
    #[serde(default)]
    namespace_labels: BTreeMap<String, String>,
    #[serde(default)]
    user: User,
    time: Option<String>,
    expect: Option<Expect>,
}

/// Who sends the object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    pub username: String,
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Default for User {
    fn default() -> Self {
        Self { username: "jane".to_owned(), groups: vec!["system:authenticated".to_owned()] }
    }
}

/// What a case expects. What is not set is not compared.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub decision: Option<Decision>,
    pub rules: Option<Vec<String>>,
    pub exempt: Option<Vec<String>>,
    pub message: Option<Vec<String>>,
    pub patch: Option<Vec<Value>>,
}

/// What becomes of an object: the strictest effect of its violations.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Decision {
    Deny,
    Grace,
    Warn,
    Audit,
    Allow,
}

impl Decision {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Grace => "grace",
            Self::Warn => "warn",
            Self::Audit => "audit",
            Self::Allow => "allow",
        }
    }
}

/// Reads a test.
///
/// # Errors
/// Everything that is wrong with it, as far as it can be read.
pub(super) fn read(
    file: &str,
    manifest: &Manifest<'_>,
    update: bool,
) -> Result<PolicyTest, Vec<ManifestError>> {
    let node = &manifest.node;
    let one = |error| vec![error];
    if manifest.api_version != API_VERSION {
        let found = quote(&manifest.api_version);
        let message = format!("apiVersion is {found}; a {KIND} has apiVersion: {API_VERSION}");
        return Err(one(ManifestError::new(node.position_of("apiVersion"), message)));
    }
    let TestFields { metadata, time, protected_namespaces, cases, .. } =
        decode(node).map_err(one)?;
    let policies = policies::read(file, node).map_err(one)?;
    let time = instant(node, "time", time.as_deref()).map_err(one)?;
    if cases.is_empty() {
        let message = "there are no cases; a test has at least one";
        return Err(one(ManifestError::new(node.position_of("cases"), message)));
    }
    let ends = policies.iter().find(|it| it.policy.next_end(Timestamp::MIN).is_some());
    let reader = Reader { file, node, update, time, ends: ends.map(|it| it.policy.label.as_str()) };
    let (mut read, mut errors, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, case) in cases.into_iter().enumerate() {
        if !names.insert(case.name.clone()) {
            let message = format!("there are two cases with the name {}", quote(&case.name));
            errors.push(reader.fault(index, "name", message));
        }
        match reader.case(index, case) {
            Ok(case) => read.push(case),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let (file, protected) = (file.to_owned(), Protected::with(protected_namespaces));
    Ok(PolicyTest { file, name: metadata.name, policies, protected, cases: read })
}

struct Reader<'n> {
    file: &'n str,
    node: &'n Node<'n>,
    update: bool,
    time: Option<Timestamp>,
    /// A policy whose verdict depends on the time.
    ends: Option<&'n str>,
}

impl Reader<'_> {
    fn fault(&self, case: usize, field: &str, message: impl Into<String>) -> ManifestError {
        ManifestError::new(self.node.position_of(&format!("cases[{case}].{field}")), message)
    }

    fn case(&self, index: usize, fields: CaseFields) -> Result<Case, ManifestError> {
        let fault = |field: &str, message: &str| Err(self.fault(index, field, message));
        let CaseFields { name, object_file, namespace, namespace_labels, user, expect, .. } =
            fields;
        let own = item(self.node, "cases", index);
        let part = |field: &str| own.and_then(|it| it.get(field)).filter(|it| !it.is_null());
        let objects = match (part("object"), object_file) {
            (Some(object), None) => vec![object.to_json()],
            (None, Some(path)) => {
                self.objects(&path).map_err(|message| self.fault(index, "objectFile", message))?
            }
            _ => return fault("name", "a case has either object or objectFile"),
        };
        let old = part("oldObject").map(Node::to_json);
        if old.is_some() && objects.len() > 1 {
            return fault("oldObject", "an update has one object, and objectFile holds several");
        }
        let path = format!("cases[{index}].time");
        let time = instant(self.node, &path, fields.time.as_deref())?.or(self.time);
        if let (None, Some(policy)) = (time, self.ends) {
            let message = format!(
                "policy {} has an end (expiresAt or graceUntil), so the case depends on the time; set time, of the case \
                 or of the file",
                quote(policy)
            );
            return Err(self.fault(index, "name", message));
        }
        let asserts = expect.as_ref().is_some_and(Expect::asserts);
        if !asserts && (expect.is_some() || !self.update) {
            let message = "the case expects nothing; set decision, rules, exempt, message or patch, or run podgate policy \
                           test --update";
            return fault("expect", message);
        }
        let namespace = namespace.unwrap_or_else(|| NAMESPACE.to_owned());
        for object in objects.iter().chain(&old) {
            let own = object.pointer("/metadata/namespace").and_then(Value::as_str);
            if let Some(own) = own.filter(|own| *own != namespace) {
                let message = format!(
                    "an object is of the namespace {}, and the case of {}; set namespace of the case to that of its \
                     objects",
                    quote(own),
                    quote(&namespace)
                );
                return Err(self.fault(index, "namespace", message));
            }
        }
        Ok(Case {
            line: self.node.position_of(&format!("cases[{index}]")).line,
            name,
            objects,
            old,
            namespace,
            labels: namespace_labels,
            user,
            time: time.unwrap_or(TIME),
            expect,
        })
    }

    /// The objects of a file, which is named from the test's folder.
    fn objects(&self, path: &str) -> Result<Vec<Value>, String> {
        let (inputs, faults) = inputs::find(&[folder(self.file).join(path)]);
        if let Some(fault) = faults.into_iter().next() {
            return Err(format!("{}: {}", fault.place, fault.message));
        }
        let mut objects = Vec::new();
        for input in inputs {
            if input.size() > MAX_FILE {
                return Err(format!(
                    "{}: it is larger than {} MiB; split it",
                    input.name,
                    MAX_FILE >> 20
                ));
            }
            let read = input.read(|text| {
                let read = documents::read(text).map(|it| it.map(|it| it.node.to_json()));
                read.collect::<Result<Vec<_>, _>>()
            });
            let read = read.map_err(|fault| format!("{}: {}", fault.place, fault.message))?;
            objects.extend(read.map_err(|error| format!("{}:{error}", input.name))?);
        }
        if objects.is_empty() { Err("there is no object in it".to_owned()) } else { Ok(objects) }
    }
}

impl Expect {
    fn asserts(&self) -> bool {
        let Self { decision, rules, exempt, message, patch } = self;
        decision.is_some()
            || rules.is_some()
            || exempt.is_some()
            || message.as_ref().is_some_and(|it| it.iter().any(|it| !it.is_empty()))
            || patch.is_some()
    }
}

/// The item of a list field.
pub(super) fn item<'n>(node: &'n Node<'_>, field: &str, index: usize) -> Option<&'n Node<'n>> {
    match &node.get(field)?.content {
        Content::List(items) => items.get(index),
        _ => None,
    }
}

fn instant(
    node: &Node<'_>,
    path: &str,
    text: Option<&str>,
) -> Result<Option<Timestamp>, ManifestError> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|_| {
        let message = format!(
            "{} is no time; write it as in RFC 3339, such as \"2027-03-31T00:00:00Z\"",
            quote(text.unwrap_or_default())
        );
        ManifestError::new(node.position_of(path), message)
    })
}
