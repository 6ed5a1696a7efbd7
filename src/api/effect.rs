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
