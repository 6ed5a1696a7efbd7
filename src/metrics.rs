//! The metrics. Names and labels are a contract with dashboards and alerts; no label is the name of an object, other
//! than of policies and namespaces, nor a user or an image. The names of policies' validations are labels too, a bounded number
//! of them.
//!
//! Each file holds the families of one part; [`Metrics`] registers them all and renders `/metrics`.

mod admission;
mod audit;
mod beat;
mod certificates;
mod connections;
mod decisions;
mod family;
mod leader;
mod policies;
mod remediation;

use prometheus::{Encoder, Registry, TextEncoder};

pub use admission::{AdmissionMetrics, ReviewSummary};
pub use audit::AuditMetrics;
pub use beat::BeatMetrics;
pub use certificates::CertificateMetrics;
pub use connections::{ConnectionMetrics, Ended};
pub use decisions::Decided;
use decisions::DecisionMetrics;
use family::gauges;
pub use leader::LeaderMetrics;
pub use policies::PolicyMetrics;
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

impl Metrics {
    /// # Errors
    /// Two families have one name, which the tests would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = gauges(
            &registry,
            "podgate_build_info",
            "1, with the version as a label.",
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let decisions = DecisionMetrics::new(&registry)?;
        Ok(Self {
            admission: AdmissionMetrics::new(&registry, decisions.clone())?,
            connections: ConnectionMetrics::new(&registry)?,
            policies: PolicyMetrics::new(&registry, decisions)?,
            audit: AuditMetrics::new(&registry)?,
            leader: LeaderMetrics::new(&registry)?,
            certificates: CertificateMetrics::new(&registry)?,
            remediation: RemediationMetrics::new(&registry)?,
            beat: BeatMetrics::new(&registry)?,
            registry,
        })
    }

    /// The Prometheus text format, for `/metrics`.
    ///
    /// # Errors
    /// A family without a metric or a name, which cannot be built here.
    pub fn expose(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_is_counted_by_its_decision_and_while_it_is_answered() {
        let metrics = Metrics::new().unwrap();
        let review = ReviewSummary {
            webhook: "validate",
            operation: "CREATE",
            kind: "Pod",
            decision: "deny",
            decided: &Decided::default(),
            retry: false,
            patch_operations: 0,
        };
        metrics.admission.judged(&review);
        let in_flight = metrics.admission.in_flight();
        let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
        for line in [
            r#"podgate_admission_reviews_total{decision="deny",kind="Pod",operation="CREATE",webhook="validate"} 1"#,
            "podgate_admission_in_flight 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        drop(in_flight);
        let text = String::from_utf8(metrics.expose().unwrap()).unwrap();
        assert!(text.contains("podgate_admission_in_flight 0"), "{text}");
    }
}
