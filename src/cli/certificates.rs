//! The flags of `podgate serve` that select its certificate in a cluster.

use clap::{Args, ValueEnum};
use k8s_openapi::api::admissionregistration::v1::MatchCondition;
use time::Duration;

use super::failure::Failure;
use crate::certs::keeper::CertificateSource;
use crate::certs::keyring::Lifetimes;
use crate::runtime::{SharedCertificates, WebhookValues};

#[derive(Args, Debug)]
pub(super) struct CertificateArgs {
    /// Serve the certificate of the Secret that all replicas share; MODE
    /// says who maintains it [default: a certificate of this process alone]
    #[arg(long, value_name = "MODE", value_enum, group = "beats", conflicts_with_all = ["standalone", "cert_dir"])]
    certificates: Option<CertificateMode>,
    /// The name of that Secret, in podgate's own namespace
    #[arg(long, value_name = "NAME", default_value = "podgate-tls", requires = "certificates")]
    tls_secret: String,
    /// The full name of the release: the name of its Service and the prefix of its webhook configurations' names
    #[arg(long, value_name = "NAME", default_value = "podgate", requires = "certificates")]
    release: String,
    /// The Service's port in the webhook configurations
    #[arg(long, value_name = "PORT", default_value_t = 443, requires = "certificates")]
    service_port: u16,
    /// A match condition expected of the webhooks for workloads (the chart's
    /// webhook.matchConditions), so that podgate notices others; may be repeated
    #[arg(long, value_name = "NAME=EXPRESSION", value_parser = condition, requires = "certificates")]
    match_condition: Vec<MatchCondition>,
    /// With self-signed: the lifetime of the authority, such as 43800h
    #[arg(long, value_name = "DURATION", default_value = "43800h", value_parser = lifetime, requires = "certificates")]
    ca_lifetime: Duration,
    /// With self-signed: the lifetime of the certificate, such as 90d
    #[arg(long, value_name = "DURATION", default_value = "2160h", value_parser = lifetime, requires = "certificates")]
    leaf_lifetime: Duration,
}

/// Who maintains the Secret and the webhook configurations' `caBundle`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum CertificateMode {
    /// podgate creates and renews certificates, and writes caBundle
    SelfSigned,
    /// You fill the Secret (tls.crt, tls.key, ca.crt), and podgate writes caBundle
    Provided,
    /// cert-manager fills the Secret and writes caBundle
    CertManager,
}

impl CertificateArgs {
    /// The shared certificate; `None` without `--certificates`.
    pub(super) fn shared(&self) -> Result<Option<SharedCertificates>, Failure> {
        let Some(mode) = self.certificates else { return Ok(None) };
        if self.leaf_lifetime >= self.ca_lifetime {
            return Err(Failure::Input(
                "--leaf-lifetime must be shorter than --ca-lifetime, the lifetime of its authority"
                    .to_owned(),
            ));
        }
        let lifetimes = Lifetimes { ca: self.ca_lifetime, leaf: self.leaf_lifetime };
        let source = match mode {
            CertificateMode::SelfSigned => Some(CertificateSource::SelfSigned(lifetimes)),
            CertificateMode::Provided => Some(CertificateSource::Provided),
            CertificateMode::CertManager => None,
        };
        let (secret, release) = (self.tls_secret.clone(), self.release.clone());
        let values = WebhookValues {
            service_port: self.service_port,
            match_conditions: self.match_condition.clone(),
        };
        Ok(Some(SharedCertificates { secret, release, source, values }))
    }
}

/// Parses `NAME=EXPRESSION`, divided at the first `=`.
pub(super) fn condition(text: &str) -> Result<MatchCondition, String> {
    match text.split_once('=') {
        Some((name, expression)) if !name.is_empty() && !expression.is_empty() => {
            let (name, expression) = (name.to_owned(), expression.to_owned());
            Ok(MatchCondition { name, expression })
        }
        _ => Err("write it as NAME=EXPRESSION, the expression in CEL".to_owned()),
    }
}

/// Parses a number with its unit, at least ten seconds and at most a century.
fn lifetime(text: &str) -> Result<Duration, String> {
    const YEARS: i64 = 100 * 365 * 24 * 60 * 60;
    let form = "write it as a whole number of s, m, h or d, such as 90d, from 10s to 36500d";
    let units = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];
    let seconds = units.into_iter().find_map(|(unit, seconds)| {
        text.strip_suffix(unit)?.parse::<u32>().ok().map(|count| i64::from(count) * seconds)
    });
    match seconds {
        Some(seconds) if (10..=YEARS).contains(&seconds) => Ok(Duration::seconds(seconds)),
        _ => Err(form.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_a_number_with_a_unit() {
        for (text, seconds) in [("20s", 20), ("1m", 60), ("2160h", 7_776_000), ("90d", 7_776_000)] {
            assert_eq!(lifetime(text), Ok(Duration::seconds(seconds)), "{text}");
        }
        for bad in ["", "9s", "90", "-1h", "1.5h", "1h30m", "h", "36501d", "4294967296s", "1y"] {
            assert!(lifetime(bad).is_err_and(|why| why.starts_with("write it as")), "{bad}");
        }
    }
}
