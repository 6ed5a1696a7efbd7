//! The webhook configurations of a cluster, as far as podgate reads them.

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhookConfiguration, RuleWithOperations,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize;

use crate::admission::registration::WEBHOOK_SUFFIX;
pub use crate::certs::configuration::Kind;
use crate::clusters::Cluster;

/// A configuration of either kind.
#[derive(Deserialize)]
pub struct Configuration {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub webhooks: Vec<Webhook>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    pub name: String,
    pub client_config: WebhookClientConfig,
    #[serde(default)]
    pub rules: Vec<RuleWithOperations>,
    pub failure_policy: Option<String>,
    pub match_policy: Option<String>,
    pub timeout_seconds: Option<i32>,
    pub namespace_selector: Option<LabelSelector>,
    pub object_selector: Option<LabelSelector>,
    #[serde(default)]
    pub match_conditions: Vec<MatchCondition>,
}

impl Configuration {
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The webhooks that call podgate.
    pub fn ours(&self) -> impl Iterator<Item = &Webhook> {
        self.webhooks.iter().filter(|webhook| webhook.name.ends_with(WEBHOOK_SUFFIX))
    }
}

/// Every configuration of a kind.
pub async fn list(cluster: &Cluster, kind: Kind) -> Result<Vec<Configuration>, kube::Error> {
    let mut found = Vec::new();
    let each = |json: &str| found.push(serde_json::from_str(json));
    match kind {
        Kind::Validating => cluster.list::<ValidatingWebhookConfiguration>(None, None, each).await,
        Kind::Mutating => cluster.list::<MutatingWebhookConfiguration>(None, None, each).await,
    }?;
    found.into_iter().collect::<Result<_, _>>().map_err(kube::Error::SerdeError)
}
