//! Metrics of the serving certificate, its rotation, and the webhook configurations that must trust it.

use prometheus::{IntCounter, IntGaugeVec, Registry};

use super::family::{counter, gauges};

#[derive(Clone)]
pub struct CertificateMetrics {
    /// Vectors without labels: before there is a certificate they have no series.
    not_before: IntGaugeVec,
    expiry: IntGaugeVec,
    rotations: IntCounter,
    present: IntGaugeVec,
    trusted: IntGaugeVec,
    repairs: IntCounter,
}

impl CertificateMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            not_before: gauges(
                registry,
                "podgate_certificate_not_before_timestamp_seconds",
                "When the certificate that this podgate serves became valid.",
                &[],
            )?,
            expiry: gauges(
                registry,
                "podgate_certificate_expiry_timestamp_seconds",
                "When the certificate that this podgate serves expires.",
                &[],
            )?,
            rotations: counter(
                registry,
                "podgate_certificate_rotations_total",
                "Times this podgate wrote another certificate or authority while it led.",
            )?,
            present: gauges(
                registry,
                "podgate_webhook_configuration_present",
                "1 if the webhook configuration exists, 0 if not: then the API server does not ask podgate.",
                &["configuration"],
            )?,
            trusted: gauges(
                registry,
                "podgate_ca_bundle_trusted",
                "1 if the caBundle trusts the certificate that this podgate serves, 0 if not.",
                &["configuration"],
            )?,
            repairs: counter(
                registry,
                "podgate_ca_bundle_repairs_total",
                "Times this podgate wrote a caBundle while it led.",
            )?,
        })
    }

    /// Another certificate is served; its validity in seconds since 1970.
    pub fn serves(&self, not_before: i64, not_after: i64) {
        self.not_before.with_label_values::<&str>(&[]).set(not_before);
        self.expiry.with_label_values::<&str>(&[]).set(not_after);
    }

    /// The leader wrote another certificate.
    pub fn rotated(&self) {
        self.rotations.inc();
    }

    /// A configuration (`validating`, `mutating`) does not exist.
    pub fn configuration_absent(&self, configuration: &str) {
        self.present.with_label_values(&[configuration]).set(0);
        // An error means that there was no such series.
        drop(self.trusted.remove_label_values(&[configuration]));
    }

    /// A configuration exists, and its `caBundle` trusts the serving certificate.
    pub fn configuration_trusts(&self, configuration: &str) {
        self.present.with_label_values(&[configuration]).set(1);
        self.trusted.with_label_values(&[configuration]).set(1);
    }

    /// A configuration exists, and its `caBundle` does not trust the serving certificate.
    pub fn configuration_distrusts(&self, configuration: &str) {
        self.present.with_label_values(&[configuration]).set(1);
        self.trusted.with_label_values(&[configuration]).set(0);
    }

    /// The leader wrote a `caBundle`.
    pub fn repaired(&self) {
        self.repairs.inc();
    }
}
