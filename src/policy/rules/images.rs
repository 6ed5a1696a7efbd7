//! Shared by the image rules: the images of a pod, and their replacement by `imageTags`.

use super::super::containers::{PlacedContainer, containers};
use super::super::glob::MAX_TEXT;
use super::super::image::ImageReference;
use super::super::rule::{Breach, Fix, InvalidField};
use super::super::subject::Subject;
use super::super::text::head;
use crate::api::ImageTag;

/// An image of a pod with its field.
pub struct Image<'a> {
    /// As written.
    pub text: &'a str,
    path: ImagePath<'a>,
}

/// The field of an image. It is formatted only for a breach.
enum ImagePath<'a> {
    Container(PlacedContainer<'a>, Subject<'a>),
    Volume(usize, &'static str),
}

impl Image<'_> {
    /// The breach of this image; `replacement` is the image of its fix. A text longer than any image, and than any text
    /// that an exemption matches, is cut.
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

/// Every image that the pod would pull: of its containers and of its volumes (KEP-4639).
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

/// Validates `spec.imageTags`.
///
/// # Errors
/// The first invalid field.
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

/// An image name with a tag, or with a digest, which is recognized by its colon.
fn versioned(name: &str, to: &str) -> String {
    let separator = if to.contains(':') { '@' } else { ':' };
    format!("{name}{separator}{to}")
}

/// The replacement of an image by `spec.imageTags`, among the entries whose `to` is wanted; `None` if there is none.
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

/// What of an image stays the same in a new version, in CEL: its registry and repository.
pub const REPOSITORY: &str = "(x.bad != '' ? x.i : x.reg.lowerAscii() + '/' + x.repo)";

#[cfg(test)]
mod tests {
    use super::super::forbid_latest_tag;
    use super::super::testing::{breaches, enabled};
    use super::*;

    #[test]
    fn a_breach_holds_an_image_cut_past_what_any_exemption_matches() {
        let image = "a".repeat(2 * MAX_TEXT);
        let spec = format!(r#"{{"containers": [{{"name": "web", "image": "{image}"}}]}}"#);
        let policy = enabled("forbidLatestTag", "true");
        let breach = breaches(&forbid_latest_tag::RULE, &policy, &spec).remove(0);
        assert_eq!(breach.value.as_deref(), Some(&image[..=MAX_TEXT]));
    }
}
