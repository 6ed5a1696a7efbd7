//! The webhook configurations as far as certificates go: whom their webhooks trust, and the one field that podgate writes.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::client::watch_one::ObjectState;
use crate::leader::claim::{Claim, WriteError};

/// Owns `caBundle`, and nothing else.
const FIELD_MANAGER: &str = "podgate-ca-bundle";

/// The two kinds of configurations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Validating,
    Mutating,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Validating, Self::Mutating];

    /// As it stands in a manifest's `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "ValidatingWebhookConfiguration",
            Self::Mutating => "MutatingWebhookConfiguration",
        }
    }

    /// As metrics name it, and how the names of configurations end.
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

/// The webhooks of a configuration whose name ends so: their names, and whom each trusts.
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

/// The bundles in force, by webhook; an empty one where there is none.
pub(super) fn bundles(configuration: &DynamicObject, suffix: &str) -> Vec<String> {
    let text = |bundle: Option<ByteString>| {
        String::from_utf8(bundle.unwrap_or_default().0).unwrap_or_default()
    };
    webhooks(configuration, suffix).map(|(_, bundle)| text(bundle)).collect()
}

/// Whether every webhook trusts this bundle. Where there is no configuration, nobody calls who would have to.
pub(super) fn names(seen: &ObjectState<DynamicObject>, suffix: &str, bundle: &str) -> bool {
    match seen {
        ObjectState::Unknown => false,
        ObjectState::Absent => true,
        ObjectState::Present(object) => bundles(object, suffix).iter().all(|it| it == bundle),
    }
}

/// Writes `caBundle` into the webhooks of a configuration, of the version that was seen: if it was changed or deleted
/// meanwhile, nothing is written, and nothing is ever made.
pub(super) async fn fill(
    client: Client,
    claim: &Claim,
    kind: Kind,
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
