use serde::Serialize;

/// What one violation does when an object is created or changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Deny,
    /// It would deny, were its policy not in its grace.
    Grace,
    Warn,
    /// It is recorded.
    Audit,
}

impl Effect {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Grace => "grace",
            Self::Warn => "warn",
            Self::Audit => "audit",
        }
    }
}
