//! Every replica's part of certificate rotation: serves the Secret's certificate, reloads it on change, and checks
//! whether the API server trusts it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use kube::Client;
use kube::api::DynamicObject;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::configuration::{WebhookKind, bundles};
use super::keyring::{LEAF, LEAF_KEY, text};
use super::objects::{ObjectNames, WatchedObjects};
use super::trust::{self, Validity};
use super::{Resolver, certified_key};
use crate::client::watch_one::ObjectState;
use crate::metrics::CertificateMetrics;
use crate::nonce;

/// Whether the API server trusts the serving certificate; an error says why not.
pub type Trusted = Result<(), String>;

/// Serves the Secret's certificate.
pub struct Serving {
    pub names: ObjectNames,
    pub watched: WatchedObjects,
    pub resolver: Resolver,
    /// The key that signs nonces, which is derived from the certificate's.
    pub nonce_key: nonce::SharedKey,
    pub metrics: CertificateMetrics,
    pub trusted: watch::Sender<Trusted>,
}

impl Serving {
    /// Serves the Secret's certificate and reloads it on change, until it is dropped.
    pub async fn run(self, client: Client) {
        tokio::join!(self.watched.follow(&client, &self.names), self.reload());
    }

    async fn reload(&self) {
        let mut secret = self.watched.secret.subscribe();
        let mut validating = self.watched.validating.subscribe();
        let mut mutating = self.watched.mutating.subscribe();
        let mut served = None;
        // Each fault is logged once.
        let (mut logged, mut absent) = (None, [false; 2]);
        loop {
            if let ObjectState::Present(secret) = &*secret.borrow_and_update() {
                let data = secret.data.clone().unwrap_or_default();
                match self.serve(&data, served.as_deref()) {
                    Ok(leaf) => (served, logged) = (Some(leaf), None),
                    Err(why) if logged.as_ref() != Some(&why) => {
                        let (secret, old) = (&self.names.secret, served.is_some());
                        tracing::warn!(
                            secret,
                            why,
                            serves_an_older_one = old,
                            "the certificate cannot be served"
                        );
                        logged = Some(why);
                    }
                    Err(_) => {}
                }
            }
            let seen = [&mut validating, &mut mutating];
            let mut trust = Ok(());
            for ((kind, seen), absent) in WebhookKind::ALL.into_iter().zip(seen).zip(&mut absent) {
                let seen = seen.borrow_and_update();
                let is_absent = matches!(*seen, ObjectState::Absent);
                if is_absent && !std::mem::replace(absent, is_absent) {
                    self.warn_absent(kind);
                }
                *absent = is_absent;
                trust = trust.and(self.check_trust(kind, &seen, served.as_deref()));
            }
            self.trusted.send_if_modified(|known| {
                let changed = *known != trust;
                *known = trust;
                changed
            });
            tokio::select! {
                _ = secret.changed() => {}
                _ = validating.changed() => {}
                _ = mutating.changed() => {}
            }
        }
    }

    /// Serves the Secret's certificate from now on, and returns its chain.
    fn serve(
        &self,
        data: &BTreeMap<String, ByteString>,
        served: Option<&str>,
    ) -> Result<String, String> {
        let required = |key| text(data, key)?.ok_or_else(|| format!("it has no {key} yet"));
        let (leaf, key) = (required(LEAF)?, required(LEAF_KEY)?);
        if served == Some(&leaf) {
            return Ok(leaf);
        }
        let certified = certified_key(&leaf, &key).map_err(|error| error.to_string())?;
        let Validity { begin, end } =
            Validity::of(&leaf).ok_or_else(|| format!("{LEAF} is no certificate"))?;
        if end <= OffsetDateTime::now_utc() {
            return Err(format!("{LEAF} expired on {end}"));
        }
        self.resolver.serve(certified);
        self.nonce_key.derive_from(&key);
        self.metrics.serves(begin.unix_timestamp(), end.unix_timestamp());
        tracing::info!(until = %end, "serving another certificate");
        Ok(leaf)
    }

    /// Whether the webhooks of a configuration trust the serving certificate.
    fn check_trust(
        &self,
        kind: WebhookKind,
        seen: &ObjectState<DynamicObject>,
        served: Option<&str>,
    ) -> Trusted {
        let configuration = match seen {
            ObjectState::Unknown => return Err(format!("the {} is not known yet", kind.as_str())),
            ObjectState::Absent => {
                self.metrics.configuration_absent(kind.label());
                // Without a configuration the API server does not call podgate, so nothing has to trust it.
                return Ok(());
            }
            ObjectState::Present(configuration) => configuration,
        };
        let served = served.ok_or_else(|| "there is no certificate yet".to_owned());
        let server_name = self.names.server_name();
        let trust = served.and_then(|leaf| {
            let now = OffsetDateTime::now_utc();
            let bundles = bundles(configuration, self.names.webhook_suffix);
            let verify = |bundle: &String| {
                trust::verify(bundle, leaf, &server_name, now).map_err(|why| {
                    format!(
                        "the caBundle of the {} does not trust the certificate: {why}",
                        kind.as_str()
                    )
                })
            };
            bundles.iter().try_for_each(verify)
        });
        match &trust {
            Ok(()) => self.metrics.configuration_trusts(kind.label()),
            Err(_) => self.metrics.configuration_distrusts(kind.label()),
        }
        trust
    }

    fn warn_absent(&self, kind: WebhookKind) {
        let (kind, name) = (kind.as_str(), self.names.configuration(kind));
        tracing::warn!(
            kind,
            name,
            "the configuration does not exist, so the API server does not ask podgate; helm upgrade restores it"
        );
    }
}
