//! Certificates for the webhook: [`authority`] makes them, [`store`] keeps them
//! in a folder, and [`Identity`] is what the TLS server is started with.

pub mod authority;
pub mod store;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

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
    /// The TLS side of the server. HTTP/1.1 is all it offers; see
    /// `admission::server`.
    ///
    /// # Errors
    /// Says which of certificate and key is at fault.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(IdentityError::Certificate)?;
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(IdentityError::Key)?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(IdentityError::Mismatch)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
