//! Availability: how a replica knows that the API servers call podgate. It sends beats, counts the callers whose nonces
//! it has verified, and compares the webhook configurations with what was rendered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::DynamicObject;
use serde_json::Value;
use tokio::sync::watch;

use super::expected::ExpectedConfigurations;
use super::options::Role;
use super::own_user::own_user;
use crate::admission::alive::Alive;
use crate::admission::handler::Readiness;
use crate::admission::intact;
use crate::admission::registration::{MUTATING, VALIDATING};
use crate::beat::{Beat, FloorBeat};
use crate::certs::configuration::WebhookKind;
use crate::certs::objects::WatchedObjects;
use crate::client::backoff::Doubling;
use crate::client::watch_one::ObjectState;
use crate::clusters::Cluster;
use crate::metrics::BeatMetrics;
use crate::policy::called::Called;

/// How often the metric of known callers is updated.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

pub(super) struct Availability {
    pub cluster: Cluster,
    /// The namespace of the Lease `podgate-alive`.
    pub namespace: String,
    pub expected: ExpectedConfigurations,
    pub watched: WatchedObjects,
    pub alive: Arc<Alive>,
    pub readiness: Readiness,
    pub metrics: BeatMetrics,
}

impl Availability {
    /// Runs until it is dropped. With [`Role::Webhook`] it verifies the beats of others, and sends none. `called` takes
    /// the beat's verdict, for the leader.
    pub async fn run(self, role: Role, called: watch::Sender<Called>, floor: Option<FloorBeat>) {
        let (intact, validating) = watch::channel(Err("they are not known yet".to_owned()));
        let beat = Beat {
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            deployment: self.expected.deployment.clone(),
            key: self.alive.key.clone(),
            api_time: self.alive.api_time.clone(),
            intact: validating,
            ready: Arc::clone(&self.readiness),
            metrics: self.metrics.clone(),
            called,
            floor,
        };
        tokio::join!(
            async {
                match role {
                    Role::Replica => beat.run().await,
                    Role::Webhook => beat.listen().await,
                }
            },
            self.watch_own_configurations(),
            self.learn_own_user(),
            self.count_callers(),
            self.compare(
                WebhookKind::Validating,
                self.expected.rendered.validating(),
                Some(intact)
            ),
            self.compare(WebhookKind::Mutating, self.expected.rendered.mutating(), None),
        );
    }

    /// Watches the configurations that podgate registered itself; `certs::serving` watches those of the chart.
    async fn watch_own_configurations(&self) {
        if self.expected.deployment.is_none() {
            let client = &self.cluster.client;
            self.watched.follow_configurations(client, registered_name).await;
        }
    }

    /// Asks the API server for podgate's user name until it answers.
    async fn learn_own_user(&self) {
        let mut backoff = Doubling::default();
        loop {
            match own_user(self.cluster.client.clone()).await {
                Ok(user) => {
                    let _ = self.alive.own_user.set(user);
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot ask the API server for podgate's user name");
                }
            }
            tokio::time::sleep(backoff.next().unwrap_or(COUNT_INTERVAL)).await;
        }
    }

    async fn count_callers(&self) {
        loop {
            self.metrics.known_callers(self.alive.callers.known(Instant::now()).len());
            tokio::time::sleep(COUNT_INTERVAL).await;
        }
    }

    /// Compares a configuration with the rendered one whenever it changes, and publishes the result to `intact`.
    async fn compare(
        &self,
        kind: WebhookKind,
        rendered: Value,
        intact: Option<watch::Sender<Result<(), String>>>,
    ) {
        let mut seen = self.watched.subscribe(kind);
        let mut logged = None;
        loop {
            let comparison = Comparison::of(kind, &rendered, &seen.borrow_and_update());
            let fault = match comparison {
                Comparison::Intact => {
                    self.metrics.configuration_intact(kind.label());
                    None
                }
                Comparison::Absent => {
                    self.metrics.configuration_absent(kind.label());
                    Some(format!("there is no {}", kind.as_str()))
                }
                Comparison::Changed(why) => {
                    self.metrics.configuration_changed(kind.label());
                    if logged.as_ref() != Some(&why) {
                        tracing::warn!(
                            kind = kind.as_str(),
                            why,
                            "the configuration is not as it was rendered, so podgate may not be asked about everything; helm upgrade restores it"
                        );
                    }
                    Some(why)
                }
            };
            logged.clone_from(&fault);
            if let Some(intact) = &intact {
                let _ = intact.send_replace(fault.map_or(Ok(()), Err));
            }
            if seen.changed().await.is_err() {
                return;
            }
        }
    }
}

/// The name of the configuration that `--register` writes.
fn registered_name(kind: WebhookKind) -> String {
    match kind {
        WebhookKind::Validating => VALIDATING.to_owned(),
        WebhookKind::Mutating => MUTATING.to_owned(),
    }
}

/// A configuration compared with the rendered one.
enum Comparison {
    Intact,
    /// It does not exist, or is not known yet.
    Absent,
    /// What was changed, as a sentence.
    Changed(String),
}

impl Comparison {
    fn of(kind: WebhookKind, rendered: &Value, seen: &ObjectState<DynamicObject>) -> Self {
        let ObjectState::Present(object) = seen else { return Self::Absent };
        match intact::compare(rendered, &object.data) {
            Ok(()) => Self::Intact,
            Err(why) => Self::Changed(format!("{}: {why}", kind.as_str())),
        }
    }
}
