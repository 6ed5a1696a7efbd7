//! One kind of violation of one policy, with its effect.

use std::borrow::Cow;

use super::super::compile::Policy;
use super::super::rule::Rule;
use super::form::CelFinding;
use crate::api::{EnforcementMode, Severity};

/// What the API server does with a request that breaks a policy.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Action {
    Deny,
    Warn,
    Audit,
}

impl Action {
    pub const ALL: [Self; 3] = [Self::Deny, Self::Warn, Self::Audit];

    /// As in `spec.validationActions` of a binding.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "Deny",
            Self::Warn => "Warn",
            Self::Audit => "Audit",
        }
    }

    /// The action for a policy's violation of a severity.
    pub fn of(policy: &Policy, severity: Severity) -> Self {
        match policy.mode {
            EnforcementMode::Enforce if severity <= policy.deny_severity => Self::Deny,
            EnforcementMode::Enforce | EnforcementMode::Warn => Self::Warn,
            EnforcementMode::Audit => Self::Audit,
        }
    }
}

/// One kind of violation of one policy.
pub struct Entry<'p> {
    /// The place of the policy in its group.
    pub index: usize,
    pub policy: &'p Policy,
    pub rule: &'static Rule,
    pub id: Cow<'static, str>,
    pub severity: Severity,
    pub finding: CelFinding,
}
