//! The leader's part of certificate rotation: writes the Secret as [`super::keyring`] decides, where podgate makes its
//! own certificates, and the Secret's CAs into the configurations' `caBundle`. It writes no other field of a
//! configuration, and creates none: a deleted configuration stays deleted.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use time::OffsetDateTime;

use super::configuration::{WebhookKind, has_bundle, write_bundle};
use super::keyring::{CA, Keyring, Lifetimes, RotationStep, text};
use super::objects::{ObjectNames, WatchedObjects};
use crate::client::helm_ownership::ownership;
use crate::client::watch_one::ObjectState;
use crate::leader::claim::{Claim, WriteError};
use crate::metrics::CertificateMetrics;

const FIELD_MANAGER: &str = "podgate";
/// The delay before the next reconcile during a rotation, or after a write that failed.
const SOON: Duration = Duration::from_secs(1);
/// The longest delay between two reconciles: the clock may have been set.
const LATE: Duration = Duration::from_mins(1);
/// How long a deleted Secret stays deleted before it is created again: an uninstall deletes it shortly before it ends
/// podgate. Until then the replicas serve the last certificate.
const DELETED: Duration = Duration::from_secs(3);

/// Who makes the certificates.
#[derive(Clone, Copy, Debug)]
pub enum CertificateSource {
    /// podgate makes them, and writes the Secret.
    SelfSigned(Lifetimes),
    /// The admin fills the Secret.
    Provided,
}

/// The keeper, which runs while this process leads.
pub struct Keeper {
    pub client: Client,
    pub claim: Claim,
    pub names: ObjectNames,
    pub watched: WatchedObjects,
    pub source: CertificateSource,
    pub metrics: CertificateMetrics,
}

/// The in-memory state between two reconciles.
#[derive(Default)]
struct State {
    /// The last keyring that could be used.
    good: Option<Keyring>,
    /// The bundle that all configurations have, and since when.
    trusted: Option<(String, Instant)>,
    /// Since when the Secret does not exist.
    deleted: Option<Instant>,
    /// The last error that was logged; a repeated one is not logged again.
    logged: Option<String>,
    /// Helm's ownership metadata of the Secret, or of the release.
    belongings: ObjectMeta,
}

impl Keeper {
    /// Reconciles the Secret and the configurations until it is dropped.
    pub async fn run(self) {
        let mut state = State::default();
        let mut secret = self.watched.secret.subscribe();
        let mut validating = self.watched.validating.subscribe();
        let mut mutating = self.watched.mutating.subscribe();
        loop {
            secret.mark_unchanged();
            validating.mark_unchanged();
            mutating.mark_unchanged();
            let next = match self.reconcile(&mut state).await {
                Ok(next) => {
                    state.logged = None;
                    next
                }
                Err(error) => {
                    state.log(&error);
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

    /// Reconciles once; the delay after which the next reconcile is due, if no object changes before.
    async fn reconcile(&self, state: &mut State) -> Result<Duration, KeepError> {
        let secret = self.watched.secret.borrow().clone();
        let reconciled = match self.source {
            CertificateSource::SelfSigned(lifetimes) => {
                self.reconcile_secret(&secret, lifetimes, state).await?
            }
            CertificateSource::Provided => {
                SecretOutcome { bundle: provided_bundle(&secret)?, next: LATE }
            }
        };
        if let Some(bundle) = &reconciled.bundle {
            for kind in WebhookKind::ALL {
                self.reconcile_bundle(kind, bundle).await?;
            }
        }
        Ok(reconciled.next)
    }

    /// Brings the Secret to what it should hold.
    async fn reconcile_secret(
        &self,
        seen: &ObjectState<Secret>,
        lifetimes: Lifetimes,
        state: &mut State,
    ) -> Result<SecretOutcome, KeepError> {
        let soon = |bundle| Ok(SecretOutcome { bundle, next: SOON });
        let now = OffsetDateTime::now_utc();
        let secret = match seen {
            ObjectState::Unknown => return soon(None),
            ObjectState::Absent => {
                if state.deleted.get_or_insert_with(Instant::now).elapsed() < DELETED {
                    return soon(state.good.as_ref().map(Keyring::bundle));
                }
                // It was deleted before this process started.
                if state.belongings == ObjectMeta::default()
                    && let ObjectState::Present(known) = &*self.watched.validating.borrow()
                {
                    state.belongings = ownership(&known.metadata);
                }
                None
            }
            ObjectState::Present(secret) => Some(secret),
        };
        state.deleted = state.deleted.filter(|_| secret.is_none());
        if let Some(secret) = secret {
            state.belongings = ownership(&secret.metadata);
        }
        let data = secret.and_then(|it| it.data.clone()).unwrap_or_default();
        let server_name = self.names.server_name();
        let read = Keyring::read(&data, &server_name, now);
        let keyring = match read {
            Ok(keyring) => keyring,
            Err(why) => {
                let usable = |it: &Keyring| Keyring::read(&it.data(), &server_name, now).is_ok();
                let known = state.good.clone().filter(usable);
                let outcome = if known.is_some() { "restored" } else { "made anew" };
                let keyring = match known {
                    Some(keyring) => keyring,
                    None => Keyring::new(&self.names.dns_names(), lifetimes, now)?,
                };
                tracing::info!(secret = self.names.secret, why, "the certificates are {outcome}");
                self.write_secret(secret, &state.belongings, &keyring).await?;
                state.good = Some(keyring.clone());
                return soon(Some(keyring.bundle()));
            }
        };
        state.good = Some(keyring.clone());
        let trusted = self.trusted_for(&keyring.bundle(), state);
        match keyring.step(&self.names.dns_names(), lifetimes, trusted, now)? {
            RotationStep::Write { keyring: next, reason } => {
                tracing::info!(
                    secret = self.names.secret,
                    why = reason,
                    "the certificates are renewed"
                );
                self.write_secret(secret, &state.belongings, &next).await?;
                let bundle = next.bundle();
                state.good = Some(*next);
                soon(Some(bundle))
            }
            RotationStep::AwaitTrust => soon(Some(keyring.bundle())),
            RotationStep::Keep(until) => {
                let next = Duration::try_from(until - now).unwrap_or(SOON).clamp(SOON, LATE);
                Ok(SecretOutcome { bundle: Some(keyring.bundle()), next })
            }
        }
    }

    /// For how long every configuration has had this bundle, as far as this process has watched.
    fn trusted_for(&self, bundle: &str, state: &mut State) -> Option<time::Duration> {
        let published = WebhookKind::ALL.into_iter().all(|kind| {
            let seen = self.watched.configuration(kind).borrow();
            has_bundle(&seen, self.names.webhook_suffix, bundle)
        });
        state.trusted.take_if(|(known, _)| !published || known != bundle);
        if !published {
            return None;
        }
        let (_, since) = state.trusted.get_or_insert_with(|| (bundle.to_owned(), Instant::now()));
        time::Duration::try_from(since.elapsed()).ok()
    }

    /// Writes a configuration's `caBundle` where it differs.
    async fn reconcile_bundle(&self, kind: WebhookKind, bundle: &str) -> Result<(), KeepError> {
        let seen = self.watched.configuration(kind).borrow().clone();
        let suffix = self.names.webhook_suffix;
        let ObjectState::Present(configuration) = &seen else { return Ok(()) };
        if has_bundle(&seen, suffix, bundle) {
            return Ok(());
        }
        let client = self.client.clone();
        match write_bundle(client, &self.claim, kind, configuration, suffix, bundle).await {
            Ok(()) => {
                let name = self.names.configuration(kind);
                tracing::info!(kind = kind.as_str(), name, "caBundle is written");
                self.metrics.repaired();
                Ok(())
            }
            // It was changed or deleted since it was watched: the watch triggers the next reconcile.
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the Secret in the version that was watched. A missing one is created by server-side apply, which RBAC can
    /// grant by resourceName.
    async fn write_secret(
        &self,
        secret: Option<&Secret>,
        belongings: &ObjectMeta,
        keyring: &Keyring,
    ) -> Result<(), KeepError> {
        let name = &self.names.secret;
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            uid: secret.and_then(ResourceExt::uid),
            resource_version: secret.and_then(ResourceExt::resource_version),
            ..belongings.clone()
        };
        let patch = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "data": keyring.data(),
        });
        let api = Api::<Secret>::namespaced(self.client.clone(), &self.names.namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let written = self.claim.write(api.patch(name, &params, &Patch::Apply(&patch))).await;
        let written = written?;
        self.metrics.rotated();
        // This process sees its own write at once; the watch may take a moment.
        self.watched.secret.send_replace(ObjectState::Present(written));
        Ok(())
    }
}

/// The outcome of reconciling the Secret.
struct SecretOutcome {
    /// The `caBundle` for the configurations; `None` while it is unknown.
    bundle: Option<String>,
    /// The delay before the next reconcile.
    next: Duration,
}

impl State {
    /// Logs an error once. A conflict with another writer is not logged.
    fn log(&mut self, error: &KeepError) {
        if matches!(error, KeepError::Write(error) if error.code() == Some(409)) {
            return;
        }
        let why = error.to_string();
        if self.logged.as_ref() != Some(&why) {
            tracing::warn!(why, "the certificates cannot be kept; it is tried again");
            self.logged = Some(why);
        }
    }
}

/// The `caBundle` of a Secret that the admin fills.
fn provided_bundle(seen: &ObjectState<Secret>) -> Result<Option<String>, KeepError> {
    let ObjectState::Present(secret) = seen else { return Ok(None) };
    let data = secret.data.clone().unwrap_or_default();
    let bundle = text(&data, CA).map_err(KeepError::Provided)?;
    let missing =
        || KeepError::Provided(format!("it has no {CA}, by which the API server trusts podgate"));
    bundle.map(Some).ok_or_else(missing)
}

/// Why the Secret or a configuration was not reconciled.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("the Secret cannot be used: {0}")]
    Provided(String),
    #[error(transparent)]
    Write(#[from] WriteError),
}
