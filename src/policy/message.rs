//! The text of denials and warnings. Its form is a contract (`docs/admission.md`), which snapshot tests check.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::decision::Decision;
use super::engine::Finding;
use super::rule::Breach;
use super::subject::Subject;
use super::text::{MAX_VALUE, brief, clip};

/// The longest denial, in bytes. The API server passes it on whole.
const MAX_DENIAL: usize = 4096;
/// The most contacts in a denial.
const MAX_CONTACTS: usize = 3;
/// The most policies named beside a contact.
const MAX_NAMES: usize = 4;
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
    let rules = denied.iter().map(Finding::id).collect::<BTreeSet<_>>().len();
    let mut text = String::with_capacity(MAX_DENIAL);
    let _ = writeln!(text, "{object} breaks {}", broken(rules, denied.len()));
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
    learn_more += &contacts(denied);
    let room = MAX_DENIAL - learn_more.len() - "  and 1000000 more violations\n".len();
    for (rendered, finding) in denied.iter().enumerate() {
        let before = text.len();
        render(finding, &mut text);
        if text.len() > room {
            text.truncate(before);
            let more = denied.len() - rendered;
            let _ = writeln!(text, "  and {more} more violation{}", plural(more));
            break;
        }
    }
    text + &learn_more
}

/// `2 rules`, or `2 rules (5 violations)` where the list has several violations of a rule.
pub fn broken(rules: usize, violations: usize) -> String {
    let text = format!("{rules} rule{}", plural(rules));
    if rules == violations { text } else { format!("{text} ({violations} violations)") }
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A line for each contact of the policies that denied. Of several contacts, each says whose it is.
fn contacts(denied: &[Finding<'_>]) -> String {
    let mut contacts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for policy in denied.iter().map(|it| it.policy) {
        if let Some(contact) = &policy.contact {
            contacts.entry(contact).or_default().insert(&policy.label);
        }
    }
    let several = contacts.len() > 1;
    let line = |(contact, policies): (&str, BTreeSet<&str>)| {
        let line = format!("\ncontact: {}", clip(contact));
        if !several {
            return line;
        }
        let policy = if policies.len() == 1 { "policy" } else { "policies" };
        let names: Vec<_> = policies.into_iter().take(MAX_NAMES).map(clip).collect();
        format!("{line} ({policy} {})", brief(names.join(", "), MAX_VALUE))
    };
    contacts.into_iter().take(MAX_CONTACTS).map(line).collect()
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
    for part in ["\n    ", &finding.sentence(), "\n"] {
        text.push_str(part);
    }
}

/// The warnings of a review, allowed or denied. kubectl prints one line for each.
pub fn warnings(decision: &Decision<'_>) -> Vec<String> {
    let mut lines: Vec<_> = grace(decision).into_iter().collect();
    let room = MAX_WARNINGS - lines.len();
    let warned = decision.graced.len() + decision.warned.len();
    let shown = if warned > room { room - 1 } else { warned };
    lines.extend(decision.graced.iter().chain(&decision.warned).take(shown).map(warning));
    if warned > shown {
        lines.push(format!("podgate: and {} more: podgate scan", warned - shown));
    }
    lines
}

/// The line that says until when the object is admitted, and by which policy's grace: of several, the one that ends
/// first.
fn grace(decision: &Decision<'_>) -> Option<String> {
    let ends = decision.graced.iter().filter_map(|it| Some((it.policy.grace_until?, it.policy)));
    let (end, policy) = ends.min_by_key(|(end, _)| *end)?;
    let text = format!("podgate: denied from {end} on (graceUntil of policy {})", policy.label);
    Some(brief(text, MAX_WARNING))
}

fn warning(finding: &Finding<'_>) -> String {
    let breach = &finding.breach;
    let container = breach.container.as_deref().map(|name| format!(" {}", clip(name)));
    let field = field(&breach.path);
    let gap = if field.is_empty() { "" } else { " " };
    let text = format!(
        "podgate: {} ({}){}: {field}{gap}{}{}",
        finding.id(),
        finding.severity,
        container.unwrap_or_default(),
        breach.problem,
        finding.expiry(),
    );
    // The API server drops a warning with a control character.
    brief(text, MAX_WARNING)
}

/// The end of a path that names a field: `image`, `limits.memory`, `capabilities.drop`.
fn field(path: &str) -> &str {
    // A key in brackets may contain dots.
    let named = path.split("[\"").next().unwrap_or_default();
    let Some(dot) = named.rfind('.') else { return path };
    let parent = named.get(..dot).unwrap_or_default();
    let start = parent.rfind('.').map_or(0, |dot| dot + 1);
    let holder = parent.get(start..).unwrap_or_default();
    // The parents of many fields, and elements of lists, say nothing that the rule and the container do not.
    let plain = matches!(holder, "spec" | "metadata" | "securityContext") || holder.ends_with(']');
    path.get(if plain { dot + 1 } else { start }..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::decision::decide;
    use super::super::engine::judge;
    use super::super::inherited::Before;
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
        let decision = decide(findings, &Before::Nothing, Timestamp::UNIX_EPOCH);
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
        Deployment shop/cart breaks 2 rules (4 violations)
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
        contact: #platform (policy platform)
        contact: jane@example.com (policy shop/team)
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
    fn a_contact_is_shared_by_policies_and_one_alone_needs_no_name() {
        let policy = |name: &str, contact: &str| {
            let spec = serde_json::json!({"enforcementMode": "enforce", "forbidLatestTag": true, "contact": contact});
            let spec = serde_json::from_value(spec).unwrap();
            Policy::compile(Scope::Namespace("shop".to_owned()), name.to_owned(), &spec).unwrap()
        };
        let json = deployment("cart", r#"{"name":"web","image":"nginx"}"#);
        let contacts = |policies: Vec<Policy>| {
            let text = with_decision(policies, &json, |_, decision| denial("x", decision, None));
            let lines = text.lines().filter(|line| line.starts_with("contact: "));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(contacts(vec![policy("a", "#one"), policy("b", "#one")]), "contact: #one");
        let (long, many) = ("n".repeat(253), (0..9).map(|it| policy(&format!("p{it}"), "#many")));
        let three = [policy("a", "#one"), policy(&long, "\u{1b}#two")];
        assert_eq!(
            contacts(three.into_iter().chain(many).collect()),
            format!(
                "contact: \\u{{1b}}#two (policy shop/{}…)\n\
                 contact: #many (policies shop/p0, shop/p1, shop/p2, shop/p3)\n\
                 contact: #one (policy shop/a)",
                "n".repeat(92)
            )
        );
    }

    #[test]
    fn a_denial_counts_the_rules_and_every_violation_that_it_lists() {
        for (rules, violations, expected) in [
            (1, 1, "1 rule"),
            (2, 2, "2 rules"),
            (1, 2, "1 rule (2 violations)"),
            (9, 12, "9 rules (12 violations)"),
        ] {
            assert_eq!(broken(rules, violations), expected);
        }
        let containers = |count: usize| {
            let all: Vec<_> =
                (0..count).map(|i| format!(r#"{{"name":"c{i}","image":"nginx"}}"#)).collect();
            deployment("cart", &all.join(","))
        };
        let text = |count: usize| {
            let policies = vec![policy("baseline", EnforcementMode::Enforce)];
            with_decision(policies, &containers(count), |_, decision| denial("x", decision, None))
        };
        for count in 1..30 {
            let text = text(count);
            let listed = text.lines().filter(|line| line.contains(" · policy ")).count();
            let more = text.lines().find_map(|line| line.strip_prefix("  and "));
            let left = 2 * count - listed;
            let plural = if left == 1 { "" } else { "s" };
            let expected = (left > 0).then(|| format!("{left} more violation{plural}"));
            assert_eq!(more, expected.as_deref(), "{text}");
            let first = text.lines().next().unwrap();
            assert_eq!(first, format!("x breaks {}", broken(2, 2 * count)));
        }
    }

    /// A policy whose exemption of `forbidLatestTag` has ended before [`Timestamp::UNIX_EPOCH`].
    fn ended(name: &str, mode: EnforcementMode, owner: &str, reason: &str) -> Policy {
        let spec = serde_json::json!({
            "enforcementMode": mode, "forbidLatestTag": true, "requireLivenessProbe": true,
            "exemptions": [
                {"rules": ["forbidLatestTag"], "owner": "x", "reason": "first", "expiresAt": "1969-01-01T00:00:00Z"},
                {"rules": ["forbidLatestTag"], "owner": owner, "reason": reason, "expiresAt": "1969-12-24T18:00:00Z"},
                {"rules": ["forbidLatestTag"], "owner": "x", "reason": "other", "expiresAt": "1969-12-31T00:00:00Z", "names": ["other"]},
            ],
        });
        let spec = serde_json::from_value(spec).unwrap();
        Policy::compile(Scope::Namespace("shop".to_owned()), name.to_owned(), &spec).unwrap()
    }

    #[test]
    fn what_was_exempt_says_until_when_by_whom_and_why() {
        let json = deployment("cart", r#"{"name":"web","image":"nginx"}"#);
        let policies = vec![ended("p", EnforcementMode::Enforce, "team-a", "the vendor's image")];
        let text = with_decision(policies, &json, |_, decision| denial("x", decision, None));
        insta::assert_snapshot!(text, @r#"
        x breaks 2 rules
          forbidLatestTag (high) · policy shop/p · container "web"
            spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION; exempt until 1969-12-24 (team-a, the vendor's image)
          requireLivenessProbe (medium) · policy shop/p · container "web"
            spec.template.spec.containers[0].livenessProbe is missing; declare the port it serves and probe that, or probe by a command (exec); exempt it if it serves nobody
        learn more: podgate explain forbidLatestTag · check before you push: podgate scan -f FILE --policy POLICY
        "#);
        let policies = vec![ended("p", EnforcementMode::Warn, "team-a", "\u{1b}k")];
        let lines = with_decision(policies, &json, |_, decision| warnings(decision));
        insta::assert_snapshot!(lines[0], @r#"podgate: forbidLatestTag (high) web: image is "nginx" (no tag means :latest); exempt until 1969-12-24 (team-a, \u{1b}k)"#);
        let policies = vec![ended("p", EnforcementMode::Warn, "team-a", &"long ".repeat(40))];
        let lines = with_decision(policies, &json, |_, decision| warnings(decision));
        assert!(lines[0].len() <= MAX_WARNING, "{}", lines[0]);
        assert!(lines[0].contains("; exempt until 1969-12-24 (team-a, "), "{}", lines[0]);
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
    fn a_warning_names_a_field_that_is_known_by_its_parent_with_it() {
        for (path, expected) in [
            ("spec.containers[0].securityContext.capabilities.drop", "capabilities.drop"),
            ("spec.template.spec.containers[0].resources.limits.memory", "limits.memory"),
            ("spec.containers[0].securityContext.privileged", "privileged"),
            ("spec.containers[12].image", "image"),
            ("spec.template.spec.hostPID", "hostPID"),
            (r#"metadata.labels["a.b/c"]"#, r#"labels["a.b/c"]"#),
            ("spec", "spec"),
            ("", ""),
        ] {
            assert_eq!(field(path), expected);
        }
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
        let (owner, reason) = ("o".repeat(120), "\u{1b}".repeat(256));
        let policies = vec![ended(&"p".repeat(253), EnforcementMode::Enforce, &owner, &reason)];
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
