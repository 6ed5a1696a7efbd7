//! Requires every container to request resources.
//!
//! The scheduler places pods by their requests: one that requests nothing lands on a full node, and is the first to be
//! evicted from it. A limit stands for a missing request, as in the API server, and the pod's own `resources` for its
//! containers'. A request of 0 is none. Debug containers cannot have any.
//!
//! A LimitRange of the namespace may add what is missing here, after podgate has looked; podgate does not simulate it.

use super::super::rule::{Phase, Rule, examples};
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
    source: include_str!("require_resource_requests.rs"),
    examples: examples!("requireResourceRequests", "fail", "fixed"),
};
