//! A workload as the watch decodes it: cut down during decoding to what decides about the pods that it makes.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, NamespaceResourceScope};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::value::RawValue;

use crate::policy::made_pod::{MadePod, Workload};
use crate::policy::workload::Kind;

/// A workload of a kind that the watch knows. With `OWNABLE` it is dropped while it is decoded if something controls
/// it, as most `ReplicaSets` and many Jobs are.
#[derive(Clone, Debug)]
pub struct ObservedWorkload<const OWNABLE: bool> {
    /// Its name, namespace and resource version.
    metadata: ObjectMeta,
    /// An error if it cannot be read, so that it does not fail a whole list.
    workload: Result<Workload, String>,
}

impl<const OWNABLE: bool> ObservedWorkload<OWNABLE> {
    /// Its namespace and name.
    pub(super) fn key(&self) -> (String, String) {
        let ObjectMeta { namespace, name, .. } = &self.metadata;
        (namespace.clone().unwrap_or_default(), name.clone().unwrap_or_default())
    }

    /// The pod that a workload of this kind makes; `None` if it makes no pod of its own.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn made(self, kind: Kind) -> Result<Option<MadePod>, String> {
        self.workload?.made_pod(kind).map_err(|error| error.to_string())
    }
}

impl<const OWNABLE: bool> Resource for ObservedWorkload<OWNABLE> {
    type DynamicType = ApiResource;
    type Scope = NamespaceResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        (&*resource.kind).into()
    }
    fn group(resource: &ApiResource) -> Cow<'_, str> {
        (&*resource.group).into()
    }
    fn version(resource: &ApiResource) -> Cow<'_, str> {
        (&*resource.version).into()
    }
    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        (&*resource.plural).into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de, const OWNABLE: bool> Deserialize<'de> for ObservedWorkload<OWNABLE> {
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
        let mut workload = Workload::from_json(raw).map_err(|error| error.to_string());
        if let Ok(workload) = &mut workload
            && OWNABLE
            && workload.is_controlled()
        {
            workload.drop_template();
        }
        Ok(Self { metadata, workload })
    }
}
