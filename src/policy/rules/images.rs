//! What the image rules share: where images stand, and which tags a policy replaces.

use super::super::containers::{PlacedContainer, containers};
use super::super::glob::MAX_TEXT;
use super::super::image::ImageReference;
use super::super::rule::{Breach, Fix, InvalidField};
use super::super::subject::Subject;
use super::super::text::head;
use crate::api::ImageTag;

/// An image with its place.
pub struct Image<'a> {
    /// As written.
    pub text: &'a str,
    path: ImagePath<'a>,
}

/// Formatted only for an image that breaks something.
enum ImagePath<'a> {
    Container(PlacedContainer<'a>, Subject<'a>),
    Volume(usize, &'static str),
}

impl Image<'_> {
    /// A violation by this image; `replacement` is the image that would pass. Of a text that is too long for any image, and
    /// for any exemption's pattern, only the head is kept.
    pub fn breach(&self, problem: String, remedy: String, replacement: Option<String>) -> Breach {
        let (container, path) = match &self.path {
            ImagePath::Container(place, subject) => {
                (Some(place.name()), place.path(subject, "image"))
            }
            ImagePath::Volume(index, spec) => {
                (None, format!("{spec}.volumes[{index}].image.reference"))
            }
        };
        Breach {
            container,
            fix: replacement.map(|image| Fix::new(path.clone(), image)),
            path,
            value: Some(head(self.text, MAX_TEXT + 1).to_owned()),
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
        path: ImagePath::Container(place, subject),
    });
    let spec = subject.kind.names().spec_path;
    let volumes = subject.spec.volumes.iter().flatten().enumerate();
    let of_volumes = volumes.filter_map(move |(index, volume)| {
        let text = &*volume.image.as_ref()?.reference;
        Some(Image { text, path: ImagePath::Volume(index, spec) })
    });
    of_containers.chain(of_volumes)
}

/// Whether every entry names an image and versions of it.
///
/// # Errors
/// The first field that does not.
pub fn check_tags(tags: &[ImageTag]) -> Result<(), InvalidField> {
    let invalid = |index: usize, field: &str, message: String| InvalidField {
        path: format!("spec.imageTags[{index}].{field}"),
        message,
    };
    for (index, ImageTag { image, from, to }) in tags.iter().enumerate() {
        let named = ImageReference::parse(image);
        let bare = named.is_ok_and(|it| it.tag.is_none() && it.digest.is_none());
        if !bare {
            let message = format!("{image:?} is no image without tag and digest, such as nginx");
            return Err(invalid(index, "image", message));
        }
        let tagged = format!("{image}:{from}");
        if ImageReference::parse(&tagged).is_err() {
            return Err(invalid(index, "from", format!("{from:?} is no tag, such as latest")));
        }
        if ImageReference::parse(&versioned(image, to)).map_or(true, |it| it.floats_on_latest()) {
            let message = format!("{to:?} is no version: give a tag, such as 1.29, or a digest");
            return Err(invalid(index, "to", message));
        }
    }
    Ok(())
}

/// An image with another tag, which has no colon, or with a digest, which has one.
fn versioned(name: &str, to: &str) -> String {
    let separator = if to.contains(':') { '@' } else { ':' };
    format!("{name}{separator}{to}")
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
    Some(versioned(reference.name, to))
}
