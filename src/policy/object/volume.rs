//! A pod's volumes: where their content comes from.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::list::List;
use super::shape::from_objects_only;
use super::text::Text;

from_objects_only!(ImageVolume<'a>, HostPath<'a>);

#[derive(Debug, Default)]
pub struct Volume<'a> {
    pub name: Text<'a>,
    pub image: Option<ImageVolume<'a>>,
    pub host_path: Option<HostPath<'a>>,
    /// The fields that say where the content comes from, those above too: `configMap`. The API server allows one, and
    /// makes an `emptyDir` of none.
    pub sources: List<Text<'a>>,
}

/// A volume whose content is an image's (KEP-4639).
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct ImageVolume<'a> {
    #[serde(borrow)]
    pub reference: Text<'a>,
}

/// A volume that is a folder of the node.
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct HostPath<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
}

/// By hand, because a kind of volume that podgate does not know must be seen too.
impl<'de: 'a, 'a> Deserialize<'de> for Volume<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(VolumeVisitor)
    }
}

struct VolumeVisitor;

impl<'de> Visitor<'de> for VolumeVisitor {
    type Value = Volume<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a volume")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut volume = Volume::default();
        let mut seen = [false; 3];
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let read = ["name", "image", "hostPath"].into_iter().zip(&mut seen);
            // Twice is refused where serde derives the code, so it is here.
            for (name, seen) in read.filter(|(name, _)| **name == *key) {
                if std::mem::replace(seen, true) {
                    return Err(M::Error::duplicate_field(name));
                }
            }
            let given = match &*key {
                "name" => {
                    volume.name = map.next_value()?;
                    continue;
                }
                "image" => {
                    volume.image = map.next_value()?;
                    volume.image.is_some()
                }
                "hostPath" => {
                    volume.host_path = map.next_value()?;
                    volume.host_path.is_some()
                }
                _ => map.next_value::<Option<IgnoredAny>>()?.is_some(),
            };
            if given {
                volume.sources.push(key);
            }
        }
        Ok(volume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_tells_its_sources_and_null_is_none() {
        let json = r#"[{"name": "a", "hostPath": {"path": "/etc"}}, {"name": "b", "nfs": {}, "hostPath": null},
            {"name": "c", "yetToCome": {"x": [1]}}, {"image": {"reference": "models/llm"}}, {"emptyDir": null}]"#;
        let volumes: Vec<Volume> = serde_json::from_str(json).unwrap();
        let told: Vec<_> = volumes.iter().map(|it| it.sources.iter().map(|it| &**it)).collect();
        let told: Vec<Vec<_>> = told.into_iter().map(Iterator::collect).collect();
        assert_eq!(told, [vec!["hostPath"], vec!["nfs"], vec!["yetToCome"], vec!["image"], vec![]]);
        assert_eq!(&*volumes[0].name, "a");
        assert_eq!(&*volumes[0].host_path.as_ref().unwrap().path, "/etc");
        assert_eq!(&*volumes[3].image.as_ref().unwrap().reference, "models/llm");
    }
}
