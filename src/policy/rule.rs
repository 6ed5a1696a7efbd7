//! What a rule is.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::api::{DevOpsPolicySpec, Severity};

use super::degree::Degree;
use super::pod_status::RunningPod;
use super::reads::Reads;
use super::subject::Subject;
use super::text::printable;

/// A rule of the catalogue. Its id is the name of the field of
/// `DevOpsPolicySpec` that switches it on.
pub struct Rule {
    pub id: &'static str,
    /// The severity of its violations unless a policy says otherwise.
    pub severity: Severity,
    pub phase: Phase,
    /// The fields of the policy's spec, beside its own, that its check depends on.
    pub reads: &'static [&'static str],
    /// The names of its checks, where it has several that are known beforehand.
    pub checks: &'static [&'static str],
    /// Whether it reads whole documents ([`Subject::document`]), which cost more than the view.
    pub reads_document: bool,
    /// The source of the rule's file, whose module comment is its page.
    pub source: &'static str,
    /// A pod that fails, as the rule's fixtures have it, and one that passes.
    pub examples: [&'static str; 2],
}

impl Rule {
    /// What the rule asks, why, and how to satisfy it: the comment at the head
    /// of its file, so that there is one text and it stands beside the code.
    pub fn page(&self) -> String {
        let lines = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    /// The page's first paragraph, on one line: what the rule asks.
    pub fn title(&self) -> String {
        self.page().lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// What the page's list of checks says of one, on one line.
    pub fn check_title(&self, check: &str) -> Option<String> {
        let page = self.page();
        let (_, text) = page.split_once(&format!("- `{check}`: "))?;
        let mut lines = text.lines();
        let first = lines.next()?.to_owned();
        let more = lines.map_while(|line| line.strip_prefix("  "));
        Some(more.fold(first, |title, line| title + " " + line))
    }
}

impl Rule {
    /// A pod that fails, and what passes instead, as YAML.
    pub fn examples(&self) -> (&'static str, &'static str) {
        let [fails, passes] = self.examples;
        (without_comments(fails), without_comments(passes))
    }
}

/// A fixture begins with the findings it must lead to, as comments.
fn without_comments(mut text: &str) -> &str {
    while let Some((_, rest)) = text.split_once('\n').filter(|_| text.starts_with('#')) {
        text = rest;
    }
    text
}

/// The examples of a rule, from the folder of its fixtures.
macro_rules! examples {
    ($rule:literal, $fails:literal, $passes:literal) => {
        [
            include_str!(concat!("../../../tests/rules/", $rule, "/", $fails, ".yaml")),
            include_str!(concat!("../../../tests/rules/", $rule, "/", $passes, ".yaml")),
        ]
    };
}
pub(super) use examples;

/// When a rule can be decided, with the way to make its check from a policy's
/// spec; `None` where the spec leaves the rule off.
pub enum Phase {
    /// From a pod's spec or a template: at admission, offline and in the audit.
    Spec(fn(&DevOpsPolicySpec) -> Compiled<SpecCheck>),
    /// From a running pod: in the audit only. It can never deny.
    Status(fn(&DevOpsPolicySpec) -> Compiled<StatusCheck>),
}

/// A check, or `None` where the spec leaves the rule off.
pub type Compiled<Check> = Result<Option<Check>, InvalidField>;

/// A field of a policy's spec that no check can be made from.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InvalidField {
    /// From the policy's root: `spec.validations[0].expression`.
    pub path: String,
    pub message: String,
}

/// A rule with a policy's parameters, ready to judge specs.
pub type SpecCheck = Box<dyn Fn(&Subject<'_>, &mut Vec<Breach>) + Send + Sync>;
/// A rule with a policy's parameters, ready to judge running pods.
pub type StatusCheck = Box<dyn Fn(&RunningPod<'_>, &mut Vec<Breach>) + Send + Sync>;

/// One thing wrong with a pod. `path problem; remedy` is a sentence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Breach {
    /// Which check of the rule, where it has several: `hostPathVolumes` of podSecurity, a validation's name.
    pub check: Option<Cow<'static, str>>,
    /// The check's own severity, where it differs from the rule's.
    pub severity: Option<Severity>,
    pub container: Option<String>,
    /// The field at fault, from the object's root: `spec.containers[0].image`. Empty where it is the whole pod.
    pub path: String,
    /// The value found; `None` where the field is missing.
    pub value: Option<String>,
    /// What is wrong, as a predicate of the path: `is missing`.
    pub problem: String,
    /// What would pass.
    pub remedy: String,
    /// What podgate itself can do about it, safely.
    pub fix: Option<Fix>,
    /// Whether the check could not be decided. It counts as a violation: an error is not a pass.
    pub undecided: bool,
    /// How much of a violation it is in the score.
    pub degree: Degree,
    /// What of the pod was looked at, where `path` and `value` do not tell.
    pub reads: Option<Arc<Reads>>,
}

impl Breach {
    /// What it is called in messages, exemptions and overrides: the rule, or `RULE/CHECK`.
    pub fn id(&self, rule: &Rule) -> Cow<'static, str> {
        match &self.check {
            None => Cow::Borrowed(rule.id),
            Some(check) => Cow::Owned(format!("{}/{check}", rule.id)),
        }
    }

    /// `path problem; remedy`, as far as they are given.
    pub fn sentence(&self) -> String {
        let mut text = self.path.clone();
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&self.problem);
        if !self.remedy.is_empty() {
            text.push_str("; ");
            text.push_str(&self.remedy);
        }
        // Parts of it are somebody's own words: an object's, or a policy's.
        printable(&text)
    }
}

/// A field and the value that makes its rule pass. Parents that are missing are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// From the object's root, as [`Breach::path`].
    pub path: String,
    pub value: Value,
    /// What has to go in with it: a limit alone would become the request too.
    pub beside: Option<Box<Fix>>,
}

impl Fix {
    pub fn new(path: String, value: impl Into<Value>) -> Self {
        Self { path, value: value.into(), beside: None }
    }

    /// It and what goes in beside it, which comes first.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        self.beside.as_deref().into_iter().chain([self])
    }
}
