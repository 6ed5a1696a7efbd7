//! A view of a Kubernetes object: the fields that rules read, borrowed from the
//! bytes they came in. Everything else is skipped, not stored.
//!
//! One type serves every kind, so that an object is decoded in one pass even
//! where its kind is not known beforehand ([`Spec`]). That works because no field
//! of a `PodSpec` shares its name with a field of a workload's spec.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

mod security;
mod shape;
mod spec;
mod text;
mod volume;

pub use security::{Capabilities, Handler, Lifecycle, Os, Profile, SecurityContext};
pub use shape::MAX_ITEMS;
pub(crate) use shape::from_objects_only;
pub use spec::{JobSpec, JobTemplate, Spec};
pub use text::{QuantityText, Text};
pub use volume::Volume;

from_objects_only!(
    Object<'a>,
    Metadata<'a>,
    OwnerReference<'a>,
    PodSpec<'a>,
    Template<'a>,
    Container<'a>,
    Resources<'a>,
    Quantities<'a>,
    Port<'a>,
);

/// A pod, or an object that holds a pod template.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Object<'a> {
    #[serde(borrow)]
    pub api_version: Text<'a>,
    #[serde(borrow)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    // Boxed, as all that is large and often absent: what is read is moved more than once.
    pub spec: Option<Box<Spec<'a>>>,
    /// Of a `PodTemplate`, which has no spec.
    #[serde(borrow)]
    pub template: Option<Box<Template<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Metadata<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub generate_name: Text<'a>,
    #[serde(borrow)]
    pub namespace: Text<'a>,
    #[serde(borrow)]
    pub labels: Option<Pairs<'a>>,
    #[serde(borrow)]
    pub annotations: Option<Annotations<'a>>,
    #[serde(borrow, deserialize_with = "shape::many")]
    pub owner_references: Option<Vec<OwnerReference<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct OwnerReference<'a> {
    #[serde(borrow)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub name: Text<'a>,
    pub controller: Option<bool>,
}

/// Keys with values, in the order they were written.
#[derive(Debug, Default)]
pub struct Pairs<'a>(Vec<(Text<'a>, Text<'a>)>);

impl<'a> Pairs<'a> {
    /// The value of a key; of a key that stands twice, the last, as in the API server.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(name, _)| &**name == key).map(|(_, value)| &**value)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Text<'a>, Text<'a>)> {
        self.0.iter()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(|_| true)).map(Pairs)
    }
}

/// The annotations that decide anything; the others (they can be long) are skipped.
#[derive(Debug, Default)]
pub struct Annotations<'a>(Pairs<'a>);

impl<'a> Annotations<'a> {
    /// The kubelet's mark of a mirror pod.
    const MIRROR: &'static str = "kubernetes.io/config.mirror";
    /// Followed by a container's name.
    pub const APPARMOR_PREFIX: &'static str = "container.apparmor.security.beta.kubernetes.io/";
    /// The same for seccomp. No kubelet heeds it any more, but the API server compares it with the field.
    const SECCOMP_PREFIX: &'static str = "container.seccomp.security.alpha.kubernetes.io/";

    /// Whether an annotation of this name decides anything.
    pub fn decides(key: &str) -> bool {
        key == Self::MIRROR
            || key.starts_with(Self::APPARMOR_PREFIX)
            || key.starts_with(Self::SECCOMP_PREFIX)
    }

    pub fn is_mirror(&self) -> bool {
        self.0.get(Self::MIRROR).is_some()
    }

    /// The AppArmor annotations: key and profile.
    pub fn apparmor(&self) -> impl Iterator<Item = &(Text<'a>, Text<'a>)> {
        self.0.iter().filter(|(key, _)| key.starts_with(Self::APPARMOR_PREFIX))
    }

    /// Whether a container has a seccomp annotation.
    pub fn has_seccomp(&self, container: &str) -> bool {
        self.0.iter().any(|(key, _)| key.strip_prefix(Self::SECCOMP_PREFIX) == Some(container))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(Self::decides)).map(|pairs| Self(Pairs(pairs)))
    }
}

/// Collects the pairs whose key is wanted.
struct PairsVisitor(fn(&str) -> bool);

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(Text<'de>, Text<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a map of strings")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if pairs.len() == shape::MAX_ENTRIES {
                return Err(shape::too_many());
            }
            if (self.0)(&key) {
                pairs.push((key, map.next_value()?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(pairs)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct PodSpec<'a> {
    #[serde(borrow, deserialize_with = "shape::few")]
    pub init_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow, deserialize_with = "shape::few")]
    pub containers: Option<Vec<Container<'a>>>,
    #[serde(borrow, deserialize_with = "shape::few")]
    pub ephemeral_containers: Option<Vec<Container<'a>>>,
    #[serde(borrow, deserialize_with = "shape::few")]
    pub volumes: Option<Vec<Volume<'a>>>,
    #[serde(borrow)]
    pub restart_policy: Text<'a>,
    #[serde(borrow)]
    pub resources: Option<Resources<'a>>,
    #[serde(borrow)]
    pub security_context: Option<SecurityContext<'a>>,
    pub host_network: Option<bool>,
    #[serde(rename = "hostPID")]
    pub host_pid: Option<bool>,
    #[serde(rename = "hostIPC")]
    pub host_ipc: Option<bool>,
    /// False puts the pod into a user namespace of its own.
    pub host_users: Option<bool>,
    #[serde(borrow)]
    pub os: Option<Os<'a>>,
    #[serde(borrow)]
    pub node_selector: Option<Pairs<'a>>,
}

/// A `PodTemplateSpec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Template<'a> {
    #[serde(borrow)]
    pub metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    pub spec: Option<PodSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Container<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub image: Text<'a>,
    #[serde(borrow)]
    pub restart_policy: Text<'a>,
    // Boxed, so that a container which has none of it stays small.
    #[serde(borrow)]
    pub liveness_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow)]
    pub readiness_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow)]
    pub startup_probe: Option<Box<Handler<'a>>>,
    #[serde(borrow)]
    pub lifecycle: Option<Box<Lifecycle<'a>>>,
    #[serde(borrow, deserialize_with = "shape::many")]
    pub ports: Option<Vec<Port<'a>>>,
    #[serde(borrow)]
    pub resources: Option<Resources<'a>>,
    #[serde(borrow)]
    pub security_context: Option<Box<SecurityContext<'a>>>,
}

/// A container's resources, or the whole pod's (KEP-2837).
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Resources<'a> {
    #[serde(borrow)]
    pub requests: Option<Quantities<'a>>,
    #[serde(borrow)]
    pub limits: Option<Quantities<'a>>,
}

/// The quantities that rules ask for, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, remote = "Self")]
pub struct Quantities<'a> {
    #[serde(borrow)]
    pub cpu: Option<QuantityText<'a>>,
    #[serde(borrow)]
    pub memory: Option<QuantityText<'a>>,
    #[serde(borrow)]
    pub ephemeral_storage: Option<QuantityText<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct Port<'a> {
    pub container_port: i32,
    pub host_port: Option<i32>,
    #[serde(borrow)]
    pub protocol: Text<'a>,
}
