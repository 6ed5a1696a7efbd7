//! A workload as the watch decodes it: cut down during decoding to the pod that its controller would make.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

use crate::policy::made_pod::{MAKERS, MadePod, made_pod};
use crate::policy::workload::Kind;

/// A workload of the kind at this place of [`MAKERS`].
#[derive(Clone, Debug)]
pub struct ObservedWorkload<const MAKER: usize> {
    /// Its name, namespace and resource version.
    metadata: ObjectMeta,
    /// `None` if it makes no pod of its own; an error if it cannot be read, so that it does not fail a whole list.
    pub made: Result<Option<MadePod>, String>,
}

impl<const MAKER: usize> ObservedWorkload<MAKER> {
    #[expect(clippy::indexing_slicing, reason = "a place out of bounds does not compile")]
    pub const KIND: Kind = MAKERS[MAKER];

    /// Its namespace and name.
    pub(super) fn key(&self) -> (&str, &str) {
        let ObjectMeta { namespace, name, .. } = &self.metadata;
        (namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default())
    }
}

impl<const MAKER: usize> Resource for ObservedWorkload<MAKER> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Self::KIND.names().kind.into()
    }
    fn group((): &()) -> Cow<'_, str> {
        Self::KIND.names().group.into()
    }
    fn version((): &()) -> Cow<'_, str> {
        Self::KIND.names().version.into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        Self::KIND.names().resource.into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de, const MAKER: usize> Deserialize<'de> for ObservedWorkload<MAKER> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Head {
            metadata: Names,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Names {
            name: Option<String>,
            namespace: Option<String>,
            resource_version: Option<String>,
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let Names { name, namespace, resource_version } =
            serde_json::from_str::<Head>(raw).map_err(D::Error::custom)?.metadata;
        let metadata = ObjectMeta { name, namespace, resource_version, ..ObjectMeta::default() };
        let made = made_pod(Self::KIND, raw).map_err(|error| error.to_string());
        Ok(Self { metadata, made })
    }
}
