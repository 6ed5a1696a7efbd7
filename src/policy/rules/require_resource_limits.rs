//! Requires every container to limit resources.
//!
//! A container without a memory limit can exhaust the memory of its node. The pod's own `resources` also count, for all
//! its containers. A limit of 0 does not count. Ephemeral containers cannot have limits, so they are exempt.
//!
//! A LimitRange of the namespace may add a missing limit after podgate has judged the pod; podgate does not simulate
//! it.

use super::super::rule::{Phase, Rule, examples, module_comment};
use super::super::vap::form::Form;
use super::resources::{Asked, Side};
use crate::api::Severity;

pub static RULE: Rule = Rule {
    id: "requireResourceLimits",
    severity: Severity::Medium,
    phase: Phase::Spec(|spec| {
        let Some(resources) = &spec.require_resource_limits else { return Ok(None) };
        let asked = Asked::new(Side::Limits, resources, spec)?;
        Ok(Some(Box::new(move |subject, breaches| asked.check(subject, breaches))))
    }),
    reads: &["defaultResources"],
    checks: &[],
    reads_document: false,
    vap: Form::Cel(|spec| {
        let asked = spec.require_resource_limits.as_ref();
        asked.map_or_else(Vec::new, |it| Asked::in_cel(Side::Limits, it, spec))
    }),
    comment: module_comment!("require_resource_limits.rs"),
    examples: examples!("requireResourceLimits", "fail", "fixed"),
};
