//! The certificate that a server shows, which may become another one while it serves.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::client_ca::ClientCa;

const HTTP_1: &[u8] = b"http/1.1";

/// Clones are one and the same. Until it has a certificate, no handshake succeeds.
#[derive(Clone, Debug, Default)]
pub struct Resolver(Arc<ArcSwapOption<CertifiedKey>>);

impl Resolver {
    /// Shows this certificate from now on. Connections that are open stay.
    pub fn show(&self, certified: CertifiedKey) {
        self.0.store(Some(Arc::new(certified)));
    }

    /// The TLS side of the server. HTTP/1.1 is all it offers; see `admission::server`.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder().with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        Arc::new(config)
    }

    /// The same, which asks clients for a certificate of these authorities.
    pub fn server_config_for(&self, callers: ClientCa) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder().with_client_cert_verifier(Arc::new(callers));
        let mut config = builder.with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![HTTP_1.to_vec()];
        // A session that is resumed is not verified again, and the authorities may be others by then.
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
