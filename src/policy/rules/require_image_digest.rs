//! Requires every image to be pinned by digest.
//!
//! A tag can be pushed again, and then a cluster runs another image than the one that was tested. A digest identifies
//! the bytes, so every node and every rollback runs the same image. Keep the tag beside it for people to read.

use super::super::image::ImageReference;
use super::super::rule::{Breach, Phase, Rule, examples, module_comment};
use super::super::subject::Subject;
use super::super::text::{self, quote};
use super::super::vap::expression::{clip, quote as quoted};
use super::super::vap::form::{CelFinding, Form};
use super::images::{REPOSITORY, images, retag};
use crate::api::{DevOpsPolicySpec, ImageTag, Severity};

pub static RULE: Rule = Rule {
    id: "requireImageDigest",
    severity: Severity::Medium,
    phase: Phase::Spec(|spec| {
        if spec.require_image_digest != Some(true) {
            return Ok(None);
        }
        let tags = spec.image_tags.clone().unwrap_or_default();
        Ok(Some(Box::new(move |subject, breaches| check(subject, &tags, breaches))))
    }),
    reads: &["imageTags"],
    checks: &[],
    reads_document: false,
    vap: Form::Cel(in_cel),
    comment: module_comment!("require_image_digest.rs"),
    examples: examples!("requireImageDigest", "fail", "fixed"),
};

fn check(subject: &Subject<'_>, tags: &[ImageTag], breaches: &mut Vec<Breach>) {
    for image in images(subject) {
        let (why, named) = match ImageReference::parse(image.text) {
            Ok(reference) if reference.digest.is_some() => continue,
            Ok(_) => ("which names no digest".to_owned(), text::clip(image.text)),
            Err(error) => {
                (format!("which is no image reference: {error}"), "nginx:1.29".to_owned())
            }
        };
        let problem = format!("is {}, {why}", quote(image.text));
        let remedy = format!("pin it, as {named}@sha256:DIGEST");
        let pinned = retag(tags, image.text, |to| to.contains(':'));
        breaches.push(image.breach(problem, remedy, pinned));
    }
}

fn in_cel(spec: &DevOpsPolicySpec) -> Vec<CelFinding> {
    if spec.require_image_digest != Some(true) {
        return Vec::new();
    }
    let problem = format!(
        "'is ' + {} + ', ' + (x.bad != '' ? 'which is no image reference: ' + x.bad : 'which names no digest')",
        quoted("x.i")
    );
    let remedy = format!(
        "'pin it, as ' + (x.bad != '' ? 'nginx:1.29' : {}) + '@sha256:DIGEST'",
        clip("x.i")
    );
    let found = CelFinding::of_images("x.bad != '' || !x.pinned").at_path("x.at");
    vec![found.because("x.i", problem).remedy_of(remedy).lasting(REPOSITORY)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{breaches, enabled};
    use super::RULE;
    use crate::api::DevOpsPolicySpec;

    fn found(policy: &DevOpsPolicySpec, image: &str) -> Vec<super::Breach> {
        let spec = format!(r#"{{"containers": [{{"name": "web", "image": "{image}"}}]}}"#);
        breaches(&RULE, policy, &spec)
    }

    #[test]
    fn a_digest_passes_with_and_without_a_tag_and_a_tag_alone_does_not() {
        let policy = enabled("requireImageDigest", "true");
        let digest = format!("@sha256:{}", "a".repeat(64));
        assert!(found(&policy, &format!("nginx{digest}")).is_empty());
        assert!(found(&policy, &format!("registry:5000/nginx:1.29{digest}")).is_empty());
        insta::assert_snapshot!(found(&policy, "nginx:1.29")[0].sentence(), @r#"spec.containers[0].image is "nginx:1.29", which names no digest; pin it, as nginx:1.29@sha256:DIGEST"#);
        insta::assert_snapshot!(found(&policy, "nginx@sha256:12")[0].sentence(), @r#"spec.containers[0].image is "nginx@sha256:12", which is no image reference: its digest is malformed; pin it, as nginx:1.29@sha256:DIGEST"#);
    }

    #[test]
    fn the_policys_image_tags_give_the_fix_if_they_name_a_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let policy: DevOpsPolicySpec = serde_json::from_str(&format!(
            r#"{{"requireImageDigest": true, "imageTags": [
                {{"image": "nginx", "from": "1.29", "to": "1.30"}},
                {{"image": "docker.io/library/nginx", "from": "1.29", "to": "{digest}"}}]}}"#
        ))
        .unwrap();
        let fix = found(&policy, "nginx:1.29").remove(0).fix.unwrap();
        assert_eq!(fix.value, format!("nginx@{digest}"));
        assert_eq!(found(&policy, "nginx:1.28")[0].fix, None);
    }
}
