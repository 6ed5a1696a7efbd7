//! What the image rules share: where images stand, and which tags a policy replaces.

use serde_json::Value;

use super::super::image::ImageReference;
use super::super::rule::{Breach, Fix, containers};
use super::super::workload::Subject;
use crate::api::ImageTag;

/// An image with its place.
pub struct Image<'a> {
    /// As written.
    pub text: &'a str,
    container: Option<&'a str>,
    path: ImagePath<'a>,
}

/// Formatted only for an image that breaks something.
enum ImagePath<'a> {
    Container(super::super::rule::Place<'a>, Subject<'a>),
    Volume(usize, &'static str),
}

impl Image<'_> {
    /// A violation by this image; `replacement` is the image that would pass.
    pub fn breach(&self, problem: String, remedy: String, replacement: Option<String>) -> Breach {
        let path = match &self.path {
            ImagePath::Container(place, subject) => place.path(subject, "image"),
            ImagePath::Volume(index, spec) => format!("{spec}.volumes[{index}].image.reference"),
        };
        Breach {
            container: self.container.map(str::to_owned),
            fix: replacement.map(|image| Fix { path: path.clone(), value: Value::String(image) }),
            path,
            value: Some(self.text.to_owned()),
            problem,
            remedy,
            ..Breach::default()
        }
    }
}

/// Every image that the pod would pull: its containers' and its volumes' (KEP-4639).
pub fn images<'a>(subject: &Subject<'a>) -> impl Iterator<Item = Image<'a>> {
    let subject = *subject;
    let of_containers = containers(subject.spec).map(move |place| Image {
        text: &place.container.image,
        container: Some(&place.container.name),
        path: ImagePath::Container(place, subject),
    });
    let spec = subject.kind.names().spec_path;
    let volumes = subject.spec.volumes.iter().flatten().enumerate();
    let of_volumes = volumes.filter_map(move |(index, volume)| {
        let text = &*volume.image.as_ref()?.reference;
        Some(Image { text, container: None, path: ImagePath::Volume(index, spec) })
    });
    of_containers.chain(of_volumes)
}

/// The image that a policy's `imageTags` put in place of this one.
pub fn retag(tags: &[ImageTag], image: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let reference = ImageReference::parse(image).ok()?;
    if reference.digest.is_some() {
        return None;
    }
    let tag = reference.tag.unwrap_or("latest");
    let replaced = |entry: &&ImageTag| {
        let named = ImageReference::parse(&entry.image);
        entry.from == tag
            && wanted(&entry.to)
            && named.is_ok_and(|named| named.same_repository(&reference))
    };
    let to = &tags.iter().find(replaced)?.to;
    // A tag has no colon, a digest has one.
    let separator = if to.contains(':') { '@' } else { ':' };
    Some(format!("{}{separator}{to}", reference.name))
}
