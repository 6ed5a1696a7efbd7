//! A pod as the watch decodes it: cut down during decoding, so that the parts that no rule reads are never kept.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::mask::{self, Cut, FieldKey, Mask};

/// A pod, cut down. With `WHOLE` it carries the whole JSON as well, for rules that read documents (CEL).
#[derive(Clone, Debug, Default)]
pub struct ObservedPod<const WHOLE: bool> {
    /// Its name, namespace and resource version.
    metadata: ObjectMeta,
    pub(super) cut: CutPod,
    pub(super) whole: Option<Box<str>>,
}

/// The JSON of the fields of a pod that rules read.
#[derive(Clone, Debug, Default)]
pub(super) struct CutPod {
    pub namespace: String,
    pub name: String,
    pub created: Timestamp,
    pub metadata: String,
    pub spec: String,
    pub status: String,
}

impl CutPod {
    /// Whether the pod has ended (`Succeeded`, `Failed`) and is no longer audited.
    pub fn has_ended(&self) -> bool {
        #[derive(Deserialize)]
        struct Status<'a> {
            #[serde(borrow, default)]
            phase: Cow<'a, str>,
        }
        let status = serde_json::from_str::<Status<'_>>(&self.status);
        status.is_ok_and(|status| matches!(&*status.phase, "Succeeded" | "Failed"))
    }
}

impl<const WHOLE: bool> ObservedPod<WHOLE> {
    /// Its namespace and name.
    pub(super) fn key(&self) -> (&str, &str) {
        (&self.cut.namespace, &self.cut.name)
    }
}

impl<const WHOLE: bool> Resource for ObservedPod<WHOLE> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Pod::kind(&())
    }
    fn group((): &()) -> Cow<'_, str> {
        Pod::group(&())
    }
    fn version((): &()) -> Cow<'_, str> {
        Pod::version(&())
    }
    fn plural((): &()) -> Cow<'_, str> {
        Pod::plural(&())
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de, const WHOLE: bool> Deserialize<'de> for ObservedPod<WHOLE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if WHOLE {
            let raw = <&RawValue>::deserialize(deserializer)?.get();
            let pod =
                ObservedPod::<false>::deserialize(&mut serde_json::Deserializer::from_str(raw))
                    .map_err(D::Error::custom)?;
            return Ok(Self { metadata: pod.metadata, cut: pod.cut, whole: Some(raw.into()) });
        }
        deserializer.deserialize_map(PodVisitor)
    }
}

struct PodVisitor<const WHOLE: bool>;

impl<'de, const WHOLE: bool> Visitor<'de> for PodVisitor<WHOLE> {
    type Value = ObservedPod<WHOLE>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a pod")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pod = ObservedPod::default();
        while let Some(FieldKey(key)) = map.next_key()? {
            match &*key {
                "metadata" => map.next_value_seed(MetadataSeed(&mut pod))?,
                "spec" => {
                    map.next_value_seed(Cut { mask: mask::SPEC, out: &mut pod.cut.spec })?;
                }
                "status" => {
                    map.next_value_seed(Cut { mask: mask::STATUS, out: &mut pod.cut.status })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(pod)
    }
}

/// Decodes a pod's name, namespace, version and creation time, and cuts down the rest of its metadata.
struct MetadataSeed<'p, const WHOLE: bool>(&'p mut ObservedPod<WHOLE>);

impl<'de, const WHOLE: bool> DeserializeSeed<'de> for MetadataSeed<'_, WHOLE> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const WHOLE: bool> Visitor<'de> for MetadataSeed<'_, WHOLE> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let ObservedPod { metadata, cut, .. } = self.0;
        let Mask::Fields(kept) = mask::METADATA else { return Ok(()) };
        while let Some(FieldKey(key)) = map.next_key()? {
            match &*key {
                "name" => cut.name = map.next_value()?,
                "namespace" => cut.namespace = map.next_value()?,
                "resourceVersion" => metadata.resource_version = map.next_value()?,
                "creationTimestamp" => {
                    cut.created = map.next_value::<Option<Timestamp>>()?.unwrap_or_default();
                }
                field => {
                    let Some(mask) = kept(field) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    cut.metadata.push_str(",\"");
                    cut.metadata.push_str(field);
                    cut.metadata.push_str("\":");
                    map.next_value_seed(Cut { mask, out: &mut cut.metadata })?;
                }
            }
        }
        metadata.name = Some(cut.name.clone());
        metadata.namespace = Some(cut.namespace.clone());
        Ok(())
    }
}
