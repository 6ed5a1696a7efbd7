//! The webhook configurations of a cluster, in the fields that podgate reads.

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhookConfiguration, RuleWithOperations,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Deserialize;

use crate::admission::registration::{VALIDATE_WEBHOOK, WEBHOOK_SUFFIX};
use crate::certs::configuration::WebhookKind;
use crate::clusters::Cluster;
use crate::policy::protected::Protected;
use crate::policy::scope::NAME_LABEL;

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

/// The protected namespaces: those of the cluster itself, and those that the webhook leaves out by name, which are podgate's
/// own and the chart's `protectedNamespaces`. Of several webhooks, those that each leaves out.
///
/// # Errors
/// The configurations cannot be read.
pub(crate) async fn protected(cluster: &Cluster) -> Result<Protected, kube::Error> {
    let configurations = list(cluster, WebhookKind::Validating).await?;
    let webhooks = configurations.iter().flat_map(Configuration::ours);
    let mut left_out = webhooks
        .filter(|webhook| webhook.name == VALIDATE_WEBHOOK)
        .map(|webhook| left_out(webhook.namespace_selector.as_ref()));
    let first = left_out.next().unwrap_or_default();
    Ok(Protected::with(
        left_out
            .fold(first, |all, these| all.into_iter().filter(|it| these.contains(it)).collect()),
    ))
}

/// The names of the namespaces that a selector leaves out by name.
fn left_out(selector: Option<&LabelSelector>) -> Vec<String> {
    let expressions = selector.and_then(|it| it.match_expressions.as_ref()).into_iter().flatten();
    let by_name = expressions.filter(|it| it.key == NAME_LABEL && it.operator == "NotIn");
    by_name.flat_map(|it| it.values.iter().flatten().cloned()).collect()
}
