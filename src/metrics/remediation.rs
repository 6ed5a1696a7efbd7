//! What is counted of repairs, on the replica that leads.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use super::register;

#[derive(Clone)]
pub struct RemediationMetrics {
    steps: IntCounterVec,
    in_flight: IntGauge,
}

impl RemediationMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let steps = IntCounterVec::new(
            Opts::new(
                "podgate_remediation_steps_total",
                "Repairs of workloads by what became of them: begun, repaired, rolled_back, undone, conflict.",
            ),
            &["step"],
        )?;
        let in_flight = IntGauge::new(
            "podgate_remediation_in_flight",
            "Workloads that were patched and whose rollout is watched now.",
        )?;
        Ok(Self { steps: register(registry, steps)?, in_flight: register(registry, in_flight)? })
    }

    /// A step of a repair was done.
    pub fn step(&self, step: &str) {
        self.steps.with_label_values(&[step]).inc();
    }

    pub fn in_flight(&self, count: usize) {
        self.in_flight.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
