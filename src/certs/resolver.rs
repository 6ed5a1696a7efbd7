//! The certificate that a server shows, which may become another one while it serves.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

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
        let resolver = Arc::new(self.clone());
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}
