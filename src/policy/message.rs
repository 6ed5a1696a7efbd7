//! The text of denials and warnings. Its form is a contract (`docs/admission.md`), which snapshot tests check.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;

use super::decision::Decision;
use super::engine::Finding;
use super::rule::Breach;
use super::subject::Subject;
use super::text::{brief, clip};

/// The longest denial, in bytes. The API server passes it on whole.
const MAX_DENIAL: usize = 4096;
/// The most contacts in a denial.
const MAX_CONTACTS: usize = 3;
/// The most warnings of one review, and the longest warning, in bytes. The API server cuts warnings to 256 characters
/// each once they exceed 4096 in total.
const MAX_WARNINGS: usize = 5;
const MAX_WARNING: usize = 120;

/// The object as a developer names it: `Deployment shop/cart`, or `Pod shop/cart-*` if the API server has yet to
/// generate the name.
pub fn object_name(subject: &Subject<'_>, namespace: Option<&str>) -> String {
    let kind = subject.kind.names().kind;
    let (name, generate_name) =
        subject.metadata.map_or(("", ""), |metadata| (&*metadata.name, &*metadata.generate_name));
    let name = if name.is_empty() { format!("{}*", clip(generate_name)) } else { clip(name) };
    match namespace {
        Some(namespace) => format!("{kind} {}/{name}", clip(namespace)),
        None => format!("{kind} {name}"),
    }
}

/// The text of a denial: every violation with the field at fault, the value found and the remedy; then where to learn
/// more, and the contacts of the policies.
pub fn denial(object: &str, decision: &Decision<'_>, docs_url: Option<&str>) -> String {
    let denied = &decision.denied;
    let mut rules: Vec<_> = denied.iter().map(Finding::id).collect();
    rules.sort_unstable();
    rules.dedup();
    let plural = if rules.len() == 1 { "" } else { "s" };
    let mut text = String::with_capacity(MAX_DENIAL);
    let _ = writeln!(text, "{object} breaks {} rule{plural}", rules.len());
    let mut learn_more = format!(
        "learn more: podgate explain {} · check before you push: podgate scan -f FILE --policy POLICY",
        denied.first().map_or(Cow::Borrowed("RULE"), Finding::id),
    );
    if denied.iter().any(is_template_lacking) {
        learn_more.insert_str(0, "a template is judged as it is written: what a LimitRange or another webhook would add is not seen\n");
    }
    if let Some(url) = docs_url {
        let _ = write!(learn_more, "\ndocs: {}", clip(url));
    }
    let contacts: BTreeSet<_> = denied.iter().filter_map(|it| it.policy.contact.as_ref()).collect();
    for contact in contacts.into_iter().take(MAX_CONTACTS) {
        let _ = write!(learn_more, "\ncontact: {}", clip(contact));
    }
    let room = MAX_DENIAL - learn_more.len() - "  and 1000000 more violations\n".len();
    for (rendered, finding) in denied.iter().enumerate() {
        let before = text.len();
        render(finding, &mut text);
        if text.len() > room {
            text.truncate(before);
            let _ = writeln!(text, "  and {} more violations", denied.len() - rendered);
            break;
        }
    }
    text + &learn_more
}

/// Whether the field is missing in a template, and a LimitRange or a webhook may add it to the pods.
fn is_template_lacking(finding: &Finding<'_>) -> bool {
    let Breach { path, value, .. } = &*finding.breach;
    value.is_none() && path.contains("template.") && path.contains(".resources.")
}

fn render(finding: &Finding<'_>, text: &mut String) {
    for part in ["  ", &finding.id(), " (", finding.severity.as_str(), ") · policy "] {
        text.push_str(part);
    }
    text.push_str(&clip(&finding.policy.label));
    if let Some(container) = &finding.breach.container {
        for part in [" · container \"", &clip(container), "\""] {
            text.push_str(part);
        }
    }
    for part in ["\n    ", &finding.breach.sentence(), "\n"] {
        text.push_str(part);
    }
}

/// The warnings of a review, allowed or denied. kubectl prints one line for each.
pub fn warnings(decision: &Decision<'_>) -> Vec<String> {
    let warned = &decision.warned;
    let shown = if warned.len() > MAX_WARNINGS { MAX_WARNINGS - 1 } else { warned.len() };
    let mut lines: Vec<_> = warned.iter().take(shown).map(warning).collect();
    if warned.len() > shown {
        lines.push(format!("podgate: and {} more: podgate scan", warned.len() - shown));
    }
    lines
}

fn warning(finding: &Finding<'_>) -> String {
    let breach = &finding.breach;
    let container = breach.container.as_deref().map(|name| format!(" {}", clip(name)));
    // A key in brackets may contain dots.
    let named = breach.path.split("[\"").next().unwrap_or_default();
    let field = breach.path.get(named.rfind('.').map_or(0, |dot| dot + 1)..).unwrap_or_default();
    let gap = if field.is_empty() { "" } else { " " };
    let text = format!(
        "podgate: {} ({}){}: {field}{gap}{}",
        finding.id(),
        finding.severity,
        container.unwrap_or_default(),
        breach.problem,
    );
    // The API server drops a warning with a control character.
    brief(text, MAX_WARNING)
}

#[cfg(test)]
mod tests {
    use super::super::decision::{Before, decide};
    use super::super::engine::judge;
    use super::super::object::Object;
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::super::compile::Policy;
    use super::super::policy_set::PolicySet;
    use super::super::scope::Scope;
    use super::super::workload::Kind;
    use super::*;
    use crate::api::{DevOpsPolicySpec, EnforcementMode};

    fn policy(name: &str, mode: EnforcementMode) -> Policy {
        let spec = DevOpsPolicySpec {
            enforcement_mode: Some(mode),
            forbid_latest_tag: Some(true),
            require_liveness_probe: Some(true),
            ..DevOpsPolicySpec::default()
        };
        Policy::compile(Scope::Namespace("shop".to_owned()), name.to_owned(), &spec).unwrap()
    }

    fn with_decision<T>(
        policies: Vec<Policy>,
        json: &str,
        read: impl FnOnce(&Subject<'_>, &Decision<'_>) -> T,
    ) -> T {
        let object: Object = serde_json::from_str(json).unwrap();
        let subject = Subject::of(Kind::Deployment, &object).unwrap();
        let set = PolicySet::new(policies.into_iter().map(Arc::new), Arc::default());
        let plan = set.covering(Some("shop")).unwrap();
        let findings = judge(plan, &subject, Timestamp::UNIX_EPOCH).violations;
        let decision = decide(findings, &Before::Nothing);
        read(&subject, &decision)
    }

    fn deployment(name: &str, containers: &str) -> String {
        format!(
            r#"{{"metadata":{{"name":"{name}"}},"spec":{{"template":{{"spec":{{"containers":[{containers}]}}}}}}}}"#
        )
    }

    #[test]
    fn a_denial_names_the_object_each_rule_the_field_and_the_remedy() {
        let json = deployment("cart", r#"{"name":"web","image":"nginx"}"#);
        let policies = vec![policy("baseline", EnforcementMode::Enforce)];
        let text = with_decision(policies, &json, |subject, decision| {
            denial(&object_name(subject, Some("shop")), decision, None)
        });
        insta::assert_snapshot!(text, @r#"
        Deployment shop/cart breaks 2 rules
          forbidLatestTag (high) · policy shop/baseline · container "web"
            spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
          requireLivenessProbe (medium) · policy shop/baseline · container "web"
            spec.template.spec.containers[0].livenessProbe is missing; declare the port it serves and probe that, or probe by a command (exec); exempt it if it serves nobody
        learn more: podgate explain forbidLatestTag · check before you push: podgate scan -f FILE --policy POLICY
        "#);
    }

    #[test]
    fn a_denial_by_several_policies_names_each_and_whom_to_ask() {
        let spec = |contact: &str| -> DevOpsPolicySpec {
            serde_json::from_value(serde_json::json!({
                "enforcementMode": "enforce", "forbidLatestTag": true,
                "requireResourceLimits": ["memory"], "contact": contact,
            }))
            .unwrap()
        };
        let policy = |scope, name: &str, contact: &str| {
            Policy::compile(scope, name.to_owned(), &spec(contact)).unwrap()
        };
        let everywhere = Scope::Cluster(super::super::scope::Selection::default());
        let policies = vec![
            policy(everywhere, "platform", "#platform"),
            policy(Scope::Namespace("shop".to_owned()), "team", "jane@example.com"),
        ];
        let json = deployment("cart", r#"{"name":"web","image":"nginx"}"#);
        let text = with_decision(policies, &json, |subject, decision| {
            let object = object_name(subject, Some("shop"));
            denial(&object, decision, Some("https://docs.example.com/pods"))
        });
        insta::assert_snapshot!(text, @r#"
        Deployment shop/cart breaks 2 rules
          forbidLatestTag (high) · policy shop/team · container "web"
            spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
          forbidLatestTag (high) · policy platform · container "web"
            spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
          requireResourceLimits (medium) · policy shop/team · container "web"
            spec.template.spec.containers[0].resources.limits.memory is missing; set it, such as memory: 128Mi
          requireResourceLimits (medium) · policy platform · container "web"
            spec.template.spec.containers[0].resources.limits.memory is missing; set it, such as memory: 128Mi
        a template is judged as it is written: what a LimitRange or another webhook would add is not seen
        learn more: podgate explain forbidLatestTag · check before you push: podgate scan -f FILE --policy POLICY
        docs: https://docs.example.com/pods
        contact: #platform
        contact: jane@example.com
        "#);
    }

    #[test]
    fn of_more_violations_than_fit_the_rest_is_counted() {
        let containers: Vec<_> =
            (0..60).map(|i| format!(r#"{{"name":"c{i}","image":"nginx"}}"#)).collect();
        let json = deployment("cart", &containers.join(","));
        let policies = vec![policy("baseline", EnforcementMode::Enforce)];
        let text = with_decision(policies, &json, |subject, decision| {
            denial(&object_name(subject, Some("shop")), decision, None)
        });
        let ends: Vec<_> = text.lines().skip(text.lines().count() - 3).collect();
        insta::assert_snapshot!(ends.join("\n"), @r#"
            spec.template.spec.containers[19].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
          and 100 more violations
        learn more: podgate explain forbidLatestTag · check before you push: podgate scan -f FILE --policy POLICY
        "#);
    }

    #[test]
    fn warnings_are_short_and_few() {
        let containers: Vec<_> =
            (0..6).map(|i| format!(r#"{{"name":"c{i}","image":"nginx"}}"#)).collect();
        let json = deployment("cart", &containers.join(","));
        let policies = vec![policy("baseline", EnforcementMode::Warn)];
        let lines = with_decision(policies, &json, |_, decision| warnings(decision));
        insta::assert_snapshot!(lines.join("\n"), @r#"
        podgate: forbidLatestTag (high) c0: image is "nginx" (no tag means :latest)
        podgate: forbidLatestTag (high) c1: image is "nginx" (no tag means :latest)
        podgate: forbidLatestTag (high) c2: image is "nginx" (no tag means :latest)
        podgate: forbidLatestTag (high) c3: image is "nginx" (no tag means :latest)
        podgate: and 8 more: podgate scan
        "#);
    }

    #[test]
    fn a_warning_names_a_key_whole() {
        let spec = DevOpsPolicySpec {
            enforcement_mode: Some(EnforcementMode::Warn),
            required_labels: serde_json::from_str(r#"[{"key":"app.kubernetes.io/name"}]"#).unwrap(),
            ..DevOpsPolicySpec::default()
        };
        let scope = Scope::Namespace("shop".to_owned());
        let policy = Policy::compile(scope, "baseline".to_owned(), &spec).unwrap();
        let json = deployment("cart", r#"{"name":"web","image":"nginx"}"#);
        let lines = with_decision(vec![policy], &json, |_, decision| warnings(decision));
        insta::assert_snapshot!(lines.join("\n"), @r#"podgate: requiredLabels (low): labels["app.kubernetes.io/name"] is missing"#);
    }

    #[test]
    fn the_longest_names_leave_the_first_violation_within_900_bytes_and_the_text_within_4096() {
        let name = "n".repeat(253);
        let image = format!("{}:latest", "é".repeat(2000));
        let container = format!(r#"{{"name":"{}","image":"{image}"}}"#, "c".repeat(63));
        let json = deployment(&name, &vec![container; 40].join(","));
        let policies = vec![policy(&"p".repeat(253), EnforcementMode::Enforce)];
        let text = with_decision(policies, &json, |subject, decision| {
            denial(&object_name(subject, Some(&"s".repeat(63))), decision, Some(&"u".repeat(500)))
        });
        assert!(text.len() <= MAX_DENIAL, "{} bytes", text.len());
        let second = text.match_indices("\n  forbidLatestTag").nth(1).unwrap().0;
        assert!(second <= 900, "the first violation ends at byte {second}");
        assert!(text.contains(" more violations\nlearn more:"), "{text}");
    }

    #[test]
    fn a_pod_without_a_name_is_shown_by_its_generated_prefix() {
        let json =
            r#"{"metadata":{"generateName":"cart-"},"spec":{"containers":[{"name":"web"}]}}"#;
        let object: Object = serde_json::from_str(json).unwrap();
        let subject = Subject::of(Kind::Pod, &object).unwrap();
        assert_eq!(object_name(&subject, Some("shop")), "Pod shop/cart-*");
    }
}
