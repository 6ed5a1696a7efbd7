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
mod report;
mod resources;
mod source;
mod value;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

pub use self::part::Fit;
use self::part::Part;
pub use self::report::{Report, RuleReport};
pub use self::source::Source;
use self::source::{Read, name};
use self::value::text;

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
        let labels = policies.iter().map(source::name).collect();
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
