//! Metrics of leader election.

use prometheus::{IntCounter, IntGauge, Registry};

use super::family::{counter, gauge};

#[derive(Clone)]
pub struct LeaderMetrics {
    leads: IntGauge,
    transitions: IntCounter,
}

impl LeaderMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            leads: gauge(registry, "podgate_leader", "1 if this podgate leads, 0 if not.")?,
            transitions: counter(
                registry,
                "podgate_leader_transitions_total",
                "Times this podgate began or ceased to lead.",
            )?,
        })
    }

    /// This process begins to lead.
    pub fn began(&self) {
        self.leads.set(1);
        self.transitions.inc();
    }

    /// This process no longer leads.
    pub fn ended(&self) {
        self.leads.set(0);
        self.transitions.inc();
    }
}
