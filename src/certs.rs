//! Certificates for the webhook.
//!
//! Every replica serves by a [`Resolver`], which takes another certificate at any time. Without a cluster it gets the one of
//! a folder ([`folder`]). In a cluster all replicas [`serving`] read one Secret, and watch whether the API server trusts
//! what is in it; the replica that leads is the [`keeper`] of the Secret and of the configurations' `caBundle`. What the
//! Secret should hold is decided in [`keyring`], without I/O. Whose certificates callers must show, where they must, is in
//! [`client_ca`].

pub mod authority;
pub mod client_ca;
pub mod configuration;
pub mod folder;
pub mod keeper;
pub mod keyring;
mod resolver;
pub mod serving;
mod trust;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

pub use resolver::Resolver;

/// A certificate chain with its key, and the CA a client must trust.
pub struct Identity {
    /// PEM: the leaf first.
    pub certificate: String,
    /// PEM, PKCS #8.
    pub key: String,
    /// PEM: what goes into a `caBundle`; `None` where only the leaf was provided.
    pub ca: Option<String>,
}

/// Why an identity cannot serve.
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
    /// A server's TLS side that shows this and nothing else.
    ///
    /// # Errors
    /// Says which of certificate and key is at fault.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let resolver = Resolver::default();
        resolver.show(certified(&self.certificate, &self.key)?);
        Ok(resolver.server_config())
    }
}

/// A chain and its key as a server shows them.
///
/// # Errors
/// Says which of certificate and key is at fault.
pub fn certified(certificate: &str, key: &str) -> Result<CertifiedKey, IdentityError> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(IdentityError::Certificate)?;
    if chain.is_empty() {
        return Err(IdentityError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(IdentityError::Key)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(IdentityError::Mismatch)
}
