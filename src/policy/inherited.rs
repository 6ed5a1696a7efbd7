//! Which violations were there before, and what an object may therefore keep.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::engine::Finding;
use super::grace::by_controller;
use super::image::ImageReference;
use super::object::MAX_ITEMS;
use super::rule::Breach;
use super::rules::pod_security::MAX_SHOWN;
use super::subject::Subject;

/// Which violations an object inherits, from the old object or from its owner. Inherited violations warn instead of
/// deny.
pub enum Before<'a> {
    /// None: the object is new.
    Nothing,
    /// All, of policies in their grace: one of Kubernetes' controllers creates the object from a template that is there
    /// ([`super::grace`]).
    OwnersTemplate,
    /// All: the template did not change, so changes of labels, scale or finalizers must not be denied for it.
    SameTemplate,
    /// Those of the old template, of policies in their grace. For other policies a changed template is judged whole,
    /// because its new pods would be denied anyway.
    Template(Old<'a>),
    /// Those of the old pod: most fields of a pod cannot be changed, so only new violations deny.
    Pod(Old<'a>),
}

impl Before<'_> {
    /// That of an object whose creator is not known, as its controlling owner's controller would create it again.
    pub fn made_again(subject: &Subject<'_>) -> Self {
        if by_controller(subject) { Self::OwnersTemplate } else { Self::Nothing }
    }
}

/// A pod or a template before an update.
pub struct Old<'a> {
    /// Its violations, exempt or not: a pod that was created under an exemption must accept other changes even if the
    /// exemption has expired, or matches an owner that the change removes.
    pub findings: Vec<Finding<'a>>,
    /// Whether all fields that a breach was made from are unchanged. Called if the breach does not hold the value
    /// found.
    pub same: &'a dyn Fn(&Breach) -> bool,
}

/// Whether a violation was there before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Inherited {
    /// It is new.
    No,
    /// It counts as new, unless its policy is in its grace.
    InGrace,
    /// It was there, and denies nothing.
    Always,
}

impl Inherited {
    /// Each violation, with whether it was there before.
    pub fn of<'p>(findings: Vec<Finding<'p>>, before: &Before<'_>) -> Vec<(Finding<'p>, Self)> {
        let inherited: Vec<_> = match before {
            Before::Nothing => vec![Self::No; findings.len()],
            Before::OwnersTemplate => vec![Self::InGrace; findings.len()],
            Before::SameTemplate => vec![Self::Always; findings.len()],
            Before::Pod(old) => {
                let known: HashSet<_> = old.findings.iter().map(FindingKey::of).collect();
                let had = |it| had(old, it, known.contains(&FindingKey::of(it)));
                findings.iter().map(|it| if had(it) { Self::Always } else { Self::No }).collect()
            }
            Before::Template(old) => {
                let known: HashSet<_> = old.findings.iter().flat_map(TemplateKey::of).collect();
                let cut = CutLists::of(&findings);
                let had = |it| {
                    let known = TemplateKey::of(it).iter().all(|key| known.contains(key))
                        && !cut.may_hide(it);
                    had(old, it, known)
                };
                findings.iter().map(|it| if had(it) { Self::InGrace } else { Self::No }).collect()
            }
        };
        findings.into_iter().zip(inherited).collect()
    }
}

/// Whether the old object had a violation; `known` is whether it had one with the same key.
fn had(old: &Old<'_>, finding: &Finding<'_>, known: bool) -> bool {
    let Breach { reads, undecided, .. } = &*finding.breach;
    let holds_its_value = reads.is_none() && !undecided;
    known && (holds_its_value || (old.same)(&finding.breach))
}

/// The identity of a violation across versions of a pod. Paths are stable: the API server removes no container from a
/// pod and appends new ones. The policy is part of it because two policies may have validations with the same name.
#[derive(Eq, Hash, PartialEq)]
pub struct FindingKey<'f> {
    policy: &'f str,
    rule: &'static str,
    check: Option<&'f str>,
    container: Option<&'f str>,
    path: &'f str,
    value: Option<&'f str>,
}

impl<'f> FindingKey<'f> {
    pub fn of(finding: &'f Finding<'_>) -> Self {
        let Breach { check, container, path, value, .. } = &*finding.breach;
        Self {
            policy: &finding.policy.label,
            rule: finding.rule.id,
            check: check.as_deref(),
            container: container.as_deref(),
            path,
            value: value.as_deref(),
        }
    }
}

/// The identity of a violation across versions of a template, which may get another container before the others, or a
/// new version of an image: containers count by name, items of lists by value, and images by repository.
#[derive(Eq, Hash, PartialEq)]
struct TemplateKey<'f> {
    policy: &'f str,
    rule: &'static str,
    check: Option<&'f str>,
    container: Option<&'f str>,
    path: Cow<'f, str>,
    value: Option<Cow<'f, str>>,
}

impl<'f> TemplateKey<'f> {
    /// One key, or one for each capability of a violation that names several.
    fn of(finding: &'f Finding<'_>) -> Vec<Self> {
        let FindingKey { policy, rule, check, container, path, value } = FindingKey::of(finding);
        let key = |value: Option<Cow<'f, str>>| {
            let named = container.is_some() || value.is_some();
            let path = if named { Cow::Owned(without_indices(path)) } else { Cow::Borrowed(path) };
            Self { policy, rule, check, container, path, value }
        };
        match value {
            // Whatever it drops, it does not drop all.
            _ if path.ends_with(".capabilities.drop") => vec![key(None)],
            Some(names) if path.ends_with(".capabilities.add") => {
                names.split(", ").map(|name| key(Some(name.into()))).collect()
            }
            value => {
                vec![key(value.map(|value| image_repository(path, value).unwrap_or(value.into())))]
            }
        }
    }
}

/// A path without the places in lists: `spec.containers[].image`.
fn without_indices(path: &str) -> String {
    let mut parts = path.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|it: char| it.is_ascii_digit());
        text + "[" + if rest.starts_with(']') { rest } else { part }
    })
}

/// The registry and repository of an image; `None` for other fields, and for what is no image.
fn image_repository(path: &str, value: &str) -> Option<Cow<'static, str>> {
    if !(path.ends_with("].image") || path.ends_with("].image.reference")) {
        return None;
    }
    let image = ImageReference::parse(value).ok()?;
    Some(ImageReference { tag: None, digest: None, ..image }.canonical().into())
}

/// The lists of which a check reports only the first items: a new violation may be among the others.
struct CutLists<'f> {
    findings: usize,
    /// By policy, check and container.
    reported: HashMap<(&'f str, Cow<'static, str>, Option<&'f str>), usize>,
}

impl<'f> CutLists<'f> {
    fn of(findings: &'f [Finding<'_>]) -> Self {
        let mut reported = HashMap::new();
        for finding in findings {
            *reported.entry(list_key(finding)).or_default() += 1;
        }
        Self { findings: findings.len(), reported }
    }

    fn may_hide(&self, finding: &'f Finding<'_>) -> bool {
        let reported = self.reported.get(&list_key(finding)).copied().unwrap_or(0);
        reported >= MAX_SHOWN || self.findings >= MAX_ITEMS
    }
}

fn list_key<'f>(finding: &'f Finding<'_>) -> (&'f str, Cow<'static, str>, Option<&'f str>) {
    (&finding.policy.label, finding.id(), finding.breach.container.as_deref())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::super::compile::Policy;
    use super::super::engine::judge;
    use super::super::object::Object;
    use super::super::policy_set::PolicySet;
    use super::super::scope::{Scope, Selection};
    use super::super::subject::Subject;
    use super::super::workload::Kind;
    use super::*;

    fn set() -> PolicySet {
        let spec = json!({
            "podSecurity": "baseline", "requireImageDigest": true, "allowedRegistries": ["ghcr.io"],
            "requireResourceLimits": ["memory"],
        });
        let spec = serde_json::from_value(spec).unwrap();
        let scope = Scope::Cluster(Selection::default());
        let policy = Policy::compile(scope, "p".to_owned(), &spec).unwrap();
        PolicySet::new([Arc::new(policy)], Arc::default())
    }

    /// The violations of a template that another one did not have, as `RULE CONTAINER`.
    fn new(before: &Value, after: &Value) -> Vec<String> {
        let set = set();
        let found = |template: &Value| {
            let json = json!({"spec": {"template": {"spec": template}}}).to_string();
            let object: Object = serde_json::from_str(&json).unwrap();
            let subject = Subject::of(Kind::Deployment, &object).unwrap();
            judge(set.covering(Some("shop")).unwrap(), &subject, Timestamp::UNIX_EPOCH).violations
        };
        let same = |_: &Breach| false;
        let before = Before::Template(Old { findings: found(before), same: &same });
        let found = Inherited::of(found(after), &before);
        let new = found.iter().filter(|(_, inherited)| *inherited == Inherited::No);
        let container = |it: &Finding<'_>| it.breach.container.clone().unwrap_or_default();
        let mut new: Vec<_> = new
            .map(|(it, _)| format!("{} {}", it.id(), container(it)).trim_end().to_owned())
            .collect();
        new.sort();
        new
    }

    fn container(name: &str, image: &str) -> Value {
        json!({"name": name, "image": image})
    }

    fn good() -> Value {
        json!({"name": "good", "image": format!("ghcr.io/team/good@sha256:{}", "a".repeat(64)),
            "resources": {"limits": {"memory": "64Mi"}}})
    }

    #[test]
    fn a_new_version_of_an_image_keeps_its_violations_and_another_image_does_not() {
        let of = |image: &str| json!({"containers": [container("web", image)]});
        let old = of("nginx:1.28");
        assert!(new(&old, &old).is_empty());
        for same in [
            "nginx:1.29",
            "nginx",
            "docker.io/library/nginx:1.29",
            "index.docker.io/library/nginx:2",
        ] {
            assert!(new(&old, &of(same)).is_empty(), "{same}");
        }
        let both = ["allowedRegistries web", "requireImageDigest web"];
        for other in
            ["redis:1.28", "evil.example/library/nginx:1.28", "nginx.evil.example/x", "nginx:1.28 "]
        {
            assert_eq!(new(&old, &of(other)), both, "{other}");
        }
        assert_eq!(new(&of("ghcr.io/nginx:1"), &of("ghcr.io/nginx:2")), [""; 0]);
        let pinned = format!("nginx@sha256:{}", "a".repeat(64));
        assert_eq!(
            new(&of(&pinned), &of("nginx:1")),
            ["requireImageDigest web"],
            "the old one had none"
        );
    }

    #[test]
    fn a_container_keeps_its_violations_at_another_place_and_passes_them_to_no_other() {
        let old = json!({"containers": [container("web", "nginx:1")]});
        let beside = json!({"containers": [good(), container("web", "nginx:1")]});
        assert!(new(&old, &beside).is_empty() && new(&beside, &old).is_empty());
        let all = ["allowedRegistries b", "requireImageDigest b", "requireResourceLimits b"];
        let two = json!({"containers": [container("web", "nginx:1"), container("b", "nginx:1")]});
        assert_eq!(new(&old, &two), all);
        let moved =
            json!({"containers": [good()], "initContainers": [container("web", "nginx:1")]});
        let all = all.map(|it| it.replace(" b", " web"));
        assert_eq!(new(&old, &moved), all, "an init container is another one");
    }

    #[test]
    fn a_privilege_that_the_old_template_had_is_kept_and_a_further_one_is_new() {
        let with = |spec: Value| {
            let mut template = json!({"containers": [good()]});
            template.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            template
        };
        let volume = |name: &str, path: &str| json!({"name": name, "hostPath": {"path": path}});
        let old = with(json!({"hostPID": true, "volumes": [volume("a", "/var/log")]}));
        let two =
            with(json!({"hostPID": true, "volumes": [{"name": "b"}, volume("a", "/var/log")]}));
        assert!(new(&old, &two).is_empty());
        let other = with(json!({"hostPID": true, "hostIPC": true, "volumes": [volume("a", "/")]}));
        assert_eq!(
            new(&old, &other),
            ["podSecurity/hostNamespaces", "podSecurity/hostPathVolumes"]
        );
        assert!(new(&old, &with(json!({}))).is_empty());
    }

    #[test]
    fn fewer_capabilities_are_no_new_violation_and_another_one_is() {
        let of = |names: &[&str]| {
            let mut container = good();
            container["securityContext"] = json!({"capabilities": {"add": names}});
            json!({"containers": [container]})
        };
        let old = of(&["NET_ADMIN", "SYS_ADMIN"]);
        for kept in [&["SYS_ADMIN"][..], &["SYS_ADMIN", "NET_ADMIN"], &["CHOWN"], &[]] {
            assert!(new(&old, &of(kept)).is_empty(), "{kept:?}");
        }
        let check = ["podSecurity/capabilities_baseline good"];
        assert_eq!(new(&old, &of(&["SYS_ADMIN", "SYS_PTRACE"])), check);
        assert_eq!(new(&old, &of(&["SYS_ADMIN", ""])), check);
    }

    /// A check reports the first violations of a list only.
    #[test]
    fn nothing_hides_behind_a_list_that_is_longer_than_what_is_reported() {
        let of = |count: usize, last: &str| {
            let volume =
                |it| json!({"name": format!("v{it}"), "hostPath": {"path": format!("/v{it}")}});
            let mut volumes: Vec<_> = (0..count).map(volume).collect();
            volumes.push(json!({"name": "last", "hostPath": {"path": last}}));
            json!({"containers": [good()], "volumes": volumes})
        };
        assert!(new(&of(MAX_SHOWN - 2, "/x"), &of(MAX_SHOWN - 2, "/x")).is_empty());
        assert_eq!(new(&of(MAX_SHOWN - 2, "/x"), &of(MAX_SHOWN - 2, "/")).len(), 1);
        assert_eq!(new(&of(MAX_SHOWN, "/x"), &of(MAX_SHOWN, "/")).len(), MAX_SHOWN);
    }

    #[test]
    fn a_path_without_places_keeps_everything_else() {
        for (path, expected) in [
            ("spec.containers[10].ports[2].hostPort", "spec.containers[].ports[].hostPort"),
            (r#"metadata.labels["app"]"#, r#"metadata.labels["app"]"#),
            ("spec.hostPID", "spec.hostPID"),
            ("", ""),
        ] {
            assert_eq!(without_indices(path), expected);
        }
    }
}
