//! Metrics of the webhooks' reviews, of every replica.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Registry};

use super::decisions::{Decided, DecisionMetrics};
use super::family::{counter, counters, gauge, register};

/// The outcome of one review as label values, each of a closed set.
pub struct ReviewSummary<'a> {
    /// `validate`, `mutate` or `alive`.
    pub webhook: &'static str,
    pub operation: &'static str,
    /// A judged kind, or `other`.
    pub kind: &'static str,
    pub decision: &'static str,
    pub decided: &'a Decided,
    /// Whether a controller tried again to create a pod that was denied within a minute.
    pub retry: bool,
    /// The number of operations of the JSON Patch.
    pub patch_operations: usize,
}

#[derive(Clone)]
pub struct AdmissionMetrics {
    reviews: IntCounterVec,
    decisions: DecisionMetrics,
    repeated_denials: IntCounter,
    refusals: IntCounterVec,
    patch_operations: IntCounter,
    duration: Histogram,
    in_flight: IntGauge,
}

impl AdmissionMetrics {
    pub(super) fn new(
        registry: &Registry,
        decisions: DecisionMetrics,
    ) -> Result<Self, prometheus::Error> {
        let duration = HistogramOpts::new(
            "podgate_admission_duration_seconds",
            "Time from a review's headers to its answer.",
        );
        let duration = duration.buckets(vec![
            0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 3.0,
        ]);
        Ok(Self {
            reviews: counters(
                registry,
                "podgate_admission_reviews_total",
                "AdmissionReviews by webhook, operation, kind and decision.",
                &["webhook", "operation", "kind", "decision"],
            )?,
            decisions,
            repeated_denials: counter(
                registry,
                "podgate_admission_repeated_denials_total",
                "Controllers' retries of one pod template that was denied within a minute: they are no new decisions.",
            )?,
            refusals: counters(
                registry,
                "podgate_admission_refusals_total",
                "Requests that got an HTTP error instead of a verdict, by reason.",
                &["reason"],
            )?,
            patch_operations: counter(
                registry,
                "podgate_admission_patch_operations_total",
                "Operations of the JSON Patches that changed pods at their creation.",
            )?,
            duration: register(registry, Histogram::with_opts(duration)?)?,
            in_flight: gauge(
                registry,
                "podgate_admission_in_flight",
                "Reviews that are being answered now.",
            )?,
        })
    }

    /// A review was judged.
    pub fn judged(&self, review: &ReviewSummary<'_>) {
        self.reviews
            .with_label_values(&[review.webhook, review.operation, review.kind, review.decision])
            .inc();
        if review.retry {
            self.repeated_denials.inc();
        } else {
            self.decisions.count(review.decided);
        }
        if review.patch_operations > 0 {
            self.patch_operations.inc_by(review.patch_operations as u64);
        }
    }

    /// A request got an HTTP error instead of a verdict. The decision is `error` or `shed`; the reason is of a closed
    /// set.
    pub fn refused(&self, webhook: &str, decision: &str, reason: &'static str) {
        self.refusals.with_label_values(&[reason]).inc();
        self.reviews.with_label_values(&[webhook, "other", "other", decision]).inc();
    }

    /// A review was answered after this time.
    pub fn took(&self, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
    }

    /// Counts a review as in flight until the guard is dropped.
    pub fn in_flight(&self) -> impl Drop + use<> {
        struct Guard(IntGauge);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.dec();
            }
        }
        self.in_flight.inc();
        Guard(self.in_flight.clone())
    }
}
