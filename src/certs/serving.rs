//! What every replica does in a cluster: it serves the certificate of the Secret, reloads it on change, and checks
//! whether the API server trusts that.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DynamicObject};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::configuration::{Kind, bundles};
use super::keyring::{LEAF, LEAF_KEY, text};
use super::trust::{self, Validity};
use super::{Resolver, certified};
use crate::client::watch_one::{ObjectState, follow};
use crate::metrics::CertificateMetrics;
use crate::nonce;

/// Which objects certificates are about.
#[derive(Clone, Debug)]
pub struct Objects {
    /// Of the Secret and of the Service.
    pub namespace: String,
    pub secret: String,
    pub service: String,
    /// How the names of podgate's own webhooks end.
    pub webhook_suffix: &'static str,
}

impl Objects {
    /// The configuration of a kind.
    pub fn configuration(&self, kind: Kind) -> String {
        format!("{}-{}", self.service, kind.label())
    }

    /// The name by which the API server calls the Service.
    pub(super) fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    /// The names in a certificate.
    pub(super) fn names(&self) -> Vec<String> {
        let name = self.server_name();
        vec![format!("{name}.cluster.local"), name]
    }
}

/// The Secret and the webhook configurations as they were last watched, shared by every part that reads them.
#[derive(Clone, Default)]
pub struct WatchedObjects {
    pub(super) secret: watch::Sender<ObjectState<Secret>>,
    pub(super) validating: watch::Sender<ObjectState<DynamicObject>>,
    pub(super) mutating: watch::Sender<ObjectState<DynamicObject>>,
}

impl WatchedObjects {
    pub(super) fn configuration(&self, kind: Kind) -> &watch::Sender<ObjectState<DynamicObject>> {
        match kind {
            Kind::Validating => &self.validating,
            Kind::Mutating => &self.mutating,
        }
    }

    /// Follows the changes of a configuration.
    pub fn subscribe(&self, kind: Kind) -> watch::Receiver<ObjectState<DynamicObject>> {
        self.configuration(kind).subscribe()
    }

    /// Follows the configurations of this name, until it is dropped.
    pub async fn follow_configurations(&self, client: &Client, name: impl Fn(Kind) -> String) {
        let configuration = |kind: Kind| {
            let (api, seen) = (kind.api(client.clone()), self.configuration(kind).clone());
            let name = name(kind);
            async move { follow(api, &name, seen).await }
        };
        tokio::join!(configuration(Kind::Validating), configuration(Kind::Mutating));
    }

    /// Watches the objects until it is dropped.
    async fn follow(&self, client: &Client, objects: &Objects) {
        let secrets = Api::namespaced(client.clone(), &objects.namespace);
        tokio::join!(
            follow(secrets, &objects.secret, self.secret.clone()),
            self.follow_configurations(client, |kind| objects.configuration(kind)),
        );
    }
}

/// Whether the API server can call this replica: `Err` says why not.
pub type Trusted = Result<(), String>;

/// A replica's side of certificates.
pub struct Serving {
    pub objects: Objects,
    pub watched: WatchedObjects,
    pub resolver: Resolver,
    /// By which beats are signed.
    pub key: nonce::Shared,
    pub metrics: CertificateMetrics,
    pub trusted: watch::Sender<Trusted>,
}

impl Serving {
    /// Serves the Secret's certificate and reloads it on change, until it is dropped.
    pub async fn run(self, client: Client) {
        tokio::join!(self.watched.follow(&client, &self.objects), self.take_over());
    }

    async fn take_over(&self) {
        let mut secret = self.watched.secret.subscribe();
        let mut validating = self.watched.validating.subscribe();
        let mut mutating = self.watched.mutating.subscribe();
        let mut served = None;
        // What cannot be served, and what is missing, is told once.
        let (mut reported, mut absent) = (None, [false; 2]);
        loop {
            if let ObjectState::Present(secret) = &*secret.borrow_and_update() {
                let data = secret.data.clone().unwrap_or_default();
                match self.show(&data, served.as_deref()) {
                    Ok(leaf) => (served, reported) = (Some(leaf), None),
                    Err(why) if reported.as_ref() != Some(&why) => {
                        let (secret, old) = (&self.objects.secret, served.is_some());
                        tracing::warn!(
                            secret,
                            why,
                            serves_an_older_one = old,
                            "the certificate cannot be served"
                        );
                        reported = Some(why);
                    }
                    Err(_) => {}
                }
            }
            let seen = [&mut validating, &mut mutating];
            let mut trust = Ok(());
            for ((kind, seen), absent) in Kind::ALL.into_iter().zip(seen).zip(&mut absent) {
                let seen = seen.borrow_and_update();
                let is_absent = matches!(*seen, ObjectState::Absent);
                if is_absent && !std::mem::replace(absent, is_absent) {
                    self.warn_absent(kind);
                }
                *absent = is_absent;
                trust = trust.and(self.look(kind, &seen, served.as_deref()));
            }
            self.trusted.send_if_modified(|known| {
                let news = *known != trust;
                *known = trust;
                news
            });
            tokio::select! {
                _ = secret.changed() => {}
                _ = validating.changed() => {}
                _ = mutating.changed() => {}
            }
        }
    }

    /// Shows the Secret's certificate; gives its chain.
    fn show(
        &self,
        data: &BTreeMap<String, ByteString>,
        served: Option<&str>,
    ) -> Result<String, String> {
        let required = |key| text(data, key)?.ok_or_else(|| format!("it has no {key} yet"));
        let (leaf, key) = (required(LEAF)?, required(LEAF_KEY)?);
        if served == Some(&leaf) {
            return Ok(leaf);
        }
        let (certified, private_key) =
            (certified(&leaf, &key).map_err(|error| error.to_string())?, key);
        let Validity { begin, end } =
            Validity::of(&leaf).ok_or_else(|| format!("{LEAF} is no certificate"))?;
        if end <= OffsetDateTime::now_utc() {
            return Err(format!("{LEAF} expired on {end}"));
        }
        self.resolver.show(certified);
        self.key.serves_by(&private_key);
        self.metrics.serves(begin.unix_timestamp(), end.unix_timestamp());
        tracing::info!(until = %end, "serving by another certificate");
        Ok(leaf)
    }

    /// Whether the webhooks of a configuration trust what is served.
    fn look(&self, kind: Kind, seen: &ObjectState<DynamicObject>, served: Option<&str>) -> Trusted {
        let configuration = match seen {
            ObjectState::Unknown => return Err(format!("the {} is not known yet", kind.as_str())),
            ObjectState::Absent => {
                self.metrics.configuration(kind.label(), None);
                // Nobody calls who would have to trust.
                return Ok(());
            }
            ObjectState::Present(configuration) => configuration,
        };
        let served = served.ok_or_else(|| "there is no certificate yet".to_owned());
        let server_name = self.objects.server_name();
        let trust = served.and_then(|leaf| {
            let now = OffsetDateTime::now_utc();
            let bundles = bundles(configuration, self.objects.webhook_suffix);
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
        self.metrics.configuration(kind.label(), Some(trust.is_ok()));
        trust
    }

    fn warn_absent(&self, kind: Kind) {
        let (kind, name) = (kind.as_str(), self.objects.configuration(kind));
        tracing::warn!(
            kind,
            name,
            "the configuration does not exist, so the API server does not ask podgate; helm upgrade restores it"
        );
    }
}
