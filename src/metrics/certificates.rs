//! What is counted of certificates, and of the configurations that must trust them.

use prometheus::{IntCounter, IntGaugeVec, Opts, Registry};

use super::register;

#[derive(Clone)]
pub struct CertificateMetrics {
    /// Without labels, so that they have no series before there is a certificate.
    not_before: IntGaugeVec,
    expiry: IntGaugeVec,
    rotations: IntCounter,
    present: IntGaugeVec,
    trusted: IntGaugeVec,
    repairs: IntCounter,
}

impl CertificateMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help)?);
        Ok(Self {
            not_before: gauges(
                "podgate_certificate_not_before_timestamp_seconds",
                "When the certificate began that this podgate serves by.",
                &[],
            )?,
            expiry: gauges(
                "podgate_certificate_expiry_timestamp_seconds",
                "When the certificate ends that this podgate serves by.",
                &[],
            )?,
            rotations: counter(
                "podgate_certificate_rotations_total",
                "Times this podgate wrote another certificate or authority while it led.",
            )?,
            present: gauges(
                "podgate_webhook_configuration_present",
                "1 if the webhook configuration exists, 0 if not: then the API server does not ask podgate.",
                &["configuration"],
            )?,
            trusted: gauges(
                "podgate_ca_bundle_trusted",
                "1 if the API server trusts, by the caBundle, the certificate that this podgate serves by, 0 if not.",
                &["configuration"],
            )?,
            repairs: counter(
                "podgate_ca_bundle_repairs_total",
                "Times this podgate wrote a caBundle while it led.",
            )?,
        })
    }

    /// A certificate is served from now on, which began and ends then (seconds since 1970).
    pub fn serves(&self, begin: i64, end: i64) {
        self.not_before.with_label_values::<&str>(&[]).set(begin);
        self.expiry.with_label_values::<&str>(&[]).set(end);
    }

    pub fn rotated(&self) {
        self.rotations.inc();
    }

    /// A configuration trusts what is served, or not; `None` where there is no configuration.
    pub fn configuration(&self, configuration: &str, trusted: Option<bool>) {
        let present = self.present.with_label_values(&[configuration]);
        present.set(i64::from(trusted.is_some()));
        match trusted {
            Some(trusted) => {
                self.trusted.with_label_values(&[configuration]).set(i64::from(trusted));
            }
            // There may have been none before.
            None => drop(self.trusted.remove_label_values(&[configuration])),
        }
    }

    pub fn repaired(&self) {
        self.repairs.inc();
    }
}
