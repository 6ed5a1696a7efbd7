//! What a review comes to, at either door: the answer, and what metrics and the log say of it.

use std::borrow::Cow;

use super::answer;
use super::review::{Operation, Request};
use crate::policy::decision::Outcome;
use crate::policy::workload::Kind;

/// A review that was judged: the answer, and what metrics and logs say of it.
pub struct Judged {
    /// The AdmissionReview to send back, as JSON.
    pub answer: Vec<u8>,
    /// What it comes to, as metrics label it.
    pub decision: &'static str,
    /// `None` is a kind that podgate has nothing to say of.
    pub kind: Option<Kind>,
    pub operation: Operation,
    /// How many operations the answer's patch has.
    pub patch_operations: usize,
    /// The namespace whose turn it takes to go on, where expressions were not evaluated to their end: what they ask is
    /// undecided here.
    pub interrupted: Option<String>,
    /// The denied object and its violations, for the log line; empty unless denied.
    pub denial: Option<Denial>,
}

/// What a log line says of a denial. Names only: never the object.
pub struct Denial {
    pub object: String,
    pub dry_run: bool,
    pub policies: String,
    /// Each violation's rule, with its check where the rule has several.
    pub rules: Vec<Cow<'static, str>>,
    /// The rule, from the catalogue's closed list, and severity of each violation.
    pub violations: Vec<(&'static str, &'static str)>,
}

impl Judged {
    /// What podgate has nothing to say of, or nothing to change in.
    pub(super) fn allowed(request: &Request<'_>, kind: Option<Kind>, operation: Operation) -> Self {
        let (answer, decision) = (answer::allowed(&request.uid), Outcome::Allow.as_str());
        Self {
            answer,
            decision,
            kind,
            operation,
            patch_operations: 0,
            interrupted: None,
            denial: None,
        }
    }
}
