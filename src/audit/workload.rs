//! A workload as the watch decodes it: cut down during decoding to what decides about the pods that it makes.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, NamespaceResourceScope};
use serde::Deserialize;
use serde::de::Deserializer;

use crate::policy::made_pod::{MadePod, Workload};
use crate::policy::workload::Kind;

/// A workload of a kind that the watch knows.
#[derive(Clone, Debug)]
pub struct ObservedWorkload {
    /// Its name, namespace and resource version.
    metadata: ObjectMeta,
    workload: Workload,
}

impl ObservedWorkload {
    /// Its namespace and name.
    pub(super) fn key(&self) -> (String, String) {
        (self.workload.namespace().to_owned(), self.workload.name().to_owned())
    }

    /// The pod that a workload of this kind makes; `None` if it makes no pod of its own.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn made(self, kind: Kind) -> Result<Option<MadePod>, String> {
        self.workload.made_pod(kind).map_err(|error| error.to_string())
    }
}

impl Resource for ObservedWorkload {
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

impl<'de> Deserialize<'de> for ObservedWorkload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut workload = Workload::deserialize(deserializer)?;
        workload.drop_controlled();
        let metadata = ObjectMeta {
            name: Some(workload.name().to_owned()),
            namespace: Some(workload.namespace().to_owned()),
            resource_version: Some(workload.resource_version().to_owned()),
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, workload })
    }
}
