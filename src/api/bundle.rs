use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A built-in bundle; `podgate policy bundles` lists them and `podgate policy show NAME` prints one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BundleName {
    /// The five default checks.
    Permissive,
    /// Checks that every workload should pass.
    Baseline,
    /// Checks for hardened clusters.
    Restricted,
}

impl BundleName {
    pub const ALL: [Self; 3] = [Self::Permissive, Self::Baseline, Self::Restricted];

    /// The name used in manifests and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permissive => "permissive",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}
