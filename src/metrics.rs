//! Everything podgate counts. Names and labels are a contract with dashboards;
//! no label is an object's name, a user or an image.

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// What one review came to, as labels: values of closed sets only.
pub struct ReviewSummary<'a> {
    /// `validate`, `mutate` or `alive`.
    pub webhook: &'static str,
    pub operation: &'static str,
    /// A judged kind, or `other`.
    pub kind: &'static str,
    pub decision: &'static str,
    /// Rule and severity of each violation that denied.
    pub denials: &'a [(&'static str, &'static str)],
    /// How many operations the patch has.
    pub patch_operations: usize,
}

mod audit;
mod beat;
mod certificates;
mod connections;
mod remediation;

pub use audit::AuditMetrics;
pub use beat::BeatMetrics;
pub use certificates::CertificateMetrics;
pub use connections::{ConnectionMetrics, Ended};
pub use remediation::RemediationMetrics;

/// The registry and all families in it.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    pub admission: AdmissionMetrics,
    pub connections: ConnectionMetrics,
    pub policies: PolicyMetrics,
    pub audit: AuditMetrics,
    pub leader: LeaderMetrics,
    pub certificates: CertificateMetrics,
    pub remediation: RemediationMetrics,
    pub beat: BeatMetrics,
}

/// Of the admission path.
#[derive(Clone)]
pub struct AdmissionMetrics {
    reviews: IntCounterVec,
    denials: IntCounterVec,
    refusals: IntCounterVec,
    patch_operations: IntCounter,
    duration: Histogram,
    in_flight: IntGauge,
}

/// Of the policies in force.
#[derive(Clone)]
pub struct PolicyMetrics {
    in_force: IntGauge,
    invalid: IntGauge,
    load_succeeded: IntGauge,
    watch_errors: IntCounter,
}

/// Of leading.
#[derive(Clone)]
pub struct LeaderMetrics {
    leads: IntGauge,
    transitions: IntCounter,
}

impl Metrics {
    /// # Errors
    /// Two families of one name, which a test would have seen.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let admission = AdmissionMetrics {
            reviews: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "podgate_admission_reviews_total",
                        "AdmissionReviews by what became of them.",
                    ),
                    &["webhook", "operation", "kind", "decision"],
                )?,
            )?,
            denials: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "podgate_admission_denials_total",
                        "Violations that denied an object.",
                    ),
                    &["rule", "severity"],
                )?,
            )?,
            refusals: register(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "podgate_admission_refusals_total",
                        "Requests that got an HTTP error instead of a verdict, by why.",
                    ),
                    &["reason"],
                )?,
            )?,
            patch_operations: register(
                &registry,
                IntCounter::new(
                    "podgate_admission_patch_operations_total",
                    "Operations of the JSON Patches that changed pods at their creation.",
                )?,
            )?,
            duration: register(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "podgate_admission_duration_seconds",
                        "Time from a review's headers to its answer.",
                    )
                    .buckets(vec![
                        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                        0.25, 1.0, 3.0,
                    ]),
                )?,
            )?,
            in_flight: register(
                &registry,
                IntGauge::new(
                    "podgate_admission_in_flight",
                    "Reviews that are being answered now.",
                )?,
            )?,
        };
        let connections = ConnectionMetrics::new(&registry)?;
        let policies = PolicyMetrics::new(&registry)?;
        let audit = AuditMetrics::new(&registry)?;
        let certificates = CertificateMetrics::new(&registry)?;
        let remediation = RemediationMetrics::new(&registry)?;
        let beat = BeatMetrics::new(&registry)?;
        let leader = LeaderMetrics {
            leads: register(
                &registry,
                IntGauge::new("podgate_leader", "1 if this podgate leads, 0 if not.")?,
            )?,
            transitions: register(
                &registry,
                IntCounter::new(
                    "podgate_leader_transitions_total",
                    "Times this podgate began to lead or ceased to.",
                )?,
            )?,
        };
        let build = register(
            &registry,
            IntGaugeVec::new(
                Opts::new("podgate_build_info", "1, with the version as a label."),
                &["version"],
            )?,
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            registry,
            admission,
            connections,
            policies,
            audit,
            leader,
            certificates,
            remediation,
            beat,
        })
    }

    /// The text exposition format, for `/metrics`.
    ///
    /// # Errors
    /// A family without a metric or a name, which cannot be built here.
    pub fn expose(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    family: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

impl AdmissionMetrics {
    pub fn judged(&self, review: &ReviewSummary<'_>) {
        self.reviews
            .with_label_values(&[review.webhook, review.operation, review.kind, review.decision])
            .inc();
        // Worst first, so that equal ones stand together.
        for same in review.denials.chunk_by(|a, b| a == b) {
            let &[(rule, severity), ..] = same else { continue };
            self.denials.with_label_values(&[rule, severity]).inc_by(same.len() as u64);
        }
        if review.patch_operations > 0 {
            self.patch_operations.inc_by(review.patch_operations as u64);
        }
    }

    /// A request that got an HTTP error instead of a verdict; the decision is `error` or `shed`, the reason of a closed set.
    pub fn refused(&self, webhook: &str, decision: &str, reason: &'static str) {
        self.refusals.with_label_values(&[reason]).inc();
        self.reviews.with_label_values(&[webhook, "other", "other", decision]).inc();
    }

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

impl PolicyMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            in_force: register(
                registry,
                IntGauge::new("podgate_policies_in_force", "Policies that decide reviews now.")?,
            )?,
            invalid: register(
                registry,
                IntGauge::new(
                    "podgate_policies_invalid",
                    "Policies that could not be read; the last good version of each stays in force.",
                )?,
            )?,
            load_succeeded: register(
                registry,
                IntGauge::new(
                    "podgate_policy_last_load_successful",
                    "1 if the policies were read when they last changed, 0 if an older state is still in force.",
                )?,
            )?,
            watch_errors: register(
                registry,
                IntCounter::new(
                    "podgate_policy_watch_errors_total",
                    "Times the watch of policies failed; each is retried.",
                )?,
            )?,
        })
    }

    /// The policies were read: so many are in force, so many are not readable.
    pub fn loaded(&self, in_force: usize, invalid: usize) {
        self.in_force.set(i64::try_from(in_force).unwrap_or(i64::MAX));
        self.invalid.set(i64::try_from(invalid).unwrap_or(i64::MAX));
        self.load_succeeded.set(1);
    }

    /// The policies changed and could not be read.
    pub fn load_failed(&self) {
        self.load_succeeded.set(0);
    }

    pub fn watch_failed(&self) {
        self.watch_errors.inc();
    }
}

impl LeaderMetrics {
    /// This podgate begins to lead, or ceases to.
    pub fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
        self.transitions.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_is_counted_by_its_decision_and_a_denial_by_its_rules() {
        let metrics = Metrics::new().unwrap();
        let denials = &[("forbidLatestTag", "high")];
        let review = ReviewSummary {
            webhook: "validate",
            operation: "CREATE",
            kind: "Pod",
            decision: "deny",
            denials,
            patch_operations: 0,
        };
        metrics.admission.judged(&review);
        let in_flight = metrics.admission.in_flight();
        let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
        for line in [
            r#"podgate_admission_reviews_total{decision="deny",kind="Pod",operation="CREATE",webhook="validate"} 1"#,
            r#"podgate_admission_denials_total{rule="forbidLatestTag",severity="high"} 1"#,
            "podgate_admission_in_flight 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        drop(in_flight);
        let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
        assert!(text.contains("podgate_admission_in_flight 0"), "{text}");
    }
}
