//! What a replica does to know that API servers call podgate: it beats, knows the beats of others, and sees whether the
//! webhook configurations are as they were rendered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::MatchCondition;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::Value;
use tokio::sync::watch;

use super::Role;
use super::certificates::Expected;
use crate::admission::alive::Alive;
use crate::admission::handler::Readiness;
use crate::admission::intact;
use crate::admission::registration::{Endpoint, FailurePolicy, MUTATING, Registration, VALIDATING};
use crate::beat::Beat;
use crate::certs::serving::WatchedObjects;
use crate::client::backoff::Doubling;
use crate::client::watch_one::ObjectState;
use crate::clusters::Cluster;
use crate::install::configurations::Kind;
use crate::metrics::BeatMetrics;

/// How often it is counted how many API servers are known.
const COUNT: Duration = Duration::from_secs(5);

/// What the chart renders the webhook configurations by, beside the release's name and namespace.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The Service's port.
    pub service_port: u16,
    /// `webhook.matchConditions`
    pub match_conditions: Vec<MatchCondition>,
}

impl Rendered {
    /// The configurations as the chart has them, as far as they decide what podgate is asked.
    pub(super) fn registration(
        self,
        namespace: String,
        release: String,
        protected_namespaces: Vec<String>,
    ) -> Registration {
        let Self { service_port, match_conditions } = self;
        Registration {
            endpoint: Endpoint::Service {
                namespace: namespace.clone(),
                name: release,
                port: service_port,
            },
            ca_pem: None,
            failure_policy: FailurePolicy::default(),
            protected_namespaces,
            match_conditions,
            lease_namespace: Some(namespace),
            labels: Value::Null,
        }
    }
}

/// A replica's side of the beat.
pub(super) struct Beating {
    pub cluster: Cluster,
    pub namespace: String,
    pub expected: Expected,
    /// The configurations as they are seen.
    pub watched: WatchedObjects,
    pub alive: Arc<Alive>,
    pub readiness: Readiness,
    pub metrics: BeatMetrics,
}

impl Beating {
    /// Works until it is dropped. Who only decides reviews knows the beats of others, and writes none.
    pub async fn run(self, role: Role) {
        let (intact, validating) = watch::channel(Err("they are not known yet".to_owned()));
        let readiness = Arc::clone(&self.readiness);
        let beat = Beat {
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            deployment: self.expected.deployment.clone(),
            key: self.alive.key.clone(),
            intact: validating,
            ready: Arc::new(move || readiness().is_ok()),
            metrics: self.metrics.clone(),
            called: watch::Sender::new(None),
        };
        tokio::join!(
            async {
                if role == Role::Replica {
                    beat.run().await;
                }
            },
            self.follow(),
            self.know_oneself(),
            self.count_callers(),
            self.compare(Kind::Validating, self.expected.rendered.validating(), Some(intact)),
            self.compare(Kind::Mutating, self.expected.rendered.mutating(), None),
        );
    }

    /// Looks at the configurations that podgate registered itself; others are looked at for their certificates already.
    async fn follow(&self) {
        if self.expected.deployment.is_none() {
            let client = &self.cluster.client;
            self.watched.follow_configurations(client, registered_name).await;
        }
    }

    /// Asks the API server who podgate is, until it says so.
    async fn know_oneself(&self) {
        let mut backoff = Doubling::default();
        loop {
            match who(self.cluster.client.clone()).await {
                Ok(user) => {
                    let _ = self.alive.own_user.set(user.into());
                    return;
                }
                Err(error) => tracing::debug!(%error, "cannot ask the API server who podgate is"),
            }
            tokio::time::sleep(backoff.next().unwrap_or(COUNT)).await;
        }
    }

    async fn count_callers(&self) {
        loop {
            self.metrics.knows_callers(self.alive.callers.known(Instant::now()).len());
            tokio::time::sleep(COUNT).await;
        }
    }

    /// Compares a configuration with what was rendered, whenever it changes.
    async fn compare(
        &self,
        kind: Kind,
        rendered: Value,
        intact: Option<watch::Sender<Result<(), String>>>,
    ) {
        let mut seen = self.watched.subscribe(kind);
        let mut told = None;
        loop {
            let same = same(kind, &rendered, &seen.borrow_and_update());
            self.metrics.intact(kind.label(), same.as_ref().map(Result::is_ok));
            let same = same.unwrap_or_else(|| Err(format!("there is no {}", kind.as_str())));
            if let Err(why) = &same
                && told.as_ref() != Some(why)
                && matches!(*seen.borrow(), ObjectState::Present(_))
            {
                tracing::warn!(
                    kind = kind.as_str(),
                    why,
                    "the configuration is not as it was rendered, so podgate may not be asked about everything; helm upgrade restores it"
                );
            }
            told = same.clone().err();
            if let Some(intact) = &intact {
                let _ = intact.send_replace(same);
            }
            if seen.changed().await.is_err() {
                return;
            }
        }
    }
}

/// What `--register` calls the configuration of a kind.
fn registered_name(kind: Kind) -> String {
    match kind {
        Kind::Validating => VALIDATING.to_owned(),
        Kind::Mutating => MUTATING.to_owned(),
    }
}

/// Whether what is seen is what was rendered; `None` where there is none, or it is not known.
fn same(
    kind: Kind,
    rendered: &Value,
    seen: &ObjectState<DynamicObject>,
) -> Option<Result<(), String>> {
    match seen {
        ObjectState::Unknown | ObjectState::Absent => None,
        ObjectState::Present(object) => {
            let compared = intact::compare(rendered, &object.data);
            Some(compared.map_err(|why| format!("{}: {why}", kind.as_str())))
        }
    }
}

/// Who the API server takes this podgate for.
pub(super) async fn who(client: Client) -> Result<String, kube::Error> {
    let api = Api::<SelfSubjectReview>::all(client);
    let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|it| it.user_info).and_then(|it| it.username);
    Ok(user.unwrap_or_default())
}
