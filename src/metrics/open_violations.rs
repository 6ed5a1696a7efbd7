//! The gauge `podgate_open_violations`: the open violations of each namespace, by rule and severity.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntGaugeVec, Registry};

use super::family::gauges;
use crate::api::Severity;

/// The rules and severities that a namespace has series of.
type Series = BTreeSet<(String, Severity)>;

#[derive(Clone)]
pub(super) struct OpenViolations {
    gauge: IntGaugeVec,
    by_namespace: Arc<Mutex<BTreeMap<String, Series>>>,
}

impl OpenViolations {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = gauges(
            registry,
            "podgate_open_violations",
            "Violations that are open now in the workloads of a namespace. The rule is its id, RULE/CHECK for a rule with several checks.",
            &["namespace", "rule", "severity"],
        )?;
        Ok(Self { gauge, by_namespace: Arc::default() })
    }

    /// Replaces the series of a namespace.
    pub fn set(&self, namespace: &str, open: &BTreeMap<(String, Severity), u64>) {
        let mut by_namespace = self.by_namespace();
        let before = by_namespace.remove(namespace).unwrap_or_default();
        for (rule, severity) in before.iter().filter(|it| !open.contains_key(*it)) {
            // An error means that there was no such series.
            drop(self.gauge.remove_label_values(&[namespace, rule, severity.as_str()]));
        }
        for ((rule, severity), open) in open {
            let gauge = self.gauge.with_label_values(&[namespace, rule, severity.as_str()]);
            gauge.set(i64::try_from(*open).unwrap_or(i64::MAX));
        }
        if !open.is_empty() {
            by_namespace.insert(namespace.to_owned(), open.keys().cloned().collect());
        }
    }

    /// Removes every series.
    pub fn reset(&self) {
        self.by_namespace().clear();
        self.gauge.reset();
    }

    fn by_namespace(&self) -> MutexGuard<'_, BTreeMap<String, Series>> {
        self.by_namespace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
