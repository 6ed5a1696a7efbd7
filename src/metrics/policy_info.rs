//! The gauge `devopspolicy_info`: the mode and the bundle of each policy in force, as labels.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntGaugeVec, Registry};

use super::family::gauges;

#[derive(Clone)]
pub(super) struct PolicyInfo {
    gauge: IntGaugeVec,
    /// Mode and bundle by namespace and name of the policy.
    series: Arc<Mutex<BTreeMap<[String; 2], [String; 2]>>>,
}

impl PolicyInfo {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = gauges(
            registry,
            "devopspolicy_info",
            "1 for each policy in force, with its mode and its bundle, which is empty without one. The namespace is the policy's, empty for a cluster policy.",
            &["namespace", "policy", "mode", "bundle"],
        )?;
        Ok(Self { gauge, series: Arc::default() })
    }

    /// Replaces a policy's series.
    pub fn set(&self, policy: [&str; 2], labels: [&str; 2]) {
        let (policy, labels) = (policy.map(str::to_owned), labels.map(str::to_owned));
        let mut series = self.series();
        if let Some(known) = series.get(&policy).filter(|known| **known != labels) {
            self.drop_series(&policy, known);
        }
        let [[namespace, name], [mode, bundle]] = [&policy, &labels];
        self.gauge.with_label_values(&[namespace, name, mode, bundle]).set(1);
        series.insert(policy, labels);
    }

    pub fn remove(&self, policy: [&str; 2]) {
        let policy = policy.map(str::to_owned);
        if let Some(labels) = self.series().remove(&policy) {
            self.drop_series(&policy, &labels);
        }
    }

    fn drop_series(&self, [namespace, name]: &[String; 2], [mode, bundle]: &[String; 2]) {
        // An error means that there was no such series.
        drop(self.gauge.remove_label_values(&[namespace, name, mode, bundle]));
    }

    fn series(&self) -> MutexGuard<'_, BTreeMap<[String; 2], [String; 2]>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
