//! Resolves the policy in force for an object of a cluster: its spec; if that does not compile, the last spec that did
//! (`status.lastGood`); if there is none, the parts of the spec that compile, with the rest undecided. Pure, and a
//! function of the object alone, so all replicas agree, also after a restart.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::compile::{Enabled, Policy, PolicyOrigin, UNDECIDED};
use super::field_path::{Step, steps};
use super::registry;
use super::rule::{Breach, InvalidField, Phase, Rule, SpecCheck};
use super::rules::validations;
use super::scope::Scope;
use super::text;
use crate::api::{ClusterDevOpsPolicySpec, DevOpsPolicySpec, MAX_LAST_GOOD, Severity};

/// The most parts of a spec that can be set aside: more than all its lists together may have.
const MAX_FAULTS: usize = 512;
/// The longest message of a fault, in bytes.
const MAX_FAULT: usize = 300;
/// The expression that replaces one that does not compile. The validation itself stays, because overrides and
/// exemptions may refer to it by name.
const ALWAYS_TRUE: &str = "true";

/// A policy object of the API server.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// `None` for a `ClusterDevOpsPolicy`.
    pub namespace: Option<&'a str>,
    pub name: &'a str,
    pub spec: &'a Value,
    /// `status.lastGood`.
    pub last_good: Option<&'a str>,
}

/// What is in force instead of a spec that does not compile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fallback {
    /// The last spec that did, as JSON.
    LastGood(Arc<str>),
    /// The parts of the spec that compile; the rest is undecided.
    Parts,
    /// Nothing, because the namespaces of the policy are unknown.
    Nothing,
}

/// Why the newest version of a policy is not in force, and what is in force instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyFault {
    pub origin: PolicyOrigin,
    pub message: String,
    pub fallback: Fallback,
}

impl PolicyFault {
    /// The fallback, as the end of a sentence.
    pub const fn in_force(&self) -> &'static str {
        match self.fallback {
            Fallback::LastGood(_) => "the last good version (status.lastGood) is in force",
            Fallback::Parts => "the rest of it is in force, and the invalid part is undecided",
            Fallback::Nothing => "nothing of it is in force",
        }
    }
}

/// The policy in force, and the fault of the spec if the spec is not in force.
pub struct Resolved {
    pub policy: Option<Policy>,
    pub fault: Option<(InvalidField, Fallback)>,
}

impl Policy {
    /// A policy that does not compile at all: it is undecided for every object.
    pub(super) fn undecided(scope: Scope, name: String, fault: &InvalidField) -> Self {
        let mut policy = Self::bare(scope, name);
        let why = text::brief(fault.to_string(), MAX_FAULT);
        let rule = &validations::RULE;
        policy.spec_checks.push(Undecided { rule, check: None, severity: None, why }.check());
        policy
    }
}

impl Stored<'_> {
    /// The policy that is in force.
    pub fn resolve(self) -> Resolved {
        let fault = match self.compile(self.spec) {
            Ok(policy) => return Resolved { policy: Some(policy), fault: None },
            Err(fault) => fault,
        };
        let last_good = self.last_good.filter(|it| it.len() <= MAX_LAST_GOOD);
        let last_good = last_good.and_then(|text| Some((text, serde_json::from_str(text).ok()?)));
        let (policy, fallback) = match last_good {
            Some((text, spec)) if self.compile(&spec).is_ok() => {
                (self.compile(&spec).ok(), Fallback::LastGood(text.into()))
            }
            // There is no last good spec, or this version of podgate cannot compile it: parts of the newest spec are in
            // force.
            _ => match self.parts(self.spec.clone()) {
                Ok(policy) => (Some(policy), Fallback::Parts),
                Err(_) => (None, Fallback::Nothing),
            },
        };
        Resolved { policy, fault: Some((fault, fallback)) }
    }

    /// Compiles a whole spec.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn compile(self, spec: &Value) -> Result<Policy, InvalidField> {
        let name = self.name.to_owned();
        let mut policy = match self.namespace {
            Some(namespace) => {
                let scope = Scope::Namespace(namespace.to_owned());
                Policy::compile(scope, name, &decode::<DevOpsPolicySpec>(spec)?)?
            }
            None => Policy::compile_cluster(name, &decode::<ClusterDevOpsPolicySpec>(spec)?)?,
        };
        policy.text = Some(spec.to_string()).filter(|it| it.len() <= MAX_LAST_GOOD).map(Arc::from);
        Ok(policy)
    }

    /// Compiles the parts of a spec that compile, and makes the rest undecided.
    fn parts(self, mut spec: Value) -> Result<Policy, InvalidField> {
        let mut undecided: Vec<Undecided> = Vec::new();
        let mut last = None;
        for _ in 0..MAX_FAULTS {
            let fault = match self.compile(&spec) {
                Ok(mut policy) => {
                    policy.text = None;
                    policy.spec_checks.extend(undecided.into_iter().map(Undecided::check));
                    return Ok(policy);
                }
                Err(fault) => fault,
            };
            if !set_aside(&mut spec, &fault, &mut undecided) {
                return Err(fault);
            }
            last = Some(fault);
        }
        let none =
            || InvalidField { path: "spec".to_owned(), message: "no part compiles".to_owned() };
        Err(last.unwrap_or_else(none))
    }
}

fn decode<Spec: Default + for<'de> Deserialize<'de>>(spec: &Value) -> Result<Spec, InvalidField> {
    if spec.is_null() {
        return Ok(Spec::default());
    }
    serde_path_to_error::deserialize(spec).map_err(|error| {
        let path = match error.path().to_string() {
            whole if whole == "." => "spec".to_owned(),
            path => format!("spec.{path}"),
        };
        InvalidField { path, message: error.inner().to_string() }
    })
}

/// A rule, or a check of one, that a policy enables and that does not compile.
struct Undecided {
    rule: &'static Rule,
    check: Option<String>,
    severity: Option<Severity>,
    why: String,
}

impl Undecided {
    /// The check that reports it for every object.
    fn check(self) -> Enabled<SpecCheck> {
        let Self { rule, check, severity, why } = self;
        let parameters = format!("{UNDECIDED} {check:?} {severity:?} {why}");
        let found: SpecCheck = Box::new(move |_, breaches| {
            breaches.push(Breach {
                check: check.clone().map(Into::into),
                severity,
                problem: format!("could not be decided: {why}"),
                remedy: "correct the policy".to_owned(),
                undecided: true,
                ..Breach::default()
            });
        });
        Enabled { rule, parameters, check: Arc::new(found) }
    }
}

/// Removes the part at fault from a spec, and adds what becomes undecided to `undecided`. Returns whether it removed
/// anything. Exemptions, mutations and severities are removed without a trace: that never weakens a policy.
fn set_aside(spec: &mut Value, fault: &InvalidField, undecided: &mut Vec<Undecided>) -> bool {
    let why = text::brief(fault.to_string(), MAX_FAULT);
    let path = steps(&fault.path).unwrap_or_default();
    let mut path = path.iter().skip(1);
    let (field, part) = match (path.next(), path.next()) {
        (Some(Step::Key(field)), part) => (*field, part),
        // An unknown field of the spec itself has no path; the message names it.
        _ => {
            match fault.message.strip_prefix("unknown field `").and_then(|it| it.split_once('`')) {
                Some((field, _)) => (field, None),
                None => return false,
            }
        }
    };
    // The namespaces of a policy cannot be guessed.
    if field == "namespaceSelector" || field == "excludeNamespaces" {
        return false;
    }
    let rule = registry::find(field);
    if let Some(rule) = rule.filter(|it| it.id == validations::RULE.id)
        && let Some(Value::Array(all)) = spec.get_mut(field)
    {
        let one = match part {
            Some(Step::Index(index)) => Some(*index),
            _ => None,
        };
        let mut replaced = false;
        for (place, validation) in all.iter_mut().enumerate() {
            let at_fault = one.is_none_or(|it| it == place);
            let Some(fields) = validation.as_object_mut().filter(|_| at_fault) else { continue };
            if fields.get("expression").is_some_and(|it| it == ALWAYS_TRUE) {
                continue;
            }
            let check = fields.get("name").and_then(Value::as_str).map(str::to_owned);
            let severity = fields.get("severity").cloned();
            let severity = severity.and_then(|it| serde_json::from_value(it).ok());
            undecided.push(Undecided { rule, check, severity, why: why.clone() });
            fields.insert("expression".to_owned(), ALWAYS_TRUE.into());
            replaced = true;
        }
        if replaced {
            return true;
        }
    } else if let Some(rule) = rule.filter(|it| matches!(it.phase, Phase::Spec(_))) {
        undecided.push(Undecided { rule, check: None, severity: None, why });
        return remove(spec, field);
    }
    match (spec.get_mut(field), part) {
        (Some(Value::Array(items)), Some(Step::Index(index))) if *index < items.len() => {
            items.remove(*index);
            true
        }
        (Some(Value::Object(entries)), Some(Step::Key(key))) if entries.contains_key(*key) => {
            entries.remove(*key).is_some()
        }
        _ => remove(spec, field),
    }
}

fn remove(spec: &mut Value, field: &str) -> bool {
    spec.as_object_mut().is_some_and(|fields| fields.remove(field).is_some())
}

#[cfg(test)]
mod tests;
