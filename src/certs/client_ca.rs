//! `--client-ca`: the CA that must have signed callers' client certificates, read from a file and reloaded when it
//! changes.
//!
//! A client without a certificate can connect too, since kubelet's probes have none; `admission::handler` then refuses
//! its reviews.

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

/// How often the file is read. It is read whole each time: modification times miss the changes of a ConfigMap mount,
/// which swaps symbolic links.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientCaError {
    #[error("cannot read {path}: {source}; name a file of certificates in PEM with --client-ca")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} holds no certificate authority in PEM that can be used: {why}")]
    Unusable { path: PathBuf, why: String },
}

/// The verifier of client certificates. Clones share it.
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
    /// The file is missing, or holds no certificate that can be used.
    pub fn read(path: &Path) -> Result<Self, ClientCaError> {
        let text = text(path)?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(Authorities::of(path, text)?))))
    }

    /// Reloads the file when it changes, until it is dropped. While the file cannot be used, the last good CA stays in
    /// force.
    pub async fn keep_up_to_date(self, path: PathBuf) {
        let mut logged = None;
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let fault = self.reload(&path).err().map(|error| error.to_string());
            if let Some(error) = fault.as_ref().filter(|_| fault != logged) {
                tracing::error!(error, "client CA not reloaded; the last good one stays in force");
            }
            logged = fault;
        }
    }

    fn reload(&self, path: &Path) -> Result<(), ClientCaError> {
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

    /// No hints, since the CA may change: without them a client sends the certificate that it has.
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
        assert!(authorities.reload(&path).is_err());
        assert_eq!(authorities.0.load().text, one.ca.unwrap().into_bytes());
        std::fs::write(&path, other.ca.as_ref().unwrap()).unwrap();
        authorities.reload(&path).unwrap();
        assert_eq!(authorities.0.load().text, other.ca.unwrap().into_bytes());
    }
}
