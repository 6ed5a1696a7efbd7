//! Decodes the objects of a review once more in the form that CEL reads: for reviews whose policies have validations,
//! and of the objects only what these read.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::json;
use crate::cel::tree::{PartSeed, Tree};
use crate::cel::wanted::Wanted;
use crate::policy::object::Text;
use crate::policy::workload::Kind;

/// The objects of a review; `None` for one that is absent.
#[derive(Default)]
pub(super) struct Trees<'a> {
    pub object: Option<Tree<'a>>,
    pub old_object: Option<Tree<'a>>,
}

/// The objects of a review, as far as they are `wanted`. If one cannot be decoded, both are absent, which leaves the
/// validations undecided.
pub(super) fn trees<'a>(body: &'a [u8], kind: Kind, wanted: &Wanted) -> Trees<'a> {
    let path: Vec<_> = kind.template_path().collect();
    let part = PartSeed { path: &path, wanted };
    let json = std::str::from_utf8(body).ok();
    json.and_then(|it| json::from_str_seed(Level::Review(part), it).ok()).unwrap_or_default()
}

/// Deserializes the objects of a review, or of its request.
enum Level<'w> {
    Review(PartSeed<'w>),
    Request(PartSeed<'w>),
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Trees<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Trees<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Trees<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AdmissionReview")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Trees<'de>, A::Error> {
        let mut trees = Trees::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match (&self, &*key) {
                (Self::Review(part), "request") => {
                    trees = map.next_value_seed(Self::Request(*part))?;
                }
                (Self::Request(part), "object") => {
                    trees.object = Some(map.next_value_seed(*part)?).filter(Tree::is_object);
                }
                (Self::Request(part), "oldObject") => {
                    trees.old_object = Some(map.next_value_seed(*part)?).filter(Tree::is_object);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(trees)
    }
}
