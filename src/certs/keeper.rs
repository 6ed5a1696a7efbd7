//! What the leader does for certificates: it keeps the Secret as [`super::keyring`] says, where podgate makes its
//! certificates itself, and the configurations' `caBundle` as the Secret says. Nothing else of a configuration is
//! written, and none is ever made: one that is deleted stays deleted.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use time::OffsetDateTime;

use super::configuration::{Kind, fill, names};
use super::keyring::{CA, Keyring, Lifetimes, Step, text};
use super::serving::{Objects, WatchedObjects};
use crate::client::helm_ownership::ownership;
use crate::client::watch_one::ObjectState;
use crate::leader::claim::{Claim, WriteError};
use crate::metrics::CertificateMetrics;

const FIELD_MANAGER: &str = "podgate";
/// How soon it is looked again where something is under way, or a write failed.
const SOON: Duration = Duration::from_secs(1);
/// The longest time between two looks, whatever the clock said at the last.
const LATE: Duration = Duration::from_mins(1);
/// How long a Secret stays deleted before it is made anew: in an uninstall podgate ends soon after it. It goes on serving by
/// what it had.
const DELETED: Duration = Duration::from_secs(3);

/// Whose certificates they are.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// podgate's own: the Secret is its to write.
    SelfSigned(Lifetimes),
    /// Somebody else fills the Secret.
    Provided,
}

/// The keeper, for as long as this podgate leads.
pub struct Keeper {
    pub client: Client,
    pub claim: Claim,
    pub objects: Objects,
    pub watched: WatchedObjects,
    pub source: Source,
    pub metrics: CertificateMetrics,
}

/// What it remembers from one look to the next.
#[derive(Default)]
struct Memory {
    /// The last keyring that was good.
    good: Option<Keyring>,
    /// Whom all configurations name, and since when.
    trusted: Option<(String, Instant)>,
    /// Since when the Secret does not exist.
    deleted: Option<Instant>,
    /// What was said last: each thing once.
    reported: Option<String>,
    /// To which release the Secret belongs.
    belongings: ObjectMeta,
}

impl Keeper {
    /// Keeps them until it is dropped.
    pub async fn run(self) {
        let mut memory = Memory::default();
        let mut secret = self.watched.secret.subscribe();
        let mut validating = self.watched.validating.subscribe();
        let mut mutating = self.watched.mutating.subscribe();
        loop {
            secret.mark_unchanged();
            validating.mark_unchanged();
            mutating.mark_unchanged();
            let next = match self.look(&mut memory).await {
                Ok(next) => {
                    memory.reported = None;
                    next
                }
                Err(error) => {
                    memory.report(&error);
                    tokio::time::sleep(SOON).await;
                    SOON
                }
            };
            tokio::select! {
                _ = secret.changed() => {}
                _ = validating.changed() => {}
                _ = mutating.changed() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// Does what is to be done now; says how long there is nothing else to do, if nothing happens.
    async fn look(&self, memory: &mut Memory) -> Result<Duration, KeepError> {
        let secret = self.watched.secret.borrow().clone();
        let kept = match self.source {
            Source::SelfSigned(lifetimes) => self.keep(&secret, lifetimes, memory).await?,
            Source::Provided => Kept { bundle: provided(&secret)?, next: LATE },
        };
        if let Some(bundle) = &kept.bundle {
            for kind in Kind::ALL {
                self.trust(kind, bundle).await?;
            }
        }
        Ok(kept.next)
    }

    /// Brings the Secret to what it should hold.
    async fn keep(
        &self,
        seen: &ObjectState<Secret>,
        lifetimes: Lifetimes,
        memory: &mut Memory,
    ) -> Result<Kept, KeepError> {
        let soon = |bundle| Ok(Kept { bundle, next: SOON });
        let now = OffsetDateTime::now_utc();
        let secret = match seen {
            ObjectState::Unknown => return soon(None),
            ObjectState::Absent => {
                if memory.deleted.get_or_insert_with(Instant::now).elapsed() < DELETED {
                    return soon(memory.good.as_ref().map(Keyring::bundle));
                }
                None
            }
            ObjectState::Present(secret) => Some(secret),
        };
        memory.deleted = memory.deleted.filter(|_| secret.is_none());
        if let Some(secret) = secret {
            memory.belongings = ownership(&secret.metadata);
        }
        let data = secret.and_then(|it| it.data.clone()).unwrap_or_default();
        let server_name = self.objects.server_name();
        let read = Keyring::read(&data, &server_name, now);
        let keyring = match read {
            Ok(keyring) => keyring,
            Err(why) => {
                let usable = |it: &Keyring| Keyring::read(&it.data(), &server_name, now).is_ok();
                let known = memory.good.clone().filter(usable);
                let what = if known.is_some() { "restored" } else { "made anew" };
                let keyring = match known {
                    Some(keyring) => keyring,
                    None => Keyring::new(&self.objects.names(), lifetimes, now)?,
                };
                tracing::info!(secret = self.objects.secret, why, "the certificates are {what}");
                self.write(secret, &memory.belongings, &keyring).await?;
                memory.good = Some(keyring.clone());
                return soon(Some(keyring.bundle()));
            }
        };
        memory.good = Some(keyring.clone());
        let trusted = self.trusted_for(&keyring.bundle(), memory);
        let step = keyring.step(&self.objects.names(), lifetimes, trusted, now)?;
        match step {
            Step::Write(next, why) => {
                tracing::info!(secret = self.objects.secret, why, "the certificates are renewed");
                self.write(secret, &memory.belongings, &next).await?;
                let bundle = next.bundle();
                memory.good = Some(*next);
                soon(Some(bundle))
            }
            Step::Publish => soon(Some(keyring.bundle())),
            Step::Keep(until) => {
                let next = Duration::try_from(until - now).unwrap_or(SOON).clamp(SOON, LATE);
                Ok(Kept { bundle: Some(keyring.bundle()), next })
            }
        }
    }

    /// For how long every configuration has named this bundle, as far as this podgate has looked on.
    fn trusted_for(&self, bundle: &str, memory: &mut Memory) -> Option<time::Duration> {
        let named = Kind::ALL.into_iter().all(|kind| {
            let seen = self.watched.configuration(kind).borrow();
            names(&seen, self.objects.webhook_suffix, bundle)
        });
        memory.trusted.take_if(|(known, _)| !named || known != bundle);
        if !named {
            return None;
        }
        let (_, since) = memory.trusted.get_or_insert_with(|| (bundle.to_owned(), Instant::now()));
        time::Duration::try_from(since.elapsed()).ok()
    }

    /// Fills a configuration's `caBundle` where it is another.
    async fn trust(&self, kind: Kind, bundle: &str) -> Result<(), KeepError> {
        let seen = self.watched.configuration(kind).borrow().clone();
        let suffix = self.objects.webhook_suffix;
        let ObjectState::Present(configuration) = &seen else { return Ok(()) };
        if names(&seen, suffix, bundle) {
            return Ok(());
        }
        let client = self.client.clone();
        match fill(client, &self.claim, kind, configuration, suffix, bundle).await {
            Ok(()) => {
                let name = self.objects.configuration(kind);
                tracing::info!(kind = kind.as_str(), name, "caBundle is written");
                self.metrics.repaired();
                Ok(())
            }
            // It was changed, or deleted, meanwhile: what is seen next decides.
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the Secret, of the version that was seen. One that does not exist is made by its name, so that no right to
    /// make others is needed.
    async fn write(
        &self,
        secret: Option<&Secret>,
        belongings: &ObjectMeta,
        keyring: &Keyring,
    ) -> Result<(), KeepError> {
        let name = &self.objects.secret;
        let patch = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "uid": secret.and_then(ResourceExt::uid),
                "resourceVersion": secret.and_then(ResourceExt::resource_version),
                "labels": belongings.labels,
                "annotations": belongings.annotations,
            },
            "data": keyring.data(),
        });
        let api = Api::<Secret>::namespaced(self.client.clone(), &self.objects.namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let written = self.claim.write(api.patch(name, &params, &Patch::Apply(&patch))).await;
        let written = written?;
        self.metrics.rotated();
        // What was written is seen at once: the watch may take a moment.
        self.watched.secret.send_replace(ObjectState::Present(written));
        Ok(())
    }
}

/// What a look at the Secret came to.
struct Kept {
    /// Whom API servers are to trust, if that is known.
    bundle: Option<String>,
    /// When to look again.
    next: Duration,
}

impl Memory {
    /// Logs an error once. A conflict with another writer is not logged.
    fn report(&mut self, error: &KeepError) {
        if matches!(error, KeepError::Write(error) if error.code() == Some(409)) {
            return;
        }
        let why = error.to_string();
        if self.reported.as_ref() != Some(&why) {
            tracing::warn!(why, "the certificates cannot be kept; it is tried again");
            self.reported = Some(why);
        }
    }
}

/// The bundle of a Secret that somebody else fills.
fn provided(seen: &ObjectState<Secret>) -> Result<Option<String>, KeepError> {
    let ObjectState::Present(secret) = seen else { return Ok(None) };
    let data = secret.data.clone().unwrap_or_default();
    let bundle = text(&data, CA).map_err(KeepError::Provided)?;
    let missing =
        || KeepError::Provided(format!("it has no {CA}, by which API servers would trust podgate"));
    bundle.map(Some).ok_or_else(missing)
}

/// Why they are not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("the Secret cannot be used: {0}")]
    Provided(String),
    #[error(transparent)]
    Write(#[from] WriteError),
}
