//! What the policies that enforce would refuse, and what they never judged, on the leader.

use prometheus::{IntGaugeVec, Registry};

use super::family::{gauges, set};

#[derive(Clone)]
pub struct EnforcedMetrics {
    at_risk: IntGaugeVec,
    at_risk_in: IntGaugeVec,
    slipped: IntGaugeVec,
    grace_end: IntGaugeVec,
}

impl EnforcedMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            at_risk: gauges(
                registry,
                "devopspolicy_pods_at_risk",
                "Pods that the policy would refuse if they were made again now, whatever its grace. The namespace is the policy's, empty for a cluster policy.",
                &["namespace", "policy"],
            )?,
            at_risk_in: gauges(
                registry,
                "podgate_pods_at_risk",
                "Pods of a namespace that a policy would refuse if they were made again now, whatever its grace.",
                &["namespace"],
            )?,
            slipped: gauges(
                registry,
                "devopspolicy_pods_slipped",
                "Pods that break a rule of the policy and were admitted while podgate did not judge. The namespace is the policy's, empty for a cluster policy.",
                &["namespace", "policy"],
            )?,
            grace_end: gauges(
                registry,
                "devopspolicy_grace_end_timestamp_seconds",
                "When the grace of a policy ends or ended, in seconds since the epoch; no series without one. The namespace is the policy's, empty for a cluster policy.",
                &["namespace", "policy"],
            )?,
        })
    }

    /// The number of pods that a policy would refuse if they were made again, and of those that it did not judge; when
    /// its grace ends, in seconds since the epoch. The namespace of a cluster policy is empty.
    pub fn set(
        &self,
        namespace: &str,
        policy: &str,
        [at_risk, slipped]: [u64; 2],
        grace_end: Option<i64>,
    ) {
        set(&self.at_risk, &[namespace, policy], Some(at_risk));
        set(&self.slipped, &[namespace, policy], Some(slipped));
        set(&self.grace_end, &[namespace, policy], grace_end.map(|end| end.max(0).cast_unsigned()));
    }

    /// The number of pods at risk in a namespace; `None` removes the series.
    pub(super) fn set_in(&self, namespace: &str, at_risk: Option<u64>) {
        set(&self.at_risk_in, &[namespace], at_risk);
    }

    /// Removes the series of a policy.
    pub(super) fn remove(&self, namespace: &str, policy: &str) {
        for gauge in [&self.at_risk, &self.slipped, &self.grace_end] {
            set(gauge, &[namespace, policy], None);
        }
    }

    /// Removes the series of namespaces.
    pub(super) fn stopped(&self) {
        self.at_risk_in.reset();
    }
}
