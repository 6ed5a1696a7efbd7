//! The volumes of a pod.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::list::{Item, List, MAX_ITEMS};
use super::shape::from_objects_only;
use super::text::Text;

from_objects_only!(ImageVolume<'a>, HostPath<'a>);

#[derive(Debug, Default)]
pub struct Volume<'a> {
    pub name: Text<'a>,
    pub image: Option<ImageVolume<'a>>,
    pub host_path: Option<HostPath<'a>>,
    /// The names of all source fields that are set, such as `configMap`, also those above. The API server allows one,
    /// and defaults to `emptyDir`.
    pub sources: List<Text<'a>>,
}

impl Item for Volume<'_> {
    const MAX: usize = MAX_ITEMS;

    fn weight(&self) -> usize {
        self.sources.len()
    }
}

/// A volume with the content of an image (KEP-4639).
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

/// Written by hand, because `sources` must include unknown kinds of volumes.
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
            // Code that serde derives rejects a field that occurs twice, so this does too.
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
        let sources: Vec<_> = volumes.iter().map(|it| it.sources.iter().map(|it| &**it)).collect();
        let sources: Vec<Vec<_>> = sources.into_iter().map(Iterator::collect).collect();
        assert_eq!(
            sources,
            [vec!["hostPath"], vec!["nfs"], vec!["yetToCome"], vec!["image"], vec![]]
        );
        assert_eq!(&*volumes[0].name, "a");
        assert_eq!(&*volumes[0].host_path.as_ref().unwrap().path, "/etc");
        assert_eq!(&*volumes[3].image.as_ref().unwrap().reference, "models/llm");
    }
}
