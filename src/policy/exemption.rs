//! What a policy lets pass, and for how long.

use jiff::Timestamp;

use super::compile::{Scope, known_id};
use super::image::{DOCKER_HUB, ImageReference, is_docker_hub, is_host_like};
use super::owner;
use super::rule::{Breach, InvalidField, Rule, container_at, containers};
use super::workload::Subject;
use crate::api::{DevOpsPolicySpec, Exemption};

/// An exemption, ready to match.
pub(super) struct CompiledExemption {
    /// As it is written.
    pub exemption: Exemption,
    /// Its patterns of images, as they are matched.
    images: Option<Vec<String>>,
    pub expires_at: Option<Timestamp>,
}

impl CompiledExemption {
    /// # Errors
    /// The exemption names a rule there is not, or a namespace where the policy has but one.
    pub fn new(
        index: usize,
        exemption: &Exemption,
        scope: &Scope,
        spec: &DevOpsPolicySpec,
    ) -> Result<Self, InvalidField> {
        let at = |field: &str, message: String| InvalidField {
            path: format!("spec.exemptions[{index}].{field}"),
            message,
        };
        for (rule, id) in exemption.rules.iter().enumerate() {
            known_id(spec, id).map_err(|message| at(&format!("rules[{rule}]"), message))?;
        }
        if exemption.namespaces.is_some() && scope.namespace().is_some() {
            let message = "only a ClusterDevOpsPolicy has more than one namespace".to_owned();
            return Err(at("namespaces", message));
        }
        let expires_at = exemption.expires_at.as_ref().map(|time| time.0);
        let images = exemption.images.as_ref();
        let images = images.map(|images| images.iter().map(|it| canonical(it)).collect());
        Ok(Self { exemption: exemption.clone(), images, expires_at })
    }

    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it lets this violation pass: every field that is given matches.
    pub fn covers(
        &self,
        rule: &Rule,
        breach: &Breach,
        subject: &Subject<'_>,
        now: Timestamp,
    ) -> bool {
        let Exemption { rules, kinds, names, namespaces, containers, .. } = &self.exemption;
        let image = || {
            let image = image_of(breach, subject)?;
            Some(ImageReference::parse(image).map_or(image.to_owned(), |it| it.canonical()))
        };
        let id = breach.id(rule);
        !self.expired(now)
            && rules.iter().any(|it| *it == rule.id || *it == id)
            && matches(namespaces.as_deref(), subject.namespace)
            && matches(containers.as_deref(), breach.container.as_deref())
            && (self.images.is_none() || matches(self.images.as_deref(), image().as_deref()))
            && (kinds.is_none() && names.is_none()
                || owner::object_names(subject).any(|identity| {
                    kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|it| *it == identity.kind))
                        && matches(names.as_deref(), Some(&identity.name))
                }))
    }
}

/// A pattern of images as it is matched against a whole reference: one without a registry is of Docker Hub, as an image
/// without one is. Only one that begins with `*` is of any registry.
fn canonical(pattern: &str) -> String {
    if pattern.starts_with('*') {
        return pattern.to_owned();
    }
    let path = match pattern.split_once('/') {
        Some((host, path)) if is_docker_hub(host) => path,
        Some((host, path)) if is_host_like(host) => {
            return format!("{}/{path}", host.to_ascii_lowercase());
        }
        _ => pattern,
    };
    let library = if path.contains('/') || path.starts_with('*') { "" } else { "library/" };
    format!("{DOCKER_HUB}/{library}{path}")
}

/// Whether a value matches one of the patterns; no patterns match anything.
fn matches(patterns: Option<&[String]>, value: Option<&str>) -> bool {
    patterns.is_none_or(|patterns| {
        value.is_some_and(|value| patterns.iter().any(|pattern| glob(pattern, value)))
    })
}

/// The image that a violation is about: the value at fault where that is an image, else its container's. Any other value
/// may be a text that the tenant chose, and must not pass for an image.
fn image_of<'a>(breach: &'a Breach, subject: &'a Subject<'_>) -> Option<&'a str> {
    if breach.path.ends_with("].image") || breach.path.ends_with("].image.reference") {
        return breach.value.as_deref();
    }
    let name = breach.container.as_ref()?;
    // By its place, if it has one: a name may be there twice. An annotation has the name alone.
    let named = || containers(subject.spec).map(|it| it.container).find(|it| *it.name == **name);
    let container = container_at(subject, &breach.path).or_else(named);
    container.map(|container| &*container.image)
}

/// The longest text that a pattern is held against, in bytes. No name and no image that could run is longer; what is,
/// nobody excused.
pub(super) const MAX_TEXT: usize = 1024;

/// Whether a pattern matches a whole text: `*` stands for any text, `?` for one character.
fn glob(pattern: &str, text: &str) -> bool {
    if text.len() > MAX_TEXT {
        return false;
    }
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` stands, and how much text it has taken so far.
    let mut star = None;
    while let Some(&character) = text.get(read) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&expected) if expected == '?' || expected == character => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((position, taken)) = star else { return false };
                star = Some((position, taken + 1));
                at = position + 1;
                read = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The raw text once matched, so that the registry `nginx.evil.example` passed for the image `nginx`.
    #[test]
    fn a_pattern_of_images_matches_the_whole_reference_whichever_way_either_is_written() {
        for (pattern, image, expected) in [
            ("nginx*", "nginx", true),
            ("nginx*", "nginx:1.29", true),
            ("nginx*", "docker.io/nginx:1.29", true),
            ("nginx*", "index.docker.io/library/nginx:1.29", true),
            ("nginx*", "nginx.evil.example/x", false),
            ("nginx*", "nginx.evil.example/library/nginx", false),
            ("nginx*", "nginx:5000/x", false),
            ("nginx*", "evil.example/nginx", false),
            ("nginx*", "nginx-team/x", false),
            ("library/nginx:1.*", "nginx:1.29", true),
            ("docker.io/nginx", "nginx", true),
            ("bitnami/*", "bitnami/redis:8", true),
            ("bitnami/*", "evil.example/bitnami/redis:8", false),
            ("docker.io/*", "bitnami/redis:8", true),
            ("docker.io/*", "docker.io.evil.example/redis:8", false),
            ("ghcr.io/team/*", "GHCR.io/team/web:1", true),
            ("GHCR.io/team/*", "ghcr.io/team/web:1", true),
            ("ghcr.io/team/*", "ghcr.io.evil.example/team/web:1", false),
            ("localhost:5000/*", "localhost:5000/web", true),
            ("ghcr.io*", "ghcr.io/team/web", false),
            ("*", "ghcr.io/team/web", true),
            ("*/team/*", "ghcr.io/team/web", true),
            ("?ginx", "nginx", true),
        ] {
            let whole = ImageReference::parse(image).unwrap().canonical();
            assert_eq!(glob(&canonical(pattern), &whole), expected, "{pattern} against {image}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text_and_a_question_mark_for_one_character() {
        for (pattern, text, expected) in [
            ("cart", "cart", true),
            ("cart", "cart2", false),
            ("cart-*", "cart-", true),
            ("*-web-*", "shop-web-1", true),
            ("*ab", "aab", true),
            ("c?rt", "cart", true),
            ("c?rt", "crt", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} against {text}");
        }
        assert!(glob("*", &"a".repeat(1024)) && !glob("*", &"a".repeat(1025)));
    }
}
