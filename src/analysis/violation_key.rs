//! The identity of a violation.

use crate::policy::engine::Finding;

/// Two findings with equal keys are the same violation.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct ViolationKey {
    pub policy: String,
    pub rule: String,
    pub container: Option<String>,
    pub path: String,
}

impl ViolationKey {
    pub fn of(finding: &Finding<'_>) -> Self {
        Self {
            policy: finding.policy.label.clone(),
            rule: finding.id().into_owned(),
            container: finding.breach.container.clone(),
            path: finding.breach.path.clone(),
        }
    }
}
