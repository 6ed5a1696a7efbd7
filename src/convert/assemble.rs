//! Writes policies from the parts of a source.

use std::collections::BTreeSet;

use serde_json::Value;

use super::part::{Draft, Fit, Part, Reason, object};
use super::report::RuleReport;
use super::source::name;
use super::value::{Fields, text};
use crate::api::API_VERSION;
use crate::manifests::policy_file::{self, ParseOptions};
use crate::policy::text::{brief, cut};

/// The CRD's limits.
const LIMITS: [(&str, usize); 4] = [
    ("/spec/validations", MOST_VALIDATIONS),
    ("/spec/variables", MOST_VALIDATIONS),
    ("/spec/exemptions", MOST_EXEMPTIONS),
    ("/spec/excludeNamespaces", 256),
];
const MOST_VALIDATIONS: usize = 16;
const MOST_MESSAGE: usize = 256;
const MOST_EXEMPTIONS: usize = 64;
const MOST_NAME: usize = 63;

/// The names of policies that are taken.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// The name, or if it is taken one with a number.
    fn free(&mut self, namespace: Option<&str>, name: &str) -> String {
        let mut free = name.to_owned();
        let mut number = 2_u32;
        while !self.0.insert(format!("{}/{free}", namespace.unwrap_or_default())) {
            free = format!("{name}-{number}");
            number += 1;
        }
        free
    }
}

/// The fit of a source, by its rules: a source that is converted in part is looser.
pub(super) fn together(rules: &[RuleReport]) -> Fit {
    let worst = rules.iter().map(|it| it.conversion).max().unwrap_or_default();
    let nothing = rules.iter().all(|it| it.conversion == Fit::Not);
    if worst == Fit::Not && !nothing { Fit::Looser } else { worst }
}

/// The policies that the parts of a source become. A part that podgate would not accept is not converted.
pub(super) fn policies(
    source: &Value,
    mut parts: Vec<Part>,
    names: &mut Names,
) -> (Vec<Value>, Vec<RuleReport>) {
    let own_name = match text(source, "/kind") {
        Some("Namespace") => "pod-security",
        _ => text(source, "/metadata/name").unwrap_or_default(),
    };
    for part in parts.iter_mut().filter(|it| !it.draft.is_empty()) {
        let finished = part.draft.finish();
        match finished
            .and_then(|()| accepted(&Policy::new(part, own_name).document(own_name, source)))
        {
            Ok(notes) => part.notes.extend(notes),
            Err(reason) => part.refuse(&format!("podgate would not accept it: {reason}")),
        }
    }
    let mut policies: Vec<Policy> = Vec::new();
    for part in &parts {
        if part.draft.is_empty() {
            continue;
        }
        let one = Policy::new(part, own_name);
        if !policies.iter_mut().any(|it| it.take(&one)) {
            policies.push(one);
        }
    }
    let first = policies.first().map(|it| it.draft.mode);
    let documents = policies.iter().map(|policy| {
        let mode = policy.draft.mode;
        let other = format!("{own_name}-{mode}");
        let name = if first == Some(mode) { own_name } else { &other };
        let name = names.free(policy.draft.namespace.as_deref(), name);
        policy.document(&name, source)
    });
    let documents: Vec<_> = documents.collect();
    if let Some(reason) = documents.iter().find_map(|it| accepted(it).err()) {
        for part in &mut parts {
            part.refuse(&format!("podgate would not accept its policies together: {reason}"));
        }
        return (Vec::new(), parts.into_iter().map(report).collect());
    }
    (documents, parts.into_iter().map(report).collect())
}

fn report(part: Part) -> RuleReport {
    RuleReport { rule: part.rule, conversion: part.fit, notes: part.notes }
}

/// Whether podgate accepts a policy, by the same way as for a file, and within the CRD's limits. Returns what it warns
/// of.
fn accepted(document: &Value) -> Result<Vec<String>, Reason> {
    for (list, most) in LIMITS {
        if document.at(list).items().len() > most {
            let list = list.trim_start_matches("/spec/");
            return Err(format!("it would have more than {most} {list}").into());
        }
    }
    let parsed = policy_file::parse(&document.to_string(), ParseOptions::default());
    let parsed = parsed.map_err(|error| error.message)?;
    if !is_name(text(document, "/metadata/name"))
        || document.at("/metadata/namespace") != &Value::Null
            && !is_name(text(document, "/metadata/namespace"))
    {
        return Err("its name is none that Kubernetes accepts".into());
    }
    let unknown = parsed.iter().flat_map(|it| &it.policy.unknown_fields);
    Ok(unknown.map(|it| it.message.clone()).collect())
}

impl Draft {
    fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.fields.is_empty()
    }

    /// Puts the conditions into the expressions, and messages into their limits.
    fn finish(&mut self) -> Result<(), Reason> {
        if let (false, Some((field, _))) = (self.when.is_empty(), self.fields.first()) {
            return Err(
                format!("{field} is for all pods of a namespace, and the rule for some").into()
            );
        }
        let when = std::mem::take(&mut self.when);
        for (expression, message) in &mut self.checks {
            if !when.is_empty() {
                *expression = format!("{} ? ({expression}) : true", when.join(" && "));
            }
            let words: Vec<_> = message.split_whitespace().collect();
            *message = cut(words.join(" ").replace(char::is_control, ""), MOST_MESSAGE);
            if message.is_empty() {
                "the pod breaks this rule".clone_into(message);
            }
        }
        Ok(())
    }
}

/// A policy of some parts.
struct Policy {
    draft: Draft,
    validations: Vec<Value>,
}

impl Policy {
    fn new(part: &Part, source: &str) -> Self {
        let mut draft = part.draft.clone();
        let mut validations = Vec::new();
        let several = draft.checks.len() > 1;
        for (index, (expression, message)) in draft.checks.iter().enumerate() {
            let mut name = validation_name(if part.rule.is_empty() { source } else { &part.rule });
            if several {
                name = format!("{}-{}", cut_name(&name, MOST_NAME - 4), index + 1);
            }
            validations.push(object(vec![
                ("name", name.into()),
                ("expression", expression.as_str().into()),
                ("message", message.as_str().into()),
            ]));
        }
        let ids: Vec<_> = validations
            .iter()
            .filter_map(|it| text(it, "/name"))
            .map(|it| format!("validations/{it}"))
            .chain(draft.fields.iter().map(|(field, _)| (*field).to_owned()))
            .collect();
        for exemption in draft.exemptions.iter_mut().filter_map(Value::as_object_mut) {
            exemption.entry("rules").or_insert_with(|| ids.clone().into());
        }
        Self { draft, validations }
    }

    /// Takes another policy in, if both together mean what each means alone.
    fn take(&mut self, other: &Self) -> bool {
        let (mine, its) = (&self.draft, &other.draft);
        let fits = mine.mode == its.mode
            && mine.namespace == its.namespace
            && mine.selector == its.selector
            && mine.excluded == its.excluded
            && (mine.variables == its.variables
                || mine.variables.is_empty()
                || its.variables.is_empty())
            && self.validations.len() + other.validations.len() <= MOST_VALIDATIONS
            && mine.exemptions.len() + its.exemptions.len() <= MOST_EXEMPTIONS
            && !its.fields.iter().any(|(field, _)| mine.fields.iter().any(|(it, _)| it == field))
            && !other
                .validations
                .iter()
                .any(|it| self.validations.iter().any(|own| own.get("name") == it.get("name")));
        if fits {
            if self.draft.variables.is_empty() {
                self.draft.variables.clone_from(&its.variables);
            }
            self.draft.fields.extend(its.fields.iter().cloned());
            self.draft.exemptions.extend(its.exemptions.iter().cloned());
            self.validations.extend(other.validations.iter().cloned());
        }
        fits
    }

    fn document(&self, policy: &str, source: &Value) -> Value {
        let draft = &self.draft;
        let variable = |(name, expression): &(String, String)| {
            object(vec![("name", name.as_str().into()), ("expression", expression.as_str().into())])
        };
        let variables: Vec<_> = draft.variables.iter().map(variable).collect();
        let selector = object(vec![("matchExpressions", draft.selector.clone().into())]);
        let mut spec = vec![
            ("enforcementMode", draft.mode.into()),
            ("namespaceSelector", selector),
            ("excludeNamespaces", draft.excluded.clone().into()),
            ("variables", variables.into()),
            ("validations", self.validations.clone().into()),
            ("exemptions", draft.exemptions.clone().into()),
        ];
        spec.extend(draft.fields.iter().cloned());
        let from = vec![("devops.stochastic.io/converted-from", converted_from(source).into())];
        let kind = if draft.namespace.is_some() { "DevOpsPolicy" } else { "ClusterDevOpsPolicy" };
        let metadata = vec![
            ("name", policy.into()),
            ("namespace", draft.namespace.clone().into()),
            ("annotations", object(from)),
        ];
        object(vec![
            ("apiVersion", API_VERSION.into()),
            ("kind", kind.into()),
            ("metadata", object(metadata)),
            ("spec", object(spec)),
        ])
    }
}

/// What a policy was, for people.
pub(super) fn converted_from(source: &Value) -> String {
    brief(format!("{} {}", text(source, "/kind").unwrap_or_default(), name(source)), MOST_MESSAGE)
}

/// Whether a text may be the name of an object.
fn is_name(name: Option<&str>) -> bool {
    let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
    name.is_some_and(|name| {
        name.len() <= 253
            && name.starts_with(plain)
            && name.ends_with(plain)
            && name.chars().all(|it| plain(it) || it == '-' || it == '.')
    })
}

/// A name as the CRD wants it.
fn validation_name(rule: &str) -> String {
    let plain = |it: char| if it.is_ascii_alphanumeric() { it } else { '-' };
    let name: String = rule.chars().map(plain).collect();
    let name = cut_name(name.trim_matches('-'), MOST_NAME);
    if name.is_empty() { "rule".to_owned() } else { name }
}

fn cut_name(name: &str, most: usize) -> String {
    name.chars().take(most).collect::<String>().trim_end_matches('-').to_owned()
}
