//! The webhook configurations of a cluster, in the fields that podgate reads.

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhookConfiguration, RuleWithOperations,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize;

use crate::admission::registration::WEBHOOK_SUFFIX;
use crate::certs::configuration::WebhookKind;
use crate::clusters::Cluster;

/// A configuration of either kind.
#[derive(Deserialize)]
pub(super) struct Configuration {
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub webhooks: Vec<InstalledWebhook>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstalledWebhook {
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
    pub fn ours(&self) -> impl Iterator<Item = &InstalledWebhook> {
        self.webhooks.iter().filter(|webhook| webhook.name.ends_with(WEBHOOK_SUFFIX))
    }
}

/// Lists the configurations of a kind.
pub(super) async fn list(
    cluster: &Cluster,
    kind: WebhookKind,
) -> Result<Vec<Configuration>, kube::Error> {
    let mut found = Vec::new();
    let each = |json: &str| found.push(serde_json::from_str(json));
    match kind {
        WebhookKind::Validating => {
            cluster.list::<ValidatingWebhookConfiguration>(None, None, each).await
        }
        WebhookKind::Mutating => {
            cluster.list::<MutatingWebhookConfiguration>(None, None, each).await
        }
    }?;
    found.into_iter().collect::<Result<_, _>>().map_err(kube::Error::SerdeError)
}
