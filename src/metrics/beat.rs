//! What is told of the beat: whether API servers call podgate, and of whom podgate knows that they are API servers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntGaugeVec, Opts, Registry};

use super::register;

#[derive(Clone)]
pub struct BeatMetrics {
    called: Called,
    /// Without labels, so that a podgate that nobody beats for has no series.
    known_callers: IntGaugeVec,
    intact: IntGaugeVec,
}

impl BeatMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        Ok(Self {
            called: register(registry, Called::new()?)?,
            known_callers: gauges(
                "podgate_known_callers",
                "Addresses from which a nonce of podgate's came within a minute, so those of API servers.",
                &[],
            )?,
            intact: gauges(
                "podgate_webhook_configuration_intact",
                "1 if the webhook configuration asks podgate about all that it was rendered for, 0 if somebody changed that.",
                &["configuration"],
            )?,
        })
    }

    /// An API server was seen to call podgate then; at first, when podgate began to look.
    pub fn called(&self, at: Instant) {
        *self.called.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    pub fn knows_callers(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.known_callers.with_label_values::<&str>(&[]).set(count);
    }

    /// A configuration is as it was rendered, or not; `None` where there is no configuration.
    pub fn intact(&self, configuration: &str, intact: Option<bool>) {
        match intact {
            Some(intact) => {
                self.intact.with_label_values(&[configuration]).set(i64::from(intact));
            }
            // There may have been none before.
            None => drop(self.intact.remove_label_values(&[configuration])),
        }
    }
}

/// How long ago that was; it grows by itself, so it is taken when somebody asks.
#[derive(Clone)]
struct Called {
    last: Arc<Mutex<Option<Instant>>>,
    gauge: Gauge,
}

impl Called {
    fn new() -> Result<Self, prometheus::Error> {
        let gauge = Gauge::new(
            "podgate_called",
            "Seconds since the API servers were last seen to call podgate; since podgate began to look, where they never were.",
        )?;
        Ok(Self { last: Arc::default(), gauge })
    }
}

impl Collector for Called {
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
