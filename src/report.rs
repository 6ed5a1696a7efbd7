//! Publishes the audit's findings as reports and Events.
//!
//! The ways in are [`publish::publish`], which keeps one OpenReports `Report` for each policy and namespace ([`build`]
//! builds it from an observed namespace), and [`events::events`]. Both are background writers that run until their
//! channel closes and write only while they hold the claim. [`existing`] reads the reports of an earlier podgate.

mod build;
pub mod events;
pub mod existing;
mod ledger;
mod name;
mod ownership;
pub mod publish;

/// Fixtures of this room's tests.
#[cfg(test)]
mod tests;
