//! What people read of the audit beside the status: reports and Events.
//!
//! The way in is [`publish::publish`], which keeps one `Report` of OpenReports for each policy and namespace
//! ([`build`] makes it of a picture): a background writer that lives as long as its channel, and writes under a claim. [`existing`] reads what an earlier podgate left.

mod build;
pub mod existing;
mod ledger;
mod name;
pub mod publish;

const FIELD_MANAGER: &str = "podgate";
/// The label, and its value, of everything that podgate writes.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "podgate");

/// How tests see an API server, and what they feed.
#[cfg(test)]
mod tests;
