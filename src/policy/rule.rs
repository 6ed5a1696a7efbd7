//! The type of a rule, and what its check returns.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use crate::api::{DevOpsPolicySpec, Severity};

use super::degree::Degree;
use super::pod_status::RunningPod;
use super::reads::Reads;
use super::subject::Subject;
use super::text::printable;
use super::vap::form::Form;

/// A rule. The registry lists them all.
pub struct Rule {
    /// The name of the field of `DevOpsPolicySpec` that enables it.
    pub id: &'static str,
    /// The severity of its violations, unless a policy overrides it.
    pub severity: Severity,
    pub phase: Phase,
    /// The fields of the policy's spec that its check depends on, besides its own.
    pub reads: &'static [&'static str],
    /// The names of its checks, if it has several. Empty for `validations`, whose checks the policy names.
    pub checks: &'static [&'static str],
    /// Whether it reads the whole pod ([`Subject::document`]), which costs more to decode than the view.
    pub reads_document: bool,
    /// How the API server judges it by policies of its own.
    pub vap: Form,
    /// The module comment of the rule's file, which is the rule's page.
    pub comment: &'static str,
    /// The fixtures of a pod that fails and of one that passes, as YAML.
    pub examples: [&'static str; 2],
}

impl Rule {
    /// The rule's page: what it requires, why, and how to satisfy it. It is the module comment of the rule's file, so
    /// there is one text, beside the code.
    pub fn page(&self) -> String {
        let lines = self.comment.lines().map_while(|line| line.strip_prefix("//!"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    /// The page's first paragraph, on one line: what the rule requires.
    pub fn title(&self) -> String {
        self.page().lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// The entry of one check in the page's list, on one line.
    pub fn check_title(&self, check: &str) -> Option<String> {
        let page = self.page();
        let (_, text) = page.split_once(&format!("- `{check}`: "))?;
        let mut lines = text.lines();
        let first = lines.next()?.to_owned();
        let more = lines.map_while(|line| line.strip_prefix("  "));
        Some(more.fold(first, |title, line| title + " " + line))
    }

    /// A pod that fails and one that passes, as YAML.
    pub fn examples(&self) -> (&'static str, &'static str) {
        let [fails, passes] = self.examples;
        (without_comments(fails), without_comments(passes))
    }
}

/// A fixture without its first lines, which are comments with the expected findings.
fn without_comments(mut text: &str) -> &str {
    while let Some((_, rest)) = text.split_once('\n').filter(|_| text.starts_with('#')) {
        text = rest;
    }
    text
}

/// The module comment of a rule's file. The rest of the file takes no room in the program.
macro_rules! module_comment {
    ($file:literal) => {{
        const SOURCE: &str = include_str!($file);
        const LENGTH: usize = $crate::policy::rule::comment_length(SOURCE);
        static COMMENT: [u8; LENGTH] = match SOURCE.as_bytes().first_chunk() {
            Some(comment) => *comment,
            None => [b' '; LENGTH],
        };
        match str::from_utf8(&COMMENT) {
            Ok(comment) => comment,
            Err(_) => "",
        }
    }};
}
pub(super) use module_comment;

/// The bytes of a source's lines that begin with `//!`.
pub const fn comment_length(source: &str) -> usize {
    let mut rest = source.as_bytes();
    while let [b'/', b'/', b'!', after @ ..] = rest {
        rest = next_line(after);
    }
    source.len() - rest.len()
}

const fn next_line(mut bytes: &[u8]) -> &[u8] {
    while let [byte, after @ ..] = bytes {
        bytes = after;
        if *byte == b'\n' {
            break;
        }
    }
    bytes
}

/// The examples of a rule, from the rule's folder of fixtures.
macro_rules! examples {
    ($rule:literal, $fails:literal, $passes:literal) => {
        [
            include_str!(concat!("../../../tests/rules/", $rule, "/", $fails, ".yaml")),
            include_str!(concat!("../../../tests/rules/", $rule, "/", $passes, ".yaml")),
        ]
    };
}
pub(super) use examples;

/// What a rule checks, with the function that makes its check from a policy's spec.
pub enum Phase {
    /// A pod's spec or template: at admission, in a scan and in the audit.
    Spec(fn(&DevOpsPolicySpec) -> Compiled<SpecCheck>),
    /// A running pod's status: in the audit only, so it never denies.
    Status(fn(&DevOpsPolicySpec) -> Compiled<StatusCheck>),
}

/// A check, or `None` if the spec does not enable the rule.
pub type Compiled<Check> = Result<Option<Check>, InvalidField>;

/// An invalid field of a policy's spec, as `PATH: MESSAGE`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InvalidField {
    /// The path from the policy's root: `spec.validations[0].expression`.
    pub path: String,
    pub message: String,
}

/// The check of a spec rule with a policy's parameters. It appends what it finds.
pub type SpecCheck = Box<dyn Fn(&Subject<'_>, &mut Vec<Breach>) + Send + Sync>;
/// The check of a status rule with a policy's parameters. It appends what it finds.
pub type StatusCheck = Box<dyn Fn(&RunningPod<'_>, &mut Vec<Breach>) + Send + Sync>;

/// One violation that a check found in a pod. `PATH PROBLEM; REMEDY` is its sentence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Breach {
    /// The check, if the rule has several: `hostPathVolumes` of podSecurity, or the name of a validation.
    pub check: Option<Cow<'static, str>>,
    /// The severity of the check, if it differs from the rule's.
    pub severity: Option<Severity>,
    pub container: Option<String>,
    /// The field at fault, from the object's root: `spec.containers[0].image`. Empty if it is the whole pod.
    pub path: String,
    /// The value found; `None` if the field is missing.
    pub value: Option<String>,
    /// The problem, as the predicate of the path: `is missing`.
    pub problem: String,
    /// How to pass, as an imperative.
    pub remedy: String,
    /// The change that podgate can make safely by itself.
    pub fix: Option<Fix>,
    /// Whether the check could not be decided. That counts as a violation: an error is not a pass.
    pub undecided: bool,
    /// How much of a violation it counts for in the score.
    pub degree: Degree,
    /// The fields that the check read, if `path` and `value` do not cover them (CEL validations).
    pub reads: Option<Arc<Reads>>,
}

impl Breach {
    /// The id in messages, exemptions and overrides: `RULE` or `RULE/CHECK`.
    pub fn id(&self, rule: &Rule) -> Cow<'static, str> {
        match &self.check {
            None => Cow::Borrowed(rule.id),
            Some(check) => Cow::Owned(format!("{}/{check}", rule.id)),
        }
    }

    /// `PATH PROBLEM; REMEDY`, without empty parts, safe for a terminal.
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
        // Parts of it come from the object or the policy, so control characters are escaped.
        printable(&text)
    }
}

/// A field, and the value that makes its rule pass. Missing parents are created.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// The path from the object's root, as [`Breach::path`].
    pub path: String,
    pub value: Value,
    /// A fix to apply before this one: a limit without a request would become the request too.
    pub beside: Option<Box<Fix>>,
}

impl Fix {
    pub fn new(path: String, value: impl Into<Value>) -> Self {
        Self { path, value: value.into(), beside: None }
    }

    /// This fix, after the one in `beside`.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        self.beside.as_deref().into_iter().chain([self])
    }
}
