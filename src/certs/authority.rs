//! Makes certificates: CAs, and leaves that a CA signs. No I/O: the time is a parameter, and the caller stores the
//! result.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::Identity;

/// The lifetime of a certificate for one process or one folder.
const LIFETIME: Duration = Duration::days(365);
/// How far `notBefore` lies in the past, for API servers whose clock is behind.
pub(super) const BACKDATED: Duration = Duration::hours(1);

/// A certificate and its private key, both in PEM (the key PKCS #8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// Makes a CA, and a leaf for these host names and IP addresses. The CA's key is dropped, so it signs nothing else.
///
/// # Errors
/// A name cannot stand in a certificate.
pub fn self_signed(names: &[String], now: OffsetDateTime) -> Result<Identity, rcgen::Error> {
    let ca = authority(now, LIFETIME)?;
    let Pair { certificate, key } = leaf(&ca, names, now, now + LIFETIME)?;
    Ok(Identity { certificate, key, ca: Some(ca.certificate) })
}

/// Makes a CA with this lifetime.
pub(super) fn authority(now: OffsetDateTime, lifetime: Duration) -> Result<Pair, rcgen::Error> {
    let mut ca = CertificateParams::default();
    // Each CA has its own name, so that clients tell two overlapping ones apart.
    let name = format!("podgate webhook CA {}", now.unix_timestamp());
    ca.distinguished_name.push(DnType::CommonName, name);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (ca.not_before, ca.not_after) = (now - BACKDATED, now + lifetime);
    let key = KeyPair::generate()?;
    let certificate = ca.self_signed(&key)?.pem();
    Ok(Pair { certificate, key: key.serialize_pem() })
}

/// Makes a leaf for these names, signed by a CA.
pub(super) fn leaf(
    ca: &Pair,
    names: &[String],
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Pair, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(&ca.certificate, KeyPair::from_pem(&ca.key)?)?;
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "podgate webhook");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = (now - BACKDATED, until);
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &issuer)?.pem();
    Ok(Pair { certificate, key: key.serialize_pem() })
}
