//! Certificate rotation: the serving certificate of the webhook, its CA, and the `caBundle` by which the API server
//! trusts it.
//!
//! Every replica serves the certificate of a [`Resolver`], which can be replaced at any time. Without a cluster the
//! certificate comes from a folder ([`folder`]). In a cluster all replicas share one Secret: [`serving`] reloads it on
//! every replica, and checks whether the API server trusts it; on the leader, [`keeper`] writes the Secret and the
//! configurations' `caBundle`. [`keyring`] decides, without I/O, what the Secret should hold next. [`client_ca`]
//! verifies callers' client certificates, where `--client-ca` asks for them.

pub mod authority;
pub(crate) mod client_ca;
pub(crate) mod configuration;
pub mod folder;
pub(crate) mod keeper;
pub(crate) mod keyring;
pub(crate) mod objects;
mod resolver;
pub(crate) mod serving;
mod trust;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

pub use resolver::Resolver;

/// A certificate chain with its key, and the CA that clients must trust.
pub struct Identity {
    /// PEM: the leaf first.
    pub certificate: String,
    /// PEM, PKCS #8.
    pub key: String,
    /// PEM: the `caBundle`; `None` where only the leaf was provided.
    pub ca: Option<String>,
}

/// Why an identity cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the certificate is not PEM: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    #[error("there is no certificate in it")]
    NoCertificate,
    #[error("the key is not a PEM private key: {0}")]
    Key(rustls::pki_types::pem::Error),
    #[error("the certificate and the key do not go together: {0}")]
    Mismatch(rustls::Error),
}

impl Identity {
    /// The TLS configuration of a server that always serves this identity.
    ///
    /// # Errors
    /// The certificate or the key cannot be used.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let resolver = Resolver::default();
        resolver.serve(certified_key(&self.certificate, &self.key)?);
        Ok(resolver.server_config())
    }
}

/// A certificate chain and its key, both in PEM, as rustls serves them.
///
/// # Errors
/// The certificate or the key cannot be used.
pub fn certified_key(certificate: &str, key: &str) -> Result<CertifiedKey, IdentityError> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(IdentityError::Certificate)?;
    if chain.is_empty() {
        return Err(IdentityError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(IdentityError::Key)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(IdentityError::Mismatch)
}
