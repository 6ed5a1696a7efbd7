//! What became of a source, as the report shows it.

use serde::Serialize;

use super::part::Fit;

/// What became of a source.
#[derive(Debug, Serialize)]
pub struct Report {
    pub place: String,
    pub kind: String,
    /// `NAMESPACE/NAME`, or the name of an object without a namespace.
    pub name: String,
    pub conversion: Fit,
    /// The policies that it became, by `NAMESPACE/NAME` or name.
    pub policies: Vec<String>,
    pub rules: Vec<RuleReport>,
}

/// What became of a rule of a source.
#[derive(Debug, Serialize)]
pub struct RuleReport {
    /// Empty for a source that is one rule.
    pub rule: String,
    pub conversion: Fit,
    /// A sentence for each difference.
    pub notes: Vec<String>,
}
