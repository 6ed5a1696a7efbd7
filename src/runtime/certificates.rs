//! Which certificate the webhook serves by, and who keeps it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::Client;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::beating::Rendered;
use super::source::PolicySource;
use super::{ServeError, listen};
use crate::admission::handler::Readiness;
use crate::admission::register::SelfRegistration;
use crate::admission::registration::{Registration, WEBHOOK_SUFFIX};
use crate::certs::keeper::{Keeper, Source};
use crate::certs::serving::{Objects, Serving, Trusted, WatchedObjects};
use crate::certs::{Identity, Resolver, authority, certified, folder};
use crate::leader::claim::Claim;
use crate::metrics::CertificateMetrics;
use crate::nonce;

/// Where certificates come from.
pub enum Certificates {
    /// A folder, in which they are made if absent; `None` makes them in memory.
    Own(Option<PathBuf>),
    /// The Secret that all replicas share.
    Shared(Shared),
}

/// Certificates of a release in a cluster.
#[derive(Clone, Debug)]
pub struct Shared {
    pub secret: String,
    /// The release's full name, which is the Service's.
    pub release: String,
    /// What the leader keeps; `None` where others keep Secret and `caBundle`.
    pub source: Option<Source>,
    /// What else the configurations were rendered by.
    pub rendered: Rendered,
}

/// The certificate, and what is to stand in the cluster so that the API server calls podgate by it.
pub(super) struct Served {
    pub shared: Option<Parts>,
    /// `None` where it is not this podgate's to know.
    pub expected: Option<Expected>,
    /// The configurations as they are seen; somebody must look.
    pub watched: WatchedObjects,
}

/// What is to stand in the cluster.
pub(super) struct Expected {
    pub rendered: Registration,
    /// The release's Deployment, where podgate runs by one; otherwise it registers itself.
    pub deployment: Option<String>,
}

/// Shows the certificate, or sets up what will.
pub(super) fn open(
    certificates: Certificates,
    source: &mut PolicySource,
    namespace: &str,
    address: SocketAddr,
    resolver: Resolver,
    key: &nonce::Shared,
    metrics: &CertificateMetrics,
) -> Result<Served, ServeError> {
    let it = match certificates {
        Certificates::Shared(it) => it,
        Certificates::Own(cert_dir) => {
            let identity = own(cert_dir.as_deref(), address, &resolver, key)?;
            let mut expected = None;
            if source.registering_client().is_some() {
                let url = format!("https://{}", listen::reachable(address));
                let ca = identity.ca.ok_or(ServeError::NoCa)?;
                let rendered = SelfRegistration::registration(url, ca, namespace.to_owned());
                expected = Some(Expected { rendered, deployment: None });
            }
            return Ok(Served { shared: None, expected, watched: WatchedObjects::default() });
        }
    };
    source.protect(namespace);
    let (release, protected) = (it.release.clone(), source.protected().names().to_vec());
    let rendered =
        it.rendered.clone().registration(namespace.to_owned(), release.clone(), protected);
    let expected = Some(Expected { rendered, deployment: Some(release) });
    let parts = shared(it, namespace.to_owned(), resolver, key.clone(), metrics.clone());
    let watched = parts.serving.watched.clone();
    Ok(Served { shared: Some(parts), expected, watched })
}

/// Shows the certificates of the folder, or new ones in memory.
fn own(
    cert_dir: Option<&Path>,
    address: SocketAddr,
    resolver: &Resolver,
    key: &nonce::Shared,
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
    resolver.show(certified(&identity.certificate, &identity.key)?);
    key.serves_by(&identity.key);
    Ok(identity)
}

/// What the leader keeps.
#[derive(Clone)]
pub(super) struct Keeping {
    objects: Objects,
    watched: WatchedObjects,
    source: Source,
    metrics: CertificateMetrics,
}

impl Keeping {
    pub(super) fn keeper(self, client: Client, claim: Claim) -> Keeper {
        let Self { objects, watched, source, metrics } = self;
        Keeper { client, claim, objects, watched, source, metrics }
    }
}

/// The parts of shared certificates.
pub(super) struct Parts {
    /// What every replica runs.
    pub serving: Serving,
    /// What the one runs that leads.
    pub keeping: Option<Keeping>,
    pub readiness: Readiness,
}

/// Sets them up; nothing is read yet.
fn shared(
    shared: Shared,
    namespace: String,
    resolver: Resolver,
    key: nonce::Shared,
    metrics: CertificateMetrics,
) -> Parts {
    let Shared { secret, release: service, source, rendered: _ } = shared;
    let objects = Objects { namespace, secret, service, webhook_suffix: WEBHOOK_SUFFIX };
    let watched = WatchedObjects::default();
    let keeping = source.map(|source| {
        let (objects, watched, metrics) = (objects.clone(), watched.clone(), metrics.clone());
        Keeping { objects, watched, source, metrics }
    });
    let trusted = watch::Sender::new(Err("the certificate is not known yet".to_owned()));
    let readiness = trusted_once(trusted.subscribe());
    let serving = Serving { objects, watched, resolver, key, metrics, trusted };
    Parts { serving, keeping, readiness }
}

/// Ready from the first time that the API server trusts this replica. Later on, leaving the Service would not help: the
/// others are not trusted either.
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
