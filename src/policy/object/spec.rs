//! The spec of an object whose kind is not known yet: of a pod, or of a workload with a pod template.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::shape::from_objects_only;
use super::text::Key;
use super::{PodSpec, Template};

from_objects_only!(JobTemplate<'a>, JobSpec<'a>);

/// The fields of a `PodSpec` and the templates of a workload's spec. The types do not nest recursively, so no document
/// can overflow the stack.
#[derive(Debug, Default)]
pub struct Spec<'a> {
    pub pod: PodSpec<'a>,
    pub template: Option<Box<Template<'a>>>,
    pub job_template: Option<Box<JobTemplate<'a>>>,
}

/// A CronJob's `JobTemplateSpec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct JobTemplate<'a> {
    #[serde(borrow)]
    pub spec: Option<JobSpec<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, remote = "Self")]
pub struct JobSpec<'a> {
    #[serde(borrow)]
    pub template: Option<Template<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Spec<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SpecVisitor)
    }
}

struct SpecVisitor;

impl<'de> Visitor<'de> for SpecVisitor {
    type Value = Spec<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a spec")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
        let (mut template, mut job_template) = (None, None);
        let fields = PodFields { map, template: &mut template, job_template: &mut job_template };
        let pod = PodSpec::deserialize(MapAccessDeserializer::new(fields))?;
        Ok(Spec { pod, template, job_template })
    }
}

/// The fields of a spec without the templates, which it stores as they come.
struct PodFields<'s, 'de, M> {
    map: M,
    template: &'s mut Option<Box<Template<'de>>>,
    job_template: &'s mut Option<Box<JobTemplate<'de>>>,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for PodFields<'_, 'de, M> {
    type Error = M::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, M::Error> {
        while let Some(key) = self.map.next_key::<Key<'de>>()? {
            match &*key {
                // Code that serde derives rejects a field that occurs twice, so this does too.
                "template" if self.template.is_some() => {
                    return Err(M::Error::duplicate_field("template"));
                }
                "jobTemplate" if self.job_template.is_some() => {
                    return Err(M::Error::duplicate_field("jobTemplate"));
                }
                "template" => *self.template = self.map.next_value()?,
                "jobTemplate" => *self.job_template = self.map.next_value()?,
                field => return seed.deserialize(StrDeserializer::new(field)).map(Some),
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, M::Error> {
        self.map.next_value_seed(seed)
    }
}
