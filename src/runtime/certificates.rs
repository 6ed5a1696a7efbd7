//! Which certificate the webhook serves by, and who keeps it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::Client;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::ServeError;
use super::beating::Rendered;
use crate::admission::handler::Readiness;
use crate::admission::registration::WEBHOOK_SUFFIX;
use crate::certs::keeper::{Keeper, Source};
use crate::certs::serving::{Objects, Serving, Sight, Trusted};
use crate::certs::{Identity, Resolver, authority, certified, folder};
use crate::clusters::claim::Claim;
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

/// Shows the certificates of the folder, or new ones in memory.
pub(super) fn own(
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
    sight: Sight,
    source: Source,
    metrics: CertificateMetrics,
}

impl Keeping {
    pub(super) fn keeper(self, client: Client, claim: Claim) -> Keeper {
        let Self { objects, sight, source, metrics } = self;
        Keeper { client, claim, objects, sight, source, metrics }
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
pub(super) fn shared(
    shared: Shared,
    namespace: String,
    resolver: Resolver,
    key: nonce::Shared,
    metrics: CertificateMetrics,
) -> Parts {
    let Shared { secret, release: service, source, rendered: _ } = shared;
    let objects = Objects { namespace, secret, service, webhook_suffix: WEBHOOK_SUFFIX };
    let sight = Sight::default();
    let keeping = source.map(|source| {
        let (objects, sight, metrics) = (objects.clone(), sight.clone(), metrics.clone());
        Keeping { objects, sight, source, metrics }
    });
    let trusted = watch::Sender::new(Err("the certificate is not known yet".to_owned()));
    let readiness = trusted_once(trusted.subscribe());
    let serving = Serving { objects, sight, resolver, key, metrics, trusted };
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
