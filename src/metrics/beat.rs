//! Metrics of the beat: whether the API servers call podgate, and which callers are proved to be API servers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntGaugeVec, Registry};

use super::family::{gauges, register};

#[derive(Clone)]
pub struct BeatMetrics {
    called: SinceCalled,
    /// A vector without labels: a podgate without a cluster has no series.
    known_callers: IntGaugeVec,
    intact: IntGaugeVec,
}

impl BeatMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            called: register(registry, SinceCalled::new()?)?,
            known_callers: gauges(
                registry,
                "podgate_known_callers",
                "Addresses that are proved to be API servers: one of podgate's nonces came from them within a minute.",
                &[],
            )?,
            intact: gauges(
                registry,
                "podgate_webhook_configuration_intact",
                "1 if the webhook configuration is as it was rendered, 0 if it was changed.",
                &["configuration"],
            )?,
        })
    }

    /// An API server called podgate at this time; before the first call, the time at which podgate began to beat.
    pub fn called(&self, at: Instant) {
        *self.called.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// The number of addresses that are proved to be API servers.
    pub fn known_callers(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.known_callers.with_label_values::<&str>(&[]).set(count);
    }

    /// A configuration (`validating`, `mutating`) asks podgate about all that it was rendered for.
    pub fn configuration_intact(&self, configuration: &str) {
        self.intact.with_label_values(&[configuration]).set(1);
    }

    /// A configuration was changed since it was rendered.
    pub fn configuration_changed(&self, configuration: &str) {
        self.intact.with_label_values(&[configuration]).set(0);
    }

    /// A configuration does not exist, or is not known yet.
    pub fn configuration_absent(&self, configuration: &str) {
        // An error means that there was no such series.
        drop(self.intact.remove_label_values(&[configuration]));
    }
}

/// The seconds since the last call, computed at each scrape.
#[derive(Clone)]
struct SinceCalled {
    last: Arc<Mutex<Option<Instant>>>,
    gauge: Gauge,
}

impl SinceCalled {
    fn new() -> Result<Self, prometheus::Error> {
        let gauge = Gauge::new(
            "podgate_called",
            "Seconds since the API servers last called podgate or, before their first call, since podgate began to beat.",
        )?;
        Ok(Self { last: Arc::default(), gauge })
    }
}

impl Collector for SinceCalled {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = last else { return Vec::new() };
        self.gauge.set(last.elapsed().as_secs_f64());
        self.gauge.collect()
    }
}
