//! The metadata of an object that rules read.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::pairs::Pairs;
use super::shape::from_objects_only;
use super::text::Text;

from_objects_only!(Metadata<'a>, OwnerReference<'a>);

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
    /// The first of `ownerReferences` that controls the object; the API server allows one.
    #[serde(borrow, rename = "ownerReferences", deserialize_with = "controller")]
    pub controller: Option<OwnerReference<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct OwnerReference<'a> {
    #[serde(borrow)]
    pub api_version: Text<'a>,
    #[serde(borrow)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub name: Text<'a>,
    pub controller: Option<bool>,
}

/// Decodes `ownerReferences` and keeps only the controller.
fn controller<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<OwnerReference<'de>>, D::Error> {
    struct Owners;
    impl<'de> Visitor<'de> for Owners {
        type Value = Option<OwnerReference<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
            inner.deserialize_seq(self)
        }
        fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
            let mut controller = None;
            while let Some(owner) = list.next_element::<OwnerReference<'de>>()? {
                if controller.is_none() && owner.controller == Some(true) {
                    controller = Some(owner);
                }
            }
            Ok(controller)
        }
    }
    deserializer.deserialize_option(Owners)
}

/// The annotations that rules read. Others can be long, and are skipped.
#[derive(Debug, Default)]
pub struct Annotations<'a>(Pairs<'a>);

impl<'a> Annotations<'a> {
    /// The kubelet's annotation of a mirror pod.
    const MIRROR: &'static str = "kubernetes.io/config.mirror";
    /// The prefix of AppArmor annotations; a container's name follows.
    pub const APPARMOR_PREFIX: &'static str = "container.apparmor.security.beta.kubernetes.io/";
    /// The prefix of seccomp annotations. The kubelet ignores them now, but the API server compares them with the
    /// field.
    pub const SECCOMP_PREFIX: &'static str = "container.seccomp.security.alpha.kubernetes.io/";

    /// Whether rules read the annotation of this name.
    pub fn decides(key: &str) -> bool {
        key == Self::MIRROR
            || key.starts_with(Self::APPARMOR_PREFIX)
            || key.starts_with(Self::SECCOMP_PREFIX)
    }

    /// Whether the pod has the annotation of a mirror pod, which anyone may set. If the annotations are cut, it may be
    /// among those not stored; then the pod is judged as any other.
    pub fn claims_mirror(&self) -> bool {
        self.0.get(Self::MIRROR).is_some()
    }

    /// The AppArmor annotations, as key and profile.
    pub fn apparmor(&self) -> impl Iterator<Item = &(Text<'a>, Text<'a>)> {
        self.0.iter().filter(|(key, _)| key.starts_with(Self::APPARMOR_PREFIX))
    }

    /// Whether a container has a seccomp annotation, or may have one beyond the limit.
    pub fn may_have_seccomp(&self, container: &str) -> bool {
        let has = |key: &str| key.strip_prefix(Self::SECCOMP_PREFIX) == Some(container);
        self.is_cut() || self.0.iter().any(|(key, _)| has(key))
    }

    /// Whether the object has more of these annotations than are stored.
    pub fn is_cut(&self) -> bool {
        self.0.is_cut()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Pairs::wanted(deserializer, Self::decides).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_any_number_of_owners_the_controller_is_found() {
        let many = r#"{"kind": "ConfigMap", "name": "c"},"#.repeat(200_001);
        for (owners, expected) in [
            (
                format!(r#"[{many}{{"kind": "ReplicaSet", "name": "r", "controller": true}}]"#),
                Some("r"),
            ),
            (format!("[{}]", many.trim_end_matches(',')), None),
            ("null".to_owned(), None),
            ("[]".to_owned(), None),
        ] {
            let json = format!(r#"{{"ownerReferences": {owners}}}"#);
            let metadata: Metadata = serde_json::from_str(&json).unwrap();
            assert_eq!(metadata.controller.as_ref().map(|it| &*it.name), expected);
        }
        assert!(serde_json::from_str::<Metadata>(r#"{"ownerReferences": [[]]}"#).is_err());
    }
}
