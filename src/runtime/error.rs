//! Why serving fails.

use std::net::SocketAddr;

use crate::admission::self_registration::RegisterError;
use crate::certs::client_ca::ClientCaError;
use crate::certs::{IdentityError, folder};
use crate::clusters::ClusterError;
use crate::policies::files::FilesError;

/// Why a command that serves could not start, or ended without a signal. Each sentence names the next step.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(
        "cannot listen on {address}: {source}; end what uses the port, or choose another with {flag}"
    )]
    Listen { address: SocketAddr, flag: &'static str, source: std::io::Error },
    #[error(transparent)]
    Certificates(#[from] folder::FolderError),
    #[error("the certificates cannot be used: {0}; check tls.crt and tls.key in --cert-dir")]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    ClientCa(#[from] ClientCaError),
    #[error("cannot make certificates: {0}")]
    MakeCertificates(#[from] rcgen::Error),
    #[error("--register needs ca.crt beside tls.crt, by which the API server trusts podgate")]
    NoCa,
    #[error("cannot register the webhook: {0}")]
    Register(#[from] RegisterError),
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    #[error(
        "the {0} ended unexpectedly; this is a fault of podgate, please report it with the log"
    )]
    Ended(&'static str),
}
