//! Allows images from some registries, or paths in them, only.
//!
//! A container runs whatever its registry serves, so the cluster must trust the registries of its images. Each entry is
//! a host with an optional port and path. Paths are compared by whole components: `ghcr.io/team` allows
//! `ghcr.io/team/web`, but not `ghcr.io/team-b/web`. An image without a registry comes from Docker Hub: `nginx` is
//! `docker.io/library/nginx`. The case of hosts does not matter, and the port is part of the host.

use super::super::image::ImageReference;
use super::super::rule::{Breach, InvalidField, Phase, Rule, examples, module_comment};
use super::super::subject::Subject;
use super::super::text::{clip, quote};
use super::super::vap::expression::{any, clip as clipped, quote as quoted, text};
use super::super::vap::form::{CelFinding, Form};
use super::images::{REPOSITORY, images};
use crate::api::{DevOpsPolicySpec, Severity};

/// The most entries that a remedy lists.
const MAX_LISTED: usize = 3;

pub static RULE: Rule = Rule {
    id: "allowedRegistries",
    severity: Severity::High,
    phase: Phase::Spec(|spec| {
        let Some(entries) = &spec.allowed_registries else { return Ok(None) };
        let allowed = entries.iter().enumerate().map(|(index, entry)| Allowed::parse(index, entry));
        let allowed = allowed.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Box::new(move |subject, breaches| check(subject, &allowed, breaches))))
    }),
    reads: &[],
    checks: &[],
    reads_document: false,
    vap: Form::Cel(in_cel),
    comment: module_comment!("allowed_registries.rs"),
    examples: examples!("allowedRegistries", "fail", "pass"),
};

/// A compiled entry of `spec.allowedRegistries`.
struct Allowed {
    written: String,
    host: String,
    /// Empty if the whole registry is allowed.
    path: String,
}

impl Allowed {
    fn parse(index: usize, entry: &str) -> Result<Self, InvalidField> {
        let invalid = |message: String| InvalidField {
            path: format!("spec.allowedRegistries[{index}]"),
            message,
        };
        let trimmed = entry.trim_end_matches('/');
        let (host, path) = trimmed.split_once('/').unwrap_or((trimmed, ""));
        // Parsed as the start of an image, so that entries and images follow the same rules.
        let probe = format!("{trimmed}/x");
        let reference = ImageReference::parse(&probe)
            .map_err(|error| invalid(format!("{entry:?} is no registry: {error}")))?;
        if !probe.starts_with(reference.registry()) && !host.eq_ignore_ascii_case("index.docker.io")
        {
            return Err(invalid(format!(
                "{entry:?} starts with no registry's host; write docker.io/{trimmed} if it is on Docker Hub"
            )));
        }
        let host = reference.registry().to_ascii_lowercase();
        Ok(Self { written: entry.to_owned(), host, path: path.to_owned() })
    }

    /// Whether the entry allows the image `x`.
    fn in_cel(&self) -> String {
        let host = format!("x.reg.lowerAscii() == {}", text(&self.host));
        if self.path.is_empty() {
            return host;
        }
        let (path, below) = (text(&self.path), text(&format!("{}/", self.path)));
        format!("{host} && (x.repo == {path} || x.repo.startsWith({below}))")
    }

    fn allows(&self, image: &ImageReference<'_>, repository: &str) -> bool {
        let below = || {
            repository
                .strip_prefix(self.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.host.eq_ignore_ascii_case(image.registry()) && (self.path.is_empty() || below())
    }
}

fn check(subject: &Subject<'_>, allowed: &[Allowed], breaches: &mut Vec<Breach>) {
    for image in images(subject) {
        let why = match ImageReference::parse(image.text) {
            Ok(reference) => {
                let repository = reference.repository();
                if allowed.iter().any(|entry| entry.allows(&reference, &repository)) {
                    continue;
                }
                origin(&reference, &repository)
            }
            Err(error) => format!(", which is no image reference: {error}"),
        };
        breaches.push(image.breach(
            format!("is {}{why}", quote(image.text)),
            remedy(allowed),
            None,
        ));
    }
}

/// The registry and path of an image, if the image does not spell them out.
fn origin(reference: &ImageReference<'_>, repository: &str) -> String {
    let whole = format!("{}/{repository}", reference.registry());
    if reference.name == whole {
        ", whose registry is not allowed".to_owned()
    } else {
        format!(", which is {}: that registry is not allowed", clip(&whole))
    }
}

fn remedy(allowed: &[Allowed]) -> String {
    if allowed.is_empty() {
        return "the policy allows no registry at all".to_owned();
    }
    let listed: Vec<_> = allowed.iter().take(MAX_LISTED).map(|it| clip(&it.written)).collect();
    let more = allowed.len().saturating_sub(MAX_LISTED);
    let more = if more == 0 { String::new() } else { format!(" or {more} more") };
    format!("take it from {}{more}", listed.join(", "))
}

fn in_cel(spec: &DevOpsPolicySpec) -> Vec<CelFinding> {
    let Some(entries) = &spec.allowed_registries else { return Vec::new() };
    let entries = entries.iter().enumerate();
    let allowed: Vec<_> =
        entries.filter_map(|(index, entry)| Allowed::parse(index, entry).ok()).collect();
    let allows: Vec<_> = allowed.iter().map(Allowed::in_cel).collect();
    let whole = "(x.reg + '/' + x.repo)";
    let problem = format!(
        "'is ' + {} + (x.bad != '' ? ', which is no image reference: ' + x.bad : x.name == {whole} ? \
         ', whose registry is not allowed' : ', which is ' + {} + ': that registry is not allowed')",
        quoted("x.i"),
        clipped(whole),
    );
    let broken = format!("x.bad != '' || !{}", any(&allows));
    let found = CelFinding::of_images(broken).at_path("x.at").because("x.i", problem);
    vec![found.remedy(&remedy(&allowed)).lasting(REPOSITORY)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{breaches, enabled};
    use super::RULE;
    use crate::policy::rule::Phase;

    fn allows(entry: &str, image: &str) -> bool {
        let policy = enabled("allowedRegistries", &format!("[{entry:?}]"));
        let spec = format!(r#"{{"containers": [{{"name": "web", "image": "{image}"}}]}}"#);
        breaches(&RULE, &policy, &spec).is_empty()
    }

    #[test]
    fn whole_parts_of_the_path_count_and_hosts_are_compared_without_case() {
        for (entry, image, expected) in [
            ("ghcr.io", "ghcr.io/team/web:1", true),
            ("ghcr.io", "GHCR.io/team/web:1", true),
            ("GHCR.IO/team", "ghcr.io/team/web:1", true),
            ("ghcr.io/team", "ghcr.io/team", true),
            ("ghcr.io/team/", "ghcr.io/team/web", true),
            ("ghcr.io/team", "ghcr.io/team-b/web", false),
            ("ghcr.io/team", "ghcr.io/other/team/web", false),
            ("ghcr.io", "ghcr.io.evil.example/web", false),
            ("ghcr.io", "ghcr.io:5000/web", false),
            ("registry:5000", "registry:5000/web", true),
            ("registry:5000", "registry:5001/web", false),
            ("localhost", "localhost/web", true),
            ("docker.io", "nginx", true),
            ("docker.io/library", "nginx", true),
            ("docker.io/library", "team/nginx", false),
            ("docker.io/team", "team/nginx:1", true),
            ("index.docker.io/library", "nginx", true),
            ("docker.io", "index.docker.io/library/nginx", true),
            ("[fd00::1]:5000", "[fd00::1]:5000/web:1", true),
            ("ghcr.io", "NOT AN IMAGE", false),
        ] {
            assert_eq!(allows(entry, image), expected, "{entry} for {image}");
        }
    }

    #[test]
    fn an_entry_that_can_match_nothing_refuses_the_policy() {
        let refused = |entry: &str| {
            let Phase::Spec(compile) = RULE.phase else { unreachable!() };
            let policy = enabled("allowedRegistries", &format!("[\"ghcr.io\", {entry:?}]"));
            compile(&policy).err().expect("the entry was accepted").to_string()
        };
        insta::assert_snapshot!(refused("library"), @r#"spec.allowedRegistries[1]: "library" starts with no registry's host; write docker.io/library if it is on Docker Hub"#);
        insta::assert_snapshot!(refused("https://ghcr.io"), @r#"spec.allowedRegistries[1]: "https://ghcr.io" is no registry: its registry host is malformed"#);
        insta::assert_snapshot!(refused("ghcr.io/Team"), @r#"spec.allowedRegistries[1]: "ghcr.io/Team" is no registry: its repository must be lower case"#);
    }

    #[test]
    fn the_sentence_names_the_registry_of_the_image_and_the_allowed_ones() {
        let policy = enabled("allowedRegistries", r#"["a.io", "b.io/x", "c.io", "d.io"]"#);
        let sentence = |image: &str| {
            let spec = format!(r#"{{"containers": [{{"name": "web", "image": "{image}"}}]}}"#);
            breaches(&RULE, &policy, &spec).remove(0).sentence()
        };
        insta::assert_snapshot!(sentence("nginx"), @r#"spec.containers[0].image is "nginx", which is docker.io/library/nginx: that registry is not allowed; take it from a.io, b.io/x, c.io or 1 more"#);
        insta::assert_snapshot!(sentence("ghcr.io/a/b:1"), @r#"spec.containers[0].image is "ghcr.io/a/b:1", whose registry is not allowed; take it from a.io, b.io/x, c.io or 1 more"#);
    }
}
