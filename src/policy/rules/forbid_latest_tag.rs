//! Forbids images that float on `latest`.
//!
//! `latest` does not identify an image: two nodes that pull at different times run different code, and a rollback pulls
//! the same name again. An image without a tag means `latest`. An image with a digest always means the same bytes,
//! whatever its tag, so it passes.
//!
//! A text that is not an image reference is a violation too, because nothing could pull it. If an injector that runs
//! after podgate replaces a placeholder, exempt the workload.

use super::super::image::ImageReference;
use super::super::rule::{Breach, Phase, Rule, examples, module_comment};
use super::super::subject::Subject;
use super::super::text::{self, quote};
use super::super::vap::expression::{clip, quote as quoted};
use super::super::vap::form::{CelFinding, Form};
use super::images::{REPOSITORY, images, retag};
use crate::api::{DevOpsPolicySpec, ImageTag, Severity};

pub static RULE: Rule = Rule {
    id: "forbidLatestTag",
    severity: Severity::High,
    phase: Phase::Spec(|spec| {
        if spec.forbid_latest_tag != Some(true) {
            return Ok(None);
        }
        let tags = spec.image_tags.clone().unwrap_or_default();
        Ok(Some(Box::new(move |subject, breaches| check(subject, &tags, breaches))))
    }),
    reads: &["imageTags"],
    checks: &[],
    reads_document: false,
    vap: Form::Cel(in_cel),
    comment: module_comment!("forbid_latest_tag.rs"),
    examples: examples!("forbidLatestTag", "fail", "fixed"),
};

fn check(subject: &Subject<'_>, tags: &[ImageTag], breaches: &mut Vec<Breach>) {
    for image in images(subject) {
        let (why, remedy) = match ImageReference::parse(image.text) {
            Ok(reference) if !reference.floats_on_latest() => continue,
            Ok(reference) => {
                let why = if reference.tag.is_none() { " (no tag means :latest)" } else { "" };
                let name = text::clip(reference.name);
                (why.to_owned(), format!("pin the version that should run: {name}:VERSION"))
            }
            Err(error) => (
                format!(", which is no image reference: {error}"),
                "write it as NAME:VERSION".to_owned(),
            ),
        };
        let problem = format!("is {}{why}", quote(image.text));
        breaches.push(image.breach(problem, remedy, retag(tags, image.text, |_| true)));
    }
}

fn in_cel(spec: &DevOpsPolicySpec) -> Vec<CelFinding> {
    if spec.forbid_latest_tag != Some(true) {
        return Vec::new();
    }
    let problem = format!(
        "'is ' + {} + (x.bad != '' ? ', which is no image reference: ' + x.bad : x.tagged ? '' : ' (no tag means :latest)')",
        quoted("x.i")
    );
    let remedy = format!(
        "(x.bad != '' ? 'write it as NAME:VERSION' : 'pin the version that should run: ' + {} + ':VERSION')",
        clip("x.name")
    );
    let broken = "x.bad != '' || !x.pinned && (!x.tagged || x.tag == 'latest')";
    let found = CelFinding::of_images(broken).at_path("x.at").because("x.i", problem);
    vec![found.remedy_of(remedy).lasting(REPOSITORY)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{breaches, enabled};
    use super::RULE;

    fn paths(spec: &str) -> Vec<String> {
        let policy = enabled("forbidLatestTag", "true");
        breaches(&RULE, &policy, spec).into_iter().map(|breach| breach.path).collect()
    }

    #[test]
    fn every_list_of_containers_and_every_image_volume_is_looked_at() {
        let spec = r#"{
            "initContainers": [{"name": "a", "image": "busybox"}],
            "containers": [{"name": "b", "image": "nginx:1.29"}, {"name": "c", "image": "nginx:latest"}],
            "ephemeralContainers": [{"name": "d", "image": "registry:5000/debug"}],
            "volumes": [{"name": "x"}, {"name": "y", "image": {"reference": "models/llm"}}]
        }"#;
        assert_eq!(
            paths(spec),
            [
                "spec.initContainers[0].image",
                "spec.containers[1].image",
                "spec.ephemeralContainers[0].image",
                "spec.volumes[1].image.reference",
            ]
        );
    }

    #[test]
    fn the_sentence_says_what_was_found_and_what_would_pass() {
        let policy = enabled("forbidLatestTag", "true");
        let found = |image: &str| {
            let spec = format!(r#"{{"containers": [{{"name": "web", "image": "{image}"}}]}}"#);
            let breach = breaches(&RULE, &policy, &spec).remove(0);
            format!("{} {}; {}", breach.path, breach.problem, breach.remedy)
        };
        insta::assert_snapshot!(found("nginx"), @r#"spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION"#);
        insta::assert_snapshot!(found("ghcr.io/a/b:latest"), @r#"spec.containers[0].image is "ghcr.io/a/b:latest"; pin the version that should run: ghcr.io/a/b:VERSION"#);
        insta::assert_snapshot!(found(""), @r#"spec.containers[0].image is "", which is no image reference: it is empty; write it as NAME:VERSION"#);
        insta::assert_snapshot!(found("Nginx:1"), @r#"spec.containers[0].image is "Nginx:1", which is no image reference: its repository must be lower case; write it as NAME:VERSION"#);
    }

    #[test]
    fn false_switches_the_rule_off_as_absence_does() {
        let spec = r#"{"containers": [{"name": "web", "image": "nginx"}]}"#;
        assert!(breaches(&RULE, &enabled("forbidLatestTag", "false"), spec).is_empty());
        assert!(breaches(&RULE, &enabled("requireLivenessProbe", "true"), spec).is_empty());
    }
}
