//! Exemptions of a policy, compiled, and how they match violations.

use jiff::{SignedDuration, Timestamp};

use super::containers::{container_at, containers};
use super::glob::glob;
use super::image::{DOCKER_HUB, ImageReference, is_docker_hub, is_host_like};
use super::owner;
use super::registry::known_id;
use super::rule::{Breach, InvalidField, Rule};
use super::scope::Scope;
use super::subject::Subject;
use crate::api::{DevOpsPolicySpec, EXEMPT_KINDS, EndsWithin, Exemption, ExemptionPhase};

/// The time before the end of an exemption from which its end is told, and told again.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// An exemption as the audit observes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ObservedExemption {
    pub phase: ExemptionPhase,
    /// The number of workloads with a violation that it lets pass.
    pub workloads: u64,
    pub expires_at: Option<Timestamp>,
}

/// How near the end of an exemption is; `None` if it ends later than in a week, never, or has ended.
pub fn ends_within(exemption: &Exemption, now: Timestamp) -> Option<EndsWithin> {
    let left = exemption.expires_at.as_ref()?.0.duration_since(now);
    if left <= SignedDuration::ZERO || left > WEEK {
        None
    } else if left > DAY {
        Some(EndsWithin::Week)
    } else {
        Some(EndsWithin::Day)
    }
}

/// A compiled exemption.
pub(super) struct CompiledExemption {
    /// As written in the policy.
    pub exemption: Exemption,
    /// Its image patterns in canonical form.
    images: Option<Vec<String>>,
    pub expires_at: Option<Timestamp>,
}

impl CompiledExemption {
    /// # Errors
    /// The exemption names an unknown rule, or has `namespaces` in a policy of one namespace.
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

    /// Its image patterns in canonical form.
    pub fn images(&self) -> Option<&[String]> {
        self.images.as_deref()
    }

    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Its state, if it lets violations of this many workloads pass.
    pub fn observed(&self, workloads: u64, now: Timestamp) -> ObservedExemption {
        let (phase, workloads) = match workloads {
            _ if self.expired(now) => (ExemptionPhase::Expired, 0),
            0 => (ExemptionPhase::Unused, 0),
            workloads => (ExemptionPhase::Active, workloads),
        };
        ObservedExemption { phase, workloads, expires_at: self.expires_at }
    }

    /// The index in `kinds` and the name of the first kind that podgate does not judge.
    pub fn unknown_kind(&self) -> Option<(usize, &str)> {
        let mut kinds = self.exemption.kinds.iter().flatten().map(String::as_str).enumerate();
        kinds.find(|(_, kind)| !EXEMPT_KINDS.contains(kind))
    }

    /// Whether the exemption is about a violation: every field that is set matches.
    pub fn fits(&self, rule: &Rule, breach: &Breach, subject: &Subject<'_>) -> bool {
        let Exemption { rules, kinds, names, namespaces, containers, .. } = &self.exemption;
        let image = || {
            let image = image_of(breach, subject)?;
            Some(ImageReference::parse(image).map_or(image.to_owned(), |it| it.canonical()))
        };
        let id = breach.id(rule);
        rules.iter().any(|it| *it == rule.id || *it == id)
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

/// An image pattern in the form of [`ImageReference::canonical`]. As with images, a pattern without a registry means
/// Docker Hub. Only a pattern that begins with `*` matches any registry.
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

/// Whether a value matches one of the patterns. `None` for patterns matches any value, also a missing one.
fn matches(patterns: Option<&[String]>, value: Option<&str>) -> bool {
    patterns.is_none_or(|patterns| {
        value.is_some_and(|value| patterns.iter().any(|pattern| glob(pattern, value)))
    })
}

/// The image of a violation: the value found if the field is an image, else the image of the container. Other values
/// must not pass for images, because tenants choose them.
fn image_of<'a>(breach: &'a Breach, subject: &'a Subject<'_>) -> Option<&'a str> {
    if breach.path.ends_with("].image") || breach.path.ends_with("].image.reference") {
        return breach.value.as_deref();
    }
    let name = breach.container.as_ref()?;
    // By the path if possible, because a name may occur twice. A breach of an annotation has only the name.
    let named = || containers(subject.spec).map(|it| it.container).find(|it| *it.name == **name);
    let container = container_at(subject, &breach.path).or_else(named);
    container.map(|container| &*container.image)
}

#[cfg(test)]
mod tests {
    use super::super::workload::Kind;
    use super::*;

    #[test]
    fn an_exemption_may_name_every_kind_that_podgate_judges_and_no_other() {
        assert_eq!(Kind::ALL.map(|kind| kind.names().kind), EXEMPT_KINDS);
    }

    #[test]
    fn the_end_is_near_from_a_week_before_it_until_it_comes() {
        let ending = |end: Option<&str>| {
            let exemption =
                serde_json::json!({"rules": [], "reason": "r", "owner": "o", "expiresAt": end});
            let exemption = serde_json::from_value(exemption).unwrap();
            ends_within(&exemption, "2026-01-01T00:00:00Z".parse().unwrap())
        };
        for (end, expected) in [
            ("2026-01-08T00:00:01Z", None),
            ("2026-01-08T00:00:00Z", Some(EndsWithin::Week)),
            ("2026-01-02T00:00:01Z", Some(EndsWithin::Week)),
            ("2026-01-02T00:00:00Z", Some(EndsWithin::Day)),
            ("2026-01-01T00:00:01Z", Some(EndsWithin::Day)),
            ("2026-01-01T00:00:00Z", None),
            ("-009999-01-02T01:59:59Z", None),
            ("9999-12-30T22:00:00Z", None),
        ] {
            assert_eq!(ending(Some(end)), expected, "{end}");
        }
        assert_eq!(ending(None), None);
    }

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
}
