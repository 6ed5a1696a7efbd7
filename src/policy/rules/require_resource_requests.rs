//! Requires every container to request resources.
//!
//! The scheduler places pods by their requests: a pod without requests may land on a full node, and is evicted first. A
//! limit counts as the request if that is missing, as in the API server. The pod's own `resources` also count, for all
//! its containers. A request of 0 does not count. Ephemeral containers cannot have requests, so they are exempt.
//!
//! A LimitRange of the namespace may add a missing request after podgate has judged the pod; podgate does not simulate
//! it.

use super::super::rule::{Phase, Rule, examples, module_comment};
use super::super::vap::form::Form;
use super::resources::{Asked, Side};
use crate::api::Severity;

pub static RULE: Rule = Rule {
    id: "requireResourceRequests",
    severity: Severity::Medium,
    phase: Phase::Spec(|spec| {
        let Some(resources) = &spec.require_resource_requests else { return Ok(None) };
        let asked = Asked::new(Side::Requests, resources, spec)?;
        Ok(Some(Box::new(move |subject, breaches| asked.check(subject, breaches))))
    }),
    reads: &["defaultResources"],
    checks: &[],
    reads_document: false,
    vap: Form::Cel(|spec| {
        let asked = spec.require_resource_requests.as_ref();
        asked.map_or_else(Vec::new, |it| Asked::in_cel(Side::Requests, it, spec))
    }),
    comment: module_comment!("require_resource_requests.rs"),
    examples: examples!("requireResourceRequests", "fail", "fixed"),
};
