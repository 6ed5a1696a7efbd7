//! Metrics of repairs, on the leader.

use prometheus::{IntCounterVec, IntGauge, Registry};

use super::family::{counters, gauge};

/// The values of the label `step`.
const STEPS: [&str; 5] = ["begun", "repaired", "rolled_back", "undone", "conflict"];

#[derive(Clone)]
pub struct RemediationMetrics {
    steps: IntCounterVec,
    in_flight: IntGauge,
}

impl RemediationMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let steps = counters(
            registry,
            "podgate_remediation_steps_total",
            "Steps of workloads' repairs: begun, repaired, rolled_back, undone, conflict.",
            &["step"],
        )?;
        // A counter whose first value is 1 hides its first step from increase(), and so from the alerts.
        for step in STEPS {
            steps.with_label_values(&[step]).inc_by(0);
        }
        let in_flight = gauge(
            registry,
            "podgate_remediation_in_flight",
            "Workloads that were patched and whose rollout is watched now.",
        )?;
        Ok(Self { steps, in_flight })
    }

    /// A repair took a step.
    pub fn step(&self, step: &str) {
        self.steps.with_label_values(&[step]).inc();
    }

    pub fn in_flight(&self, count: usize) {
        self.in_flight.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
