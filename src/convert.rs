//! Converts the policies of others into podgate's, for `podgate policy convert`: Pod Security labels of namespaces, and
//! policies of Kyverno and Gatekeeper.
//!
//! The way in is [`convert()`]. Each source is read into parts, one for each of its rules ([`part`]): what the rule
//! becomes, and how well that fits. [`kyverno`] reads `ClusterPolicy` and `Policy` ([`resources`] what they match,
//! [`pattern`] and [`operand`] their patterns, [`conditions`] what they deny), [`admission`] the policies in CEL,
//! [`gatekeeper`] constraints ([`library`] has those of Gatekeeper's library), [`pod_security`] the labels. Then
//! [`exceptions`] adds what is exempt, and [`assemble`] writes policies, which podgate itself must accept.
//!
//! What cannot be converted precisely is left out, and its part says why: a conversion never guesses.

mod admission;
mod assemble;
mod cel;
mod conditions;
mod exceptions;
mod gatekeeper;
mod kyverno;
mod library;
mod operand;
mod part;
mod pattern;
mod pod_security;
mod resources;
mod value;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

pub use self::part::Fit;
use self::part::{Part, Reason};
use self::value::{Fields, text};

/// An object of a file.
pub struct Source {
    /// `FILE:LINE:COLUMN`.
    pub place: String,
    pub object: Value,
}

/// What became of the sources.
#[derive(Debug, Default, Serialize)]
pub struct Conversion {
    /// The policies, each as an object.
    #[serde(skip)]
    pub policies: Vec<Value>,
    pub sources: Vec<Report>,
    /// How many sources have each fit.
    pub summary: BTreeMap<Fit, u64>,
    /// Objects that are no policies.
    pub skipped: u64,
}

/// What became of a source.
#[derive(Debug, Serialize)]
pub struct Report {
    pub place: String,
    pub kind: String,
    /// `NAMESPACE/NAME`, or the name of an object without a namespace.
    pub name: String,
    pub conversion: Fit,
    /// The policies that it became, by `NAMESPACE/NAME` or name.
    pub policies: Vec<String>,
    pub rules: Vec<RuleReport>,
}

/// What became of a rule of a source.
#[derive(Debug, Serialize)]
pub struct RuleReport {
    /// Empty for a source that is one rule.
    pub rule: String,
    pub conversion: Fit,
    /// A sentence for each difference.
    pub notes: Vec<String>,
}

/// A source with its parts.
struct Read<'a> {
    source: &'a Source,
    name: String,
    parts: Vec<Part>,
}

/// Converts all sources together: a binding, a template or an exception is about another object.
pub fn convert(sources: &[Source]) -> Conversion {
    let summary = Fit::ALL.map(|fit| (fit, 0)).into_iter().collect();
    let mut conversion = Conversion { summary, ..Conversion::default() };
    let mut read = Vec::new();
    for source in sources {
        match parts(&source.object, sources) {
            Some(parts) => read.push(Read { source, name: name(&source.object), parts }),
            None => conversion.skipped += 1,
        }
    }
    exceptions::apply(&mut read);
    let mut used = assemble::Names::default();
    for Read { source, name, parts } in read {
        let (policies, rules) = assemble::policies(&source.object, parts, &mut used);
        let fit = assemble::together(&rules);
        *conversion.summary.entry(fit).or_default() += 1;
        let labels = policies.iter().map(self::name).collect();
        conversion.policies.extend(policies);
        conversion.sources.push(Report {
            place: source.place.clone(),
            kind: text(&source.object, "/kind").unwrap_or_default().to_owned(),
            name,
            conversion: fit,
            policies: labels,
            rules,
        });
    }
    conversion
}

/// The parts of a source; `None` for an object that is no policy, or belongs to one.
fn parts(object: &Value, all: &[Source]) -> Option<Vec<Part>> {
    let kind = text(object, "/kind")?;
    let group = text(object, "/apiVersion")?.split('/').next()?;
    match (group, kind) {
        ("v1", "Namespace") => pod_security::labels(object),
        ("kyverno.io", "ClusterPolicy" | "Policy") => Some(kyverno::rules(object)),
        ("policies.kyverno.io", "ValidatingPolicy" | "NamespacedValidatingPolicy") => {
            Some(admission::kyverno(object))
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => {
            Some(admission::policy(object, all))
        }
        ("kyverno.io" | "policies.kyverno.io", "PolicyException") => {
            Some(vec![Part::new(String::new())])
        }
        ("kyverno.io" | "policies.kyverno.io", other) => Some(vec![kyverno::other_kind(other)]),
        ("constraints.gatekeeper.sh", kind) => Some(gatekeeper::constraint(object, kind, all)),
        ("mutations.gatekeeper.sh", _) => Some(vec![gatekeeper::mutation()]),
        _ => None,
    }
}

/// A value of a source for people, on one line.
fn brief(value: &Value) -> String {
    crate::policy::text::brief(value.to_string(), 100)
}

fn name(object: &Value) -> String {
    let name = text(object, "/metadata/name").unwrap_or_default();
    match text(object, "/metadata/namespace") {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    }
}

/// The other objects of a kind.
fn of_kind<'a>(all: &'a [Source], group: &str, kind: &str) -> impl Iterator<Item = &'a Value> {
    all.iter().map(|it| &it.object).filter(move |it| {
        text(it, "/kind") == Some(kind)
            && text(it, "/apiVersion").and_then(|it| it.split('/').next()) == Some(group)
    })
}

/// A field of an object that must be absent or empty.
fn without(object: &Value, fields: &[(&str, &'static str)]) -> Result<(), Reason> {
    match fields.iter().find(|(path, _)| !object.at(path).is_empty_value()) {
        Some((_, reason)) => Err((*reason).into()),
        None => Ok(()),
    }
}
