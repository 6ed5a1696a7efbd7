use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to an object that breaks a rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnforcementMode {
    /// Record the violation, without a message to the developer.
    #[default]
    Audit,
    /// Admit, with a warning that kubectl prints.
    Warn,
    /// Deny.
    Enforce,
}

impl EnforcementMode {
    /// The name used in manifests and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}
