//! A rule of a source, and what it becomes.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use super::value::Fields;
use crate::policy::text::cut;

/// Why there is no conversion: the end of a sentence about the source.
pub(super) type Reason = Cow<'static, str>;

/// How a conversion compares with its source, by the verdict on a new object.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The same verdict.
    #[default]
    Exact,
    /// It refuses all that the source refuses, and more.
    Stricter,
    /// It admits some that the source refuses.
    Looser,
    /// There is no conversion.
    Not,
}

impl Fit {
    pub const ALL: [Self; 4] = [Self::Exact, Self::Stricter, Self::Looser, Self::Not];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Stricter => "stricter",
            Self::Looser => "looser",
            Self::Not => "not",
        }
    }
}

pub(super) const TEMPLATES: &str =
    "podgate also judges the templates of workloads; the source judges only their pods";

/// A rule of a source.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub rule: String,
    pub fit: Fit,
    pub notes: Vec<String>,
    pub draft: Draft,
}

impl Part {
    pub fn new(rule: String) -> Self {
        Self { rule, ..Self::default() }
    }

    /// Makes a part. An error is the reason why there is no conversion.
    pub fn make(rule: String, work: impl FnOnce(&mut Self) -> Result<(), Reason>) -> Self {
        let mut part = Self::new(rule);
        if let Err(reason) = work(&mut part) {
            part.refuse(&reason);
        }
        part
    }

    /// Notes a difference. The worst one counts.
    #[inline(never)]
    pub fn mark(&mut self, fit: Fit, note: &str) {
        self.fit = self.fit.max(fit);
        if !self.notes.iter().any(|it| it == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// There is no conversion.
    #[inline(never)]
    pub fn refuse(&mut self, reason: &str) {
        self.notes.clear();
        self.draft = Draft::default();
        self.mark(Fit::Not, reason);
    }
}

/// What a rule becomes, before it is a policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub mode: &'static str,
    /// The namespace of a `DevOpsPolicy`; none for a `ClusterDevOpsPolicy`.
    pub namespace: Option<String>,
    /// What a namespace's labels must match: expressions of a label selector.
    pub selector: Vec<Value>,
    /// `excludeNamespaces`
    pub excluded: Vec<String>,
    /// CEL that is true for the pods that are judged.
    pub when: Vec<String>,
    /// Names and expressions.
    pub variables: Vec<(String, String)>,
    /// Expressions and messages of validations.
    pub checks: Vec<(String, String)>,
    /// Other rules, as fields of the spec.
    pub fields: Vec<(&'static str, Value)>,
    /// Exemptions; one without `rules` is for all of this draft.
    pub exemptions: Vec<Value>,
}

impl Draft {
    /// Adds a variable once.
    pub fn variable(&mut self, name: &str, expression: &str) {
        if !self.variables.iter().any(|(other, _)| other == name) {
            self.variables.push((name.to_owned(), expression.to_owned()));
        }
    }
}

/// An object of these fields, without those that are empty.
#[inline(never)]
pub(super) fn object(fields: Vec<(&str, Value)>) -> Value {
    let set = fields.into_iter().filter(|(_, value)| !value.is_empty_value());
    set.map(|(field, value)| (field.to_owned(), value)).collect::<Map<_, _>>().into()
}

/// An exemption of these fields. Nobody but its owner knows its owner.
pub(super) fn exemption(reason: &str, mut fields: Vec<(&str, Value)>) -> Value {
    fields.push(("reason", cut(reason.to_owned(), 256).into()));
    fields.push(("owner", "unknown; name one".into()));
    object(fields)
}

/// All containers of a pod.
pub(super) const ALL_CONTAINERS: (&str, &str) = (
    "allContainers",
    "object.spec.containers + object.spec.?initContainers.orValue([]) + object.spec.?ephemeralContainers.orValue([])",
);

/// `[a,b,c]` of all three lists, in any order.
pub(super) fn is_all_containers(names: &str) -> bool {
    let names = names.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or_default();
    let mut names: Vec<_> = names.split(',').collect();
    names.sort_unstable();
    names == ["containers", "ephemeralContainers", "initContainers"]
}
