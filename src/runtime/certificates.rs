//! Sets up the serving certificate: a folder's, one in memory, or the Secret that all replicas share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::Client;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::error::ServeError;
use super::expected::{ExpectedConfigurations, WebhookValues};
use super::listen;
use super::source::PolicySource;
use crate::admission::handler::Readiness;
use crate::admission::registration::WEBHOOK_SUFFIX;
use crate::admission::self_registration::SelfRegistration;
use crate::certs::keeper::{CertificateSource, Keeper};
use crate::certs::objects::{ObjectNames, WatchedObjects};
use crate::certs::serving::{Serving, Trusted};
use crate::certs::{Identity, Resolver, authority, certified_key, folder};
use crate::leader::claim::Claim;
use crate::metrics::CertificateMetrics;
use crate::nonce;

/// Where the serving certificate comes from.
pub enum Certificates {
    /// A folder, in which it is made if absent; `None` makes it in memory.
    Own(Option<PathBuf>),
    /// The Secret that all replicas share.
    Shared(SharedCertificates),
}

/// The certificate of a release in a cluster.
#[derive(Clone, Debug)]
pub struct SharedCertificates {
    pub secret: String,
    /// The release's full name, which is the Service's name.
    pub release: String,
    /// Who makes the certificates; `None` where cert-manager writes both Secret and `caBundle`.
    pub source: Option<CertificateSource>,
    pub values: WebhookValues,
}

/// The certificate, set up.
pub(super) struct OpenCertificates {
    pub shared: Option<SharedParts>,
    /// The expected webhook configurations; `None` where podgate neither registers itself nor is installed by the
    /// chart.
    pub expected: Option<ExpectedConfigurations>,
    /// The watched objects. With `shared`, [`Serving`] watches them.
    pub watched: WatchedObjects,
}

/// Serves podgate's own certificate, or sets up the parts that serve the shared one.
pub(super) fn open(
    certificates: Certificates,
    source: &mut PolicySource,
    namespace: &str,
    address: SocketAddr,
    resolver: Resolver,
    nonce_key: &nonce::SharedKey,
    metrics: &CertificateMetrics,
) -> Result<OpenCertificates, ServeError> {
    let certificates = match certificates {
        Certificates::Shared(it) => it,
        Certificates::Own(cert_dir) => {
            let identity = serve_own(cert_dir.as_deref(), address, &resolver, nonce_key)?;
            let mut expected = None;
            if source.registering_client().is_some() {
                let url = format!("https://{}", listen::reachable(address));
                let ca = identity.ca.ok_or(ServeError::NoCa)?;
                let rendered = SelfRegistration::registration(url, ca, namespace.to_owned());
                expected = Some(ExpectedConfigurations { rendered, deployment: None });
            }
            let watched = WatchedObjects::default();
            return Ok(OpenCertificates { shared: None, expected, watched });
        }
    };
    source.protect(namespace);
    let release = certificates.release.clone();
    let protected = source.protected().names().to_vec();
    let values = certificates.values.clone();
    let rendered = values.registration(namespace.to_owned(), release.clone(), protected);
    let expected = Some(ExpectedConfigurations { rendered, deployment: Some(release) });
    let (nonce_key, metrics) = (nonce_key.clone(), metrics.clone());
    let parts = SharedParts::new(certificates, namespace.to_owned(), resolver, nonce_key, metrics);
    let watched = parts.serving.watched.clone();
    Ok(OpenCertificates { shared: Some(parts), expected, watched })
}

/// Serves the certificate of the folder, or a new one in memory.
fn serve_own(
    cert_dir: Option<&Path>,
    address: SocketAddr,
    resolver: &Resolver,
    nonce_key: &nonce::SharedKey,
) -> Result<Identity, ServeError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let own = address.ip().to_string();
    if !address.ip().is_unspecified() && !names.contains(&own) {
        names.push(own);
    }
    let now = OffsetDateTime::now_utc();
    let identity = match cert_dir {
        Some(dir) => folder::load_or_create(dir, &names, now)?,
        None => authority::self_signed(&names, now)?,
    };
    resolver.serve(certified_key(&identity.certificate, &identity.key)?);
    nonce_key.derive_from(&identity.key);
    Ok(identity)
}

/// Makes the leader's [`Keeper`] of the shared certificate.
#[derive(Clone)]
pub(super) struct Keeping {
    names: ObjectNames,
    watched: WatchedObjects,
    source: CertificateSource,
    metrics: CertificateMetrics,
}

impl Keeping {
    pub(super) fn keeper(self, client: Client, claim: Claim) -> Keeper {
        let Self { names, watched, source, metrics } = self;
        Keeper { client, claim, names, watched, source, metrics }
    }
}

/// The parts that serve and rotate the shared certificate.
pub(super) struct SharedParts {
    /// For every replica.
    pub serving: Serving,
    /// For the leader.
    pub keeping: Option<Keeping>,
    pub readiness: Readiness,
}

impl SharedParts {
    /// Sets the parts up; the Secret is not read yet.
    fn new(
        certificates: SharedCertificates,
        namespace: String,
        resolver: Resolver,
        nonce_key: nonce::SharedKey,
        metrics: CertificateMetrics,
    ) -> Self {
        let SharedCertificates { secret, release: service, source, values: _ } = certificates;
        let names = ObjectNames { namespace, secret, service, webhook_suffix: WEBHOOK_SUFFIX };
        let watched = WatchedObjects::default();
        let keeping = source.map(|source| {
            let (names, watched, metrics) = (names.clone(), watched.clone(), metrics.clone());
            Keeping { names, watched, source, metrics }
        });
        let trusted = watch::Sender::new(Err("the certificate is not known yet".to_owned()));
        let readiness = trusted_once(trusted.subscribe());
        let serving = Serving { names, watched, resolver, nonce_key, metrics, trusted };
        Self { serving, keeping, readiness }
    }
}

/// Ready from the first time that the API server trusts the certificate. A later loss of trust does not end readiness:
/// it concerns all replicas, so taking this one out of the Service would not help.
fn trusted_once(trusted: watch::Receiver<Trusted>) -> Readiness {
    let once = std::sync::OnceLock::new();
    Arc::new(move || {
        if once.get().is_none() {
            trusted.borrow().clone()?;
            let _ = once.set(());
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_was_trusted_once_stays_ready() {
        let trusted = watch::Sender::new(Err("not yet".to_owned()));
        let readiness = trusted_once(trusted.subscribe());
        assert_eq!(readiness(), Err("not yet".to_owned()));
        let _ = trusted.send_replace(Ok(()));
        assert_eq!(readiness(), Ok(()));
        let _ = trusted.send_replace(Err("somebody emptied the caBundle".to_owned()));
        assert_eq!(readiness(), Ok(()));
    }
}
