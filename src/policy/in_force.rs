//! Which policy is in force for an object of a cluster: its spec; where that does not compile, the last spec that did, which
//! its status keeps (`status.lastGood`); and where there is none, as much of the spec as compiles, with the rest
//! undecided. Pure, and of the object alone, so that all replicas have the same, after a restart too.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::compile::{Enabled, Policy, PolicyOrigin};
use super::field_path::{Step, steps};
use super::registry;
use super::rule::{Breach, InvalidField, Phase, Rule, SpecCheck};
use super::rules::validations;
use super::scope::Scope;
use super::text;
use crate::api::{ClusterDevOpsPolicySpec, DevOpsPolicySpec, MAX_LAST_GOOD, Severity};

/// The most parts of a spec that are set aside, more than its lists may hold together.
const MAX_FAULTS: usize = 512;
/// The most bytes that are told of a fault.
const MAX_FAULT: usize = 300;
/// An expression that every pod passes, in place of one that does not compile: what else names the validation stays.
const HOLDS: &str = "true";

/// A policy as the API server has it.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// `None` of a `ClusterDevOpsPolicy`.
    pub namespace: Option<&'a str>,
    pub name: &'a str,
    pub spec: &'a Value,
    /// `status.lastGood`.
    pub last_good: Option<&'a str>,
}

/// What is in force in place of a spec that does not compile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fallback {
    /// The last spec that did, as its text.
    LastGood(Arc<str>),
    /// What of the spec compiles; the rest is undecided.
    Parts,
    /// Nothing: it cannot be said of which namespaces.
    Nothing,
}

/// Why the newest version of a policy cannot be put in force, and what is in its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyFault {
    pub origin: PolicyOrigin,
    pub message: String,
    pub fallback: Fallback,
}

impl PolicyFault {
    /// What is in force, as the end of a sentence.
    pub const fn in_force(&self) -> &'static str {
        match self.fallback {
            Fallback::LastGood(_) => "the last good version (status.lastGood) is in force",
            Fallback::Parts => "the rest of it is in force, and what it asks there is undecided",
            Fallback::Nothing => "nothing of it is in force",
        }
    }
}

/// What is in force, and what is wrong with the spec if it is not that.
pub struct Resolved {
    pub policy: Option<Policy>,
    pub fault: Option<(InvalidField, Fallback)>,
}

impl Policy {
    /// A policy of which nothing compiles: what it asks is undecided of every object.
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
            // A podgate that compiles less than the one before it: the newest spec counts.
            _ => match self.parts(self.spec.clone()) {
                Ok(policy) => (Some(policy), Fallback::Parts),
                Err(_) => (None, Fallback::Nothing),
            },
        };
        Resolved { policy, fault: Some((fault, fallback)) }
    }

    /// The policy of a spec, whole.
    ///
    /// # Errors
    /// The first field that cannot be read, or of which no check can be made.
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

    /// As much of a spec as compiles.
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

/// A rule, or a check of one, that a policy asks for and that does not compile.
struct Undecided {
    rule: &'static Rule,
    check: Option<String>,
    severity: Option<Severity>,
    why: String,
}

impl Undecided {
    /// The check that finds it in every object.
    fn check(self) -> Enabled<SpecCheck> {
        let Self { rule, check, severity, why } = self;
        let parameters = format!("undecided {check:?} {severity:?} {why}");
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

/// Takes out of a spec what is at fault, and notes what is then undecided; says whether it could. What only excuses,
/// mends or weighs is left out: that makes no policy weaker.
fn set_aside(spec: &mut Value, fault: &InvalidField, undecided: &mut Vec<Undecided>) -> bool {
    let why = text::brief(fault.to_string(), MAX_FAULT);
    let path = steps(&fault.path).unwrap_or_default();
    let mut path = path.iter().skip(1);
    let (field, part) = match (path.next(), path.next()) {
        (Some(Step::Key(field)), part) => (*field, part),
        // The whole has no path; the message names the field.
        _ => {
            match fault.message.strip_prefix("unknown field `").and_then(|it| it.split_once('`')) {
                Some((field, _)) => (field, None),
                None => return false,
            }
        }
    };
    // Of which namespaces cannot be guessed.
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
        let mut held = false;
        for (place, validation) in all.iter_mut().enumerate() {
            let at_fault = one.is_none_or(|it| it == place);
            let Some(fields) = validation.as_object_mut().filter(|_| at_fault) else { continue };
            if fields.get("expression").is_some_and(|it| it == HOLDS) {
                continue;
            }
            let check = fields.get("name").and_then(Value::as_str).map(str::to_owned);
            let severity = fields.get("severity").cloned();
            let severity = severity.and_then(|it| serde_json::from_value(it).ok());
            undecided.push(Undecided { rule, check, severity, why: why.clone() });
            fields.insert("expression".to_owned(), HOLDS.into());
            held = true;
        }
        if held {
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
