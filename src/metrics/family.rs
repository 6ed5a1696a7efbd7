//! Registers metric families.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

type Registered<C> = Result<C, prometheus::Error>;

/// Registers a family, and returns it.
pub(super) fn register<C>(registry: &Registry, family: C) -> Registered<C>
where
    C: Collector + Clone + 'static,
{
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> Registered<IntCounter> {
    register(registry, IntCounter::new(name, help)?)
}

pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Registered<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> Registered<IntGauge> {
    register(registry, IntGauge::new(name, help)?)
}

/// Gauges by labels. One without labels has no series until it is set.
pub(super) fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Registered<IntGaugeVec> {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

/// Sets a series, or removes it. Not inlined, for the size of the binary.
#[inline(never)]
pub(super) fn set(gauge: &IntGaugeVec, labels: &[&str], value: Option<u64>) {
    match value {
        Some(value) => {
            gauge.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        // An error means that there was no such series.
        None => drop(gauge.remove_label_values(labels)),
    }
}
