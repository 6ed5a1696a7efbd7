//! Whether an API server would trust a certificate, verified by rustls. Pure.

use std::sync::Arc;

use rcgen::{KeyPair, PublicKeyData};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;
use x509_parser::pem::Pem;

use super::authority::Pair;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// The validity period of a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub begin: OffsetDateTime,
    pub end: OffsetDateTime,
}

impl Validity {
    /// The validity of the first certificate in a PEM text.
    pub fn of(pem: &str) -> Option<Self> {
        let pem = Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()?;
        let certificate = pem.parse_x509().ok()?;
        let validity = certificate.validity();
        let time = |it: i64| OffsetDateTime::from_unix_timestamp(it).ok();
        Some(Self {
            begin: time(validity.not_before.timestamp())?,
            end: time(validity.not_after.timestamp())?,
        })
    }
}

/// Whether a certificate has expired, or cannot be read.
pub(super) fn expired(pem: &str, now: OffsetDateTime) -> bool {
    Validity::of(pem).is_none_or(|it| it.end <= now)
}

/// Splits a bundle into its certificates, each in PEM.
pub(super) fn split(bundle: &str) -> Result<Vec<String>, &'static str> {
    let mut certificates = Vec::new();
    for (place, _) in bundle.match_indices(BEGIN) {
        let rest = bundle.get(place..).unwrap_or_default();
        let end = rest.get(BEGIN.len()..).and_then(|it| it.find(BEGIN));
        let one = end.and_then(|end| rest.get(..end + BEGIN.len())).unwrap_or(rest);
        Validity::of(one).ok_or("holds something that is no certificate")?;
        certificates.push(format!("{}\n", one.trim_end()));
    }
    if certificates.is_empty() { Err("holds no certificate in PEM") } else { Ok(certificates) }
}

/// Checks that a key belongs to its certificate.
pub(super) fn check_key(pair: &Pair) -> Result<(), &'static str> {
    let key = KeyPair::from_pem(&pair.key).map_err(|_| "is no private key")?;
    let pem = Pem::iter_from_buffer(pair.certificate.as_bytes()).next();
    let pem = pem.and_then(Result::ok).ok_or("has no certificate")?;
    let certificate = pem.parse_x509().map_err(|_| "has no certificate")?;
    if certificate.public_key().raw == key.subject_public_key_info() {
        Ok(())
    } else {
        Err("is not the key of its certificate")
    }
}

/// Checks that a client with this CA bundle trusts the chain for the server name, at this time.
pub(super) fn verify(
    bundle: &str,
    chain: &str,
    server_name: &str,
    now: OffsetDateTime,
) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        // An unreadable CA is skipped; the others still count.
        let _ = ca.map(|ca| roots.add(ca));
    }
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("the certificate is not PEM: {error}"))?;
    let (leaf, between) = chain.split_first().ok_or("there is no certificate")?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|_| "no authority is trusted")?;
    let name = ServerName::try_from(server_name).map_err(|error| error.to_string())?;
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let outcome = verifier.verify_server_cert(leaf, between, &name, &[], now);
    outcome.map(|_| ()).map_err(|error| error.to_string())
}
