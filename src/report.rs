//! What people read of the audit beside the status: reports and Events.
//!
//! The ways in are [`publish::publish`], which keeps one `Report` of OpenReports for each policy and namespace
//! ([`build`] makes it of an observed namespace), and [`events::events`]: background writers that live as long as their channel, and
//! write under a claim. [`existing`] reads what an earlier podgate left.

mod build;
pub mod events;
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
