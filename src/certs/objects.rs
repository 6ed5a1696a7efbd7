//! The cluster objects that hold and use certificates: the Secret, the Service, and the webhook configurations.

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DynamicObject};
use tokio::sync::watch;

use super::configuration::WebhookKind;
use crate::client::watch_one::{ObjectState, follow};

/// The names of the objects.
#[derive(Clone, Debug)]
pub struct ObjectNames {
    /// The namespace of the Secret and of the Service.
    pub namespace: String,
    pub secret: String,
    pub service: String,
    /// The suffix of the names of podgate's own webhooks.
    pub webhook_suffix: &'static str,
}

impl ObjectNames {
    /// The name of the configuration of a kind.
    pub(super) fn configuration(&self, kind: WebhookKind) -> String {
        format!("{}-{}", self.service, kind.label())
    }

    /// The DNS name by which the API server calls the Service.
    pub(super) fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    /// The DNS names in the serving certificate.
    pub(super) fn dns_names(&self) -> Vec<String> {
        let name = self.server_name();
        vec![format!("{name}.cluster.local"), name]
    }
}

/// The Secret and the webhook configurations as they were last watched. Clones share them.
#[derive(Clone, Default)]
pub struct WatchedObjects {
    pub(super) secret: watch::Sender<ObjectState<Secret>>,
    pub(super) validating: watch::Sender<ObjectState<DynamicObject>>,
    pub(super) mutating: watch::Sender<ObjectState<DynamicObject>>,
}

impl WatchedObjects {
    pub(super) fn configuration(
        &self,
        kind: WebhookKind,
    ) -> &watch::Sender<ObjectState<DynamicObject>> {
        match kind {
            WebhookKind::Validating => &self.validating,
            WebhookKind::Mutating => &self.mutating,
        }
    }

    /// Subscribes to the changes of a configuration.
    pub fn subscribe(&self, kind: WebhookKind) -> watch::Receiver<ObjectState<DynamicObject>> {
        self.configuration(kind).subscribe()
    }

    /// Watches the configurations of these names, until it is dropped.
    pub async fn follow_configurations(
        &self,
        client: &Client,
        name: impl Fn(WebhookKind) -> String,
    ) {
        let configuration = |kind: WebhookKind| {
            let (api, seen) = (kind.api(client.clone()), self.configuration(kind).clone());
            let name = name(kind);
            async move { follow(api, &name, seen).await }
        };
        tokio::join!(configuration(WebhookKind::Validating), configuration(WebhookKind::Mutating));
    }

    /// Watches the Secret and the configurations, until it is dropped.
    pub(super) async fn follow(&self, client: &Client, names: &ObjectNames) {
        let secrets = Api::namespaced(client.clone(), &names.namespace);
        tokio::join!(
            follow(secrets, &names.secret, self.secret.clone()),
            self.follow_configurations(client, |kind| names.configuration(kind)),
        );
    }
}
