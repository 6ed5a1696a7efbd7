//! The outcome of a review, at every webhook.

use std::borrow::Cow;

use super::answer;
use super::retries::DeniedTemplate;
use super::review::{Operation, Request};
use crate::metrics::Decided;
use crate::policy::decision::Outcome;
use crate::policy::workload::Kind;

/// A review that was judged: the answer, and its summary for metrics and logs.
pub struct Judged {
    /// The AdmissionReview to send back, as JSON.
    pub answer: Vec<u8>,
    /// The decision, as the metric label.
    pub decision: &'static str,
    /// `None` for a kind that podgate does not judge.
    pub kind: Option<Kind>,
    pub operation: Operation,
    /// The number of operations of the answer's patch.
    pub patch_operations: usize,
    /// Set where expressions exceeded their cost, so that their validations are undecided: the namespace whose turn the
    /// review needs in order to continue.
    pub interrupted: Option<String>,
    /// What the policies decided, for the metrics.
    pub decided: Decided,
    /// The denied object and its violations, for the log line; `None` unless denied.
    pub denial: Option<Denial>,
}

/// The log line of a denial. It has names only, never the object.
pub struct Denial {
    pub object: String,
    pub dry_run: bool,
    /// The names of the policies that denied, with commas between them.
    pub policies: String,
    /// Each violation's rule, with its check where the rule has several.
    pub rules: Vec<Cow<'static, str>>,
    /// The template of the denied pod, by which its controller's retries are known; `None` for other objects.
    pub template: Option<DeniedTemplate>,
}

impl Judged {
    /// A review that podgate does not judge, or has nothing to change in.
    pub(super) fn allowed(request: &Request<'_>, kind: Option<Kind>, operation: Operation) -> Self {
        Self::with_outcome(Outcome::Allow, kind, operation, answer::allowed(&request.uid))
    }

    /// A review with this outcome and answer, without a patch and without a denial to log.
    pub(super) fn with_outcome(
        outcome: Outcome,
        kind: Option<Kind>,
        operation: Operation,
        answer: Vec<u8>,
    ) -> Self {
        Self {
            answer,
            decision: outcome.as_str(),
            kind,
            operation,
            patch_operations: 0,
            interrupted: None,
            decided: Decided::default(),
            denial: None,
        }
    }
}
