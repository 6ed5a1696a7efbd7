//! When exemptions end, on the leader.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntGaugeVec, Registry};

use super::family::gauges;

#[derive(Clone)]
pub struct ExemptionMetrics {
    expiry: IntGaugeVec,
    /// The labels of each series.
    series: Arc<Mutex<BTreeSet<[String; 3]>>>,
}

impl ExemptionMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let expiry = gauges(
            registry,
            "devopspolicy_exemption_expiry_timestamp_seconds",
            "When an exemption that workloads need expires, in seconds since the epoch. `exemption` is its index in spec.exemptions.",
            &["namespace", "policy", "exemption"],
        )?;
        Ok(Self { expiry, series: Arc::default() })
    }

    /// Replaces the series of a policy: the index in `spec.exemptions` and the end, in seconds since the epoch, of each
    /// exemption that is in use and expires. The namespace of a cluster policy is empty.
    pub fn set(&self, namespace: &str, policy: &str, ends: impl Iterator<Item = (usize, i64)>) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone: BTreeSet<_> = series
            .extract_if(.., |[of_namespace, of_policy, _]| {
                of_namespace == namespace && of_policy == policy
            })
            .collect();
        for (exemption, end) in ends {
            let labels = [namespace.to_owned(), policy.to_owned(), exemption.to_string()];
            self.expiry.with_label_values(&labels).set(end);
            gone.remove(&labels);
            series.insert(labels);
        }
        for labels in gone {
            // An error means that there was no such series.
            drop(self.expiry.remove_label_values(&labels));
        }
    }

    /// Removes every series.
    pub fn stopped(&self) {
        self.series.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.expiry.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;

    #[test]
    fn a_policy_has_series_of_its_present_exemptions_only() {
        let metrics = Metrics::new().unwrap();
        let series = || {
            let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
            let lines = text.lines().filter_map(|it| {
                it.strip_prefix("devopspolicy_exemption_expiry_timestamp_seconds")
            });
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let exemptions = &metrics.audit.exemptions;
        exemptions.set("shop", "own", [(0, 5), (2, 7)].into_iter());
        exemptions.set("", "own", [(0, 9)].into_iter());
        exemptions.set("shop", "own", [(2, 8), (3, 1)].into_iter());
        assert_eq!(
            series(),
            [
                r#"{exemption="0",namespace="",policy="own"} 9"#,
                r#"{exemption="2",namespace="shop",policy="own"} 8"#,
                r#"{exemption="3",namespace="shop",policy="own"} 1"#,
            ]
        );
        metrics.audit.policy_gone("shop", "own");
        assert_eq!(series(), [r#"{exemption="0",namespace="",policy="own"} 9"#]);
        metrics.audit.stopped();
        assert_eq!(series(), [""; 0]);
    }
}
