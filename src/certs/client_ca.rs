//! Whom callers' certificates must be signed by: the authorities of a file, read again when it changes.
//!
//! A client without a certificate is served too, as kubelet's probes must be; what it may ask is for others to say.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

/// How often the file is looked at. It is read whole each time: modified times miss changes that a ConfigMap mount makes
/// by swapping links.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Why no caller could be verified.
#[derive(Debug, thiserror::Error)]
pub enum ClientCaError {
    #[error("cannot read {path}: {source}; name a file of certificates in PEM with --client-ca")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} holds no certificate authority in PEM that can be used: {why}")]
    Unusable { path: PathBuf, why: String },
}

/// The authorities. Clones are one and the same.
#[derive(Clone, Debug)]
pub struct ClientCa(Arc<ArcSwap<Authorities>>);

#[derive(Debug)]
struct Authorities {
    text: Vec<u8>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientCa {
    /// Reads the file.
    ///
    /// # Errors
    /// Names it, and says what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, ClientCaError> {
        let text = text(path)?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(Authorities::of(path, text)?))))
    }

    /// Takes over what the file holds by now, until it is dropped. While it holds nothing of use, the last authorities stay.
    pub async fn keep_up_to_date(self, path: PathBuf) {
        let mut told = None;
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let fault = self.look(&path).err().map(|error| error.to_string());
            if let Some(error) = fault.as_ref().filter(|_| fault != told) {
                tracing::error!(error, "client CA not reloaded; the last good one stays in force");
            }
            told = fault;
        }
    }

    fn look(&self, path: &Path) -> Result<(), ClientCaError> {
        let text = text(path)?;
        if text != self.0.load().text {
            self.0.store(Arc::new(Authorities::of(path, text)?));
            tracing::info!(path = %path.display(), "client CA reloaded");
        }
        Ok(())
    }
}

fn text(path: &Path) -> Result<Vec<u8>, ClientCaError> {
    std::fs::read(path).map_err(|source| ClientCaError::Read { path: path.to_owned(), source })
}

impl Authorities {
    fn of(path: &Path, text: Vec<u8>) -> Result<Self, ClientCaError> {
        let unusable = |why: String| ClientCaError::Unusable { path: path.to_owned(), why };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { text, verifier })
    }
}

impl ClientCertVerifier for ClientCa {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None are named, since they may change: a client then shows the certificate that it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.load().verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().verifier.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::certs::authority;

    #[test]
    fn what_the_file_holds_by_now_counts_and_what_is_no_authority_leaves_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        let missing = ClientCa::read(&path).unwrap_err().to_string();
        assert!(missing.contains("ca.crt") && missing.contains("--client-ca"), "{missing}");
        for bad in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(ClientCa::read(&path), Err(ClientCaError::Unusable { .. })), "{bad}");
        }
        let now = OffsetDateTime::now_utc();
        let identity = || authority::self_signed(&["localhost".to_owned()], now).unwrap();
        let (one, other) = (identity(), identity());
        std::fs::write(&path, one.ca.as_ref().unwrap()).unwrap();
        let authorities = ClientCa::read(&path).unwrap();
        std::fs::write(&path, "hello").unwrap();
        assert!(authorities.look(&path).is_err());
        assert_eq!(authorities.0.load().text, one.ca.unwrap().into_bytes());
        std::fs::write(&path, other.ca.as_ref().unwrap()).unwrap();
        authorities.look(&path).unwrap();
        assert_eq!(authorities.0.load().text, other.ca.unwrap().into_bytes());
    }
}
