//! Metrics of the policies in force, of every replica.

use prometheus::{IntCounter, IntGauge, Registry};

use super::decisions::DecisionMetrics;
use super::family::{counter, gauge};
use crate::policy::policy_set::PolicySet;

#[derive(Clone)]
pub struct PolicyMetrics {
    decisions: DecisionMetrics,
    in_force: IntGauge,
    invalid: IntGauge,
    load_succeeded: IntGauge,
    watch_errors: IntCounter,
}

impl PolicyMetrics {
    pub(super) fn new(
        registry: &Registry,
        decisions: DecisionMetrics,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self {
            decisions,
            in_force: gauge(
                registry,
                "podgate_policies_in_force",
                "Policies that decide reviews now.",
            )?,
            invalid: gauge(
                registry,
                "podgate_policies_invalid",
                "Policies that could not be read; the last good version of each stays in force.",
            )?,
            load_succeeded: gauge(
                registry,
                "podgate_policy_last_load_successful",
                "1 if the policies were read when they last changed, 0 if an older state is still in force.",
            )?,
            watch_errors: counter(
                registry,
                "podgate_policy_watch_errors_total",
                "Times the watch of policies failed; each is retried.",
            )?,
        })
    }

    /// The policies were read: those that reviews are judged by from now on, and the number that cannot be used.
    pub fn loaded(&self, in_force: &PolicySet, invalid: usize) {
        self.decisions.in_force(in_force);
        self.in_force.set(i64::try_from(in_force.len()).unwrap_or(i64::MAX));
        self.invalid.set(i64::try_from(invalid).unwrap_or(i64::MAX));
        self.load_succeeded.set(1);
    }

    /// The policies changed and could not be read.
    pub fn load_failed(&self) {
        self.load_succeeded.set(0);
    }

    pub fn watch_failed(&self) {
        self.watch_errors.inc();
    }
}
