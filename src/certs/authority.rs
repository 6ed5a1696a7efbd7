//! Makes a certificate authority and a leaf for the webhook. Pure: the time is
//! a parameter, and only the caller keeps anything.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::Identity;

/// How long a certificate made here lasts.
const LIFETIME: Duration = Duration::days(365);
/// How far before now it begins, for API servers whose clock is behind.
const BACKDATED: Duration = Duration::hours(1);

/// Makes a new CA, and a leaf for these host names and IP addresses. The CA's
/// key is forgotten: nothing else can ever be signed by it.
///
/// # Errors
/// A name that no certificate can carry.
pub fn self_signed(names: &[String], now: OffsetDateTime) -> Result<Identity, rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "podgate webhook CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (ca.not_before, ca.not_after) = (now - BACKDATED, now + LIFETIME);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "podgate webhook");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = (now - BACKDATED, now + LIFETIME);
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &ca)?;
    Ok(Identity { certificate: leaf.pem(), key: key.serialize_pem(), ca: Some(ca.pem()) })
}
