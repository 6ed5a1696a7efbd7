//! Forbids images that float on `latest`.
//!
//! `latest` says nothing about what runs: two nodes that pull at different
//! times run different code, and a roll-back pulls the same name again. An
//! image without a tag means `latest`. One pinned by digest always means the
//! same bytes, whatever its tag says, so it passes.
//!
//! A text that is no image reference is a violation too: nothing could pull it.
//! (An injector that runs after podgate may replace a placeholder; exempt the
//! workload where that is meant.)

use super::super::image::ImageReference;
use super::super::rule::{Breach, Phase, Rule, containers};
use super::super::text::{clip, quote};
use super::super::workload::Subject;
use crate::api::Severity;

pub static RULE: Rule = Rule {
    id: "forbidLatestTag",
    severity: Severity::High,
    phase: Phase::Spec(|spec| spec.forbid_latest_tag?.then(|| Box::new(check) as _)),
    source: include_str!("forbid_latest_tag.rs"),
};

fn check(subject: &Subject<'_>, breaches: &mut Vec<Breach>) {
    for place in containers(subject.spec) {
        let name = Some(&*place.container.name);
        breaches.extend(fault(&place.container.image, name, || place.path(subject, "image")));
    }
    for (index, volume) in subject.spec.volumes.iter().flatten().enumerate() {
        let Some(image) = &volume.image else { continue };
        let spec = subject.kind.names().spec_path;
        let path = || format!("{spec}.volumes[{index}].image.reference");
        breaches.extend(fault(&image.reference, None, path));
    }
}

/// What is wrong with an image, and what would pass.
fn fault(image: &str, container: Option<&str>, path: impl FnOnce() -> String) -> Option<Breach> {
    let (why, remedy) = match ImageReference::parse(image) {
        Ok(reference) if !reference.floats_on_latest() => return None,
        Ok(reference) => {
            let why = if reference.tag.is_none() { " (no tag means :latest)" } else { "" };
            (why.to_owned(), format!("give a version, such as {}:1.29", clip(reference.name)))
        }
        Err(error) => (
            format!(", which is no image reference: {error}"),
            "give a name and a version, such as nginx:1.29".to_owned(),
        ),
    };
    Some(Breach {
        container: container.map(str::to_owned),
        path: path(),
        value: Some(image.to_owned()),
        problem: format!("is {}{why}", quote(image)),
        remedy,
    })
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
        insta::assert_snapshot!(found("nginx"), @r#"spec.containers[0].image is "nginx" (no tag means :latest); give a version, such as nginx:1.29"#);
        insta::assert_snapshot!(found("ghcr.io/a/b:latest"), @r#"spec.containers[0].image is "ghcr.io/a/b:latest"; give a version, such as ghcr.io/a/b:1.29"#);
        insta::assert_snapshot!(found(""), @r#"spec.containers[0].image is "", which is no image reference: it is empty; give a name and a version, such as nginx:1.29"#);
        insta::assert_snapshot!(found("Nginx:1"), @r#"spec.containers[0].image is "Nginx:1", which is no image reference: its repository must be lower case; give a name and a version, such as nginx:1.29"#);
    }

    #[test]
    fn false_switches_the_rule_off_as_absence_does() {
        let spec = r#"{"containers": [{"name": "web", "image": "nginx"}]}"#;
        assert!(breaches(&RULE, &enabled("forbidLatestTag", "false"), spec).is_empty());
        assert!(breaches(&RULE, &enabled("requireLivenessProbe", "true"), spec).is_empty());
    }
}
