//! Metrics of the floor: the policies that the API server judges by while podgate is away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntGaugeVec, Registry};

use super::family::{gauges, register};

/// How old the last beat is when the floor wakes.
const WAKES: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct FloorMetrics {
    /// A vector without labels: only a leader that keeps a floor has a series.
    policies: IntGaugeVec,
    beat: LastBeat,
}

impl FloorMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            policies: gauges(
                registry,
                "podgate_floor_policies",
                "ValidatingAdmissionPolicies of the floor, which judge while podgate is away.",
                &[],
            )?,
            beat: register(registry, LastBeat::new()?)?,
        })
    }

    /// The API server has this many policies of the floor.
    pub fn policies(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.policies.with_label_values::<&str>(&[]).set(count);
    }

    /// This replica does not lead any more.
    pub fn stopped(&self) {
        self.policies.reset();
    }

    /// A floor is kept from now on.
    pub fn kept(&self, now: Instant) {
        self.beat.set(Seen { renewed: None, at: now });
    }

    /// The Lease has this `renewTime`, in seconds since 1970; it was written at this time.
    pub fn renewed(&self, seconds: f64, at: Instant) {
        self.beat.set(Seen { renewed: Some(seconds), at });
    }
}

/// The last beat that this replica knows of.
#[derive(Clone, Copy)]
struct Seen {
    renewed: Option<f64>,
    at: Instant,
}

/// When the last beat was, and whether the floor is awake, computed at each scrape.
#[derive(Clone)]
struct LastBeat {
    seen: Arc<Mutex<Option<Seen>>>,
    time: Gauge,
    awake: Gauge,
}

impl LastBeat {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            seen: Arc::default(),
            time: Gauge::new(
                "podgate_floor_last_beat_timestamp_seconds",
                "The renewTime of the Lease podgate-alive, as this podgate last saw it.",
            )?,
            awake: Gauge::new(
                "podgate_floor_awake",
                "1 if this podgate has seen no beat for half a minute, so that the floor judges, 0 if the floor sleeps.",
            )?,
        })
    }

    fn set(&self, seen: Seen) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}

impl Collector for LastBeat {
    fn desc(&self) -> Vec<&Desc> {
        [self.time.desc(), self.awake.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Seen { renewed, at }) = seen else { return Vec::new() };
        self.awake.set(if at.elapsed() > WAKES { 1.0 } else { 0.0 });
        let mut families = self.awake.collect();
        if let Some(renewed) = renewed {
            self.time.set(renewed);
            families.extend(self.time.collect());
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[test]
    fn the_floor_is_awake_half_a_minute_after_the_last_beat_and_without_a_floor_there_is_no_series()
    {
        let metrics = Metrics::new().unwrap();
        let floor = &metrics.floor;
        let told = || {
            let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
            let lines =
                text.lines().filter(|line| line.contains("_floor_") && !line.starts_with('#'));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(told(), [""; 0]);
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        floor.kept(ago(0));
        assert_eq!(told(), ["podgate_floor_awake 0"]);
        floor.renewed(1_800_000_000.5, ago(31));
        floor.policies(3);
        assert_eq!(
            told(),
            [
                "podgate_floor_awake 1",
                "podgate_floor_last_beat_timestamp_seconds 1800000000.5",
                "podgate_floor_policies 3",
            ]
        );
        floor.renewed(1_800_000_020.0, ago(29));
        floor.stopped();
        assert_eq!(
            told(),
            ["podgate_floor_awake 0", "podgate_floor_last_beat_timestamp_seconds 1800000020"]
        );
    }
}
