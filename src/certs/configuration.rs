//! The `caBundle` of the webhook configurations: which CAs each webhook trusts, and the one field that podgate writes.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::client::watch_one::ObjectState;
use crate::leader::claim::{Claim, WriteError};

/// The field manager that owns `caBundle`, and nothing else.
const FIELD_MANAGER: &str = "podgate-ca-bundle";

/// The kind of a webhook configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WebhookKind {
    Validating,
    Mutating,
}

impl WebhookKind {
    pub const ALL: [Self; 2] = [Self::Validating, Self::Mutating];

    /// The manifest's `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "ValidatingWebhookConfiguration",
            Self::Mutating => "MutatingWebhookConfiguration",
        }
    }

    /// The metric label, and the suffix of the configuration's name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::Mutating => "mutating",
        }
    }

    fn resource(self) -> ApiResource {
        match self {
            Self::Validating => ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            Self::Mutating => ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        }
    }

    pub(super) fn api(self, client: Client) -> Api<DynamicObject> {
        Api::all_with(client, &self.resource())
    }
}

/// The name and `caBundle` of each webhook of a configuration whose name has this suffix.
fn webhooks<'a>(
    configuration: &'a DynamicObject,
    suffix: &'a str,
) -> impl Iterator<Item = (&'a str, Option<ByteString>)> {
    let webhooks = configuration.data.get("webhooks").and_then(Value::as_array);
    webhooks.into_iter().flatten().filter_map(move |webhook| {
        let name = webhook.get("name")?.as_str().filter(|name| name.ends_with(suffix))?;
        let bundle = webhook.get("clientConfig").and_then(|it| it.get("caBundle"));
        let bundle = bundle.and_then(|it| serde_json::from_value(it.clone()).ok());
        Some((name, bundle))
    })
}

/// The `caBundle` of each webhook; empty where a webhook has none.
pub(super) fn bundles(configuration: &DynamicObject, suffix: &str) -> Vec<String> {
    let text = |bundle: Option<ByteString>| {
        String::from_utf8(bundle.unwrap_or_default().0).unwrap_or_default()
    };
    webhooks(configuration, suffix).map(|(_, bundle)| text(bundle)).collect()
}

/// Whether every webhook has this `caBundle`. A configuration that does not exist has no webhook to trust it.
pub(super) fn has_bundle(seen: &ObjectState<DynamicObject>, suffix: &str, bundle: &str) -> bool {
    match seen {
        ObjectState::Unknown => false,
        ObjectState::Absent => true,
        ObjectState::Present(object) => bundles(object, suffix).iter().all(|it| it == bundle),
    }
}

/// Writes `caBundle` into the webhooks of a configuration. The patch carries uid and resourceVersion, so it neither
/// changes a newer version nor creates a configuration.
pub(super) async fn write_bundle(
    client: Client,
    claim: &Claim,
    kind: WebhookKind,
    configuration: &DynamicObject,
    suffix: &str,
    bundle: &str,
) -> Result<(), WriteError> {
    let bundle = ByteString(bundle.as_bytes().to_vec());
    let webhooks: Vec<_> = webhooks(configuration, suffix)
        .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    let name = configuration.name_any();
    let patch = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind.as_str(),
        "metadata": {
            "name": name,
            "uid": configuration.uid(),
            "resourceVersion": configuration.resource_version(),
        },
        "webhooks": webhooks,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    claim.write(kind.api(client).patch(&name, &params, &Patch::Apply(&patch))).await.map(|_| ())
}
