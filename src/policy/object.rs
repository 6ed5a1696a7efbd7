//! A view of a Kubernetes object: the fields that rules read, borrowed from the
//! bytes they came in. Everything else is skipped, not stored.
//!
//! One type serves every kind, so that an object is decoded in one pass even
//! where its kind is not known beforehand. That works because no field of a
//! `PodSpec` shares its name with a field of a workload's spec.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, Visitor};

/// A pod, or an object that holds a pod template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Object<'a> {
    #[serde(borrow)]
    pub api_version: Text<'a>,
    #[serde(borrow)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    pub spec: Option<Spec<'a>>,
    /// Of a `PodTemplate`, which has no spec.
    #[serde(borrow)]
    pub template: Option<Template<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub generate_name: Text<'a>,
    #[serde(borrow)]
    pub namespace: Text<'a>,
    #[serde(borrow)]
    pub annotations: Option<Annotations<'a>>,
}

/// The one annotation that decides anything: the kubelet's mark of a mirror pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Annotations<'a> {
    #[serde(borrow, rename = "kubernetes.io/config.mirror")]
    pub mirror: Option<Text<'a>>,
}

/// A `PodSpec`, or the spec of an object that holds a template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec<'a> {
    #[serde(borrow)]
    pub init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    pub containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    pub ephemeral_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow)]
    pub volumes: Option<Vec<Volume<'a>>>,
    #[serde(borrow)]
    pub restart_policy: Text<'a>,

    #[serde(borrow)]
    pub template: Option<Box<Template<'a>>>,
    #[serde(borrow)]
    pub job_template: Option<Box<Template<'a>>>,
}

/// A `PodTemplateSpec`, or a CronJob's `JobTemplateSpec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Template<'a> {
    #[serde(borrow)]
    pub spec: Option<Spec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub image: Text<'a>,
    #[serde(borrow)]
    pub restart_policy: Text<'a>,
    pub liveness_probe: Option<IgnoredAny>,
    pub readiness_probe: Option<IgnoredAny>,
    #[serde(borrow)]
    pub ports: Option<Vec<Port<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port<'a> {
    pub container_port: i32,
    #[serde(borrow)]
    pub protocol: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Volume<'a> {
    #[serde(borrow)]
    pub image: Option<ImageVolume<'a>>,
}

/// A volume whose content is an image's (KEP-4639).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ImageVolume<'a> {
    #[serde(borrow)]
    pub reference: Text<'a>,
}

/// A string that borrows from its input unless that input needed unescaping.
/// A JSON null reads as empty, as it does in the API server.
#[derive(Debug, Default)]
pub struct Text<'a>(Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        inner.deserialize_str(self)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
