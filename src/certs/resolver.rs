//! The serving certificate, which can be replaced while the server runs.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::client_ca::ClientCa;

const HTTP_1: &[u8] = b"http/1.1";

/// The certificate of all handshakes. Clones share it. Until there is one, no handshake succeeds.
#[derive(Clone, Debug, Default)]
pub struct Resolver(Arc<ArcSwapOption<CertifiedKey>>);

impl Resolver {
    /// Serves this certificate to new connections; open ones stay.
    pub fn serve(&self, certified: CertifiedKey) {
        self.0.store(Some(Arc::new(certified)));
    }

    /// The TLS configuration of the server. It offers HTTP/1.1 only; `admission::server` says why.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder().with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        Arc::new(config)
    }

    /// The TLS configuration of a server that asks clients for a certificate of this CA.
    pub fn server_config_for(&self, callers: ClientCa) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder().with_client_cert_verifier(Arc::new(callers));
        let mut config = builder.with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        // No session resumption: a resumed session is not verified again, and the CA may have changed.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}
