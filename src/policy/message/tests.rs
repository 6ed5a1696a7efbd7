use super::super::decision::decide;
use super::super::engine::judge;
use super::super::inherited::Before;
use super::super::object::Object;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::compile::Policy;
use super::super::policy_set::PolicySet;
use super::super::recheck::{KubectlVerb, ScanAs};
use super::super::scope::Scope;
use super::super::workload::Kind;
use super::*;
use crate::api::{DevOpsPolicySpec, EnforcementMode};

const RECHECK: Recheck<'static> = Recheck {
    namespace: Some("shop"),
    kubectl: Some(KubectlVerb::Apply),
    scan: Some(ScanAs::User),
    live: true,
};

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
        denial(&object_name(subject, Some("shop")), decision, None, &RECHECK)
    });
    insta::assert_snapshot!(text, @r#"
    Deployment shop/cart breaks 2 rules
      forbidLatestTag (high) · policy shop/baseline · container "web"
        spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
      requireLivenessProbe (medium) · policy shop/baseline · container "web"
        spec.template.spec.containers[0].livenessProbe is missing; declare the port it serves and probe that, or probe by a command (exec); exempt it if it serves nobody
    learn more: podgate explain forbidLatestTag
    check before you push: kubectl apply --dry-run=server -f FILE -n shop · podgate scan FILE --live --fail-on denied -n shop
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
        denial(&object, decision, Some("https://docs.example.com/pods"), &RECHECK)
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
    learn more: podgate explain forbidLatestTag
    check before you push: kubectl apply --dry-run=server -f FILE -n shop · podgate scan FILE --live --fail-on denied -n shop
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
        denial(&object_name(subject, Some("shop")), decision, None, &RECHECK)
    });
    let ends: Vec<_> = text.lines().skip(text.lines().count() - 4).collect();
    insta::assert_snapshot!(ends.join("\n"), @r#"
        spec.template.spec.containers[18].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION
      and 101 more violations
    learn more: podgate explain forbidLatestTag
    check before you push: kubectl apply --dry-run=server -f FILE -n shop · podgate scan FILE --live --fail-on denied -n shop
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
        let text =
            with_decision(policies, &json, |_, decision| denial("x", decision, None, &RECHECK));
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
        with_decision(policies, &containers(count), |_, decision| {
            denial("x", decision, None, &RECHECK)
        })
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
    let text = with_decision(policies, &json, |_, decision| denial("x", decision, None, &RECHECK));
    insta::assert_snapshot!(text, @r#"
    x breaks 2 rules
      forbidLatestTag (high) · policy shop/p · container "web"
        spec.template.spec.containers[0].image is "nginx" (no tag means :latest); pin the version that should run: nginx:VERSION; exempt until 1969-12-24 (team-a, the vendor's image)
      requireLivenessProbe (medium) · policy shop/p · container "web"
        spec.template.spec.containers[0].livenessProbe is missing; declare the port it serves and probe that, or probe by a command (exec); exempt it if it serves nobody
    learn more: podgate explain forbidLatestTag
    check before you push: kubectl apply --dry-run=server -f FILE -n shop · podgate scan FILE --live --fail-on denied -n shop
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
    podgate: and 8 more: podgate scan FILE --live
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
        denial(
            &object_name(subject, Some(&"s".repeat(63))),
            decision,
            Some(&"u".repeat(500)),
            &RECHECK,
        )
    });
    assert!(text.len() <= MAX_DENIAL, "{} bytes", text.len());
    let second = text.match_indices("\n  forbidLatestTag").nth(1).unwrap().0;
    assert!(second <= 900, "the first violation ends at byte {second}");
    assert!(text.contains(" more violations\nlearn more:"), "{text}");
}

#[test]
fn a_pod_without_a_name_is_shown_by_its_generated_prefix() {
    let json = r#"{"metadata":{"generateName":"cart-"},"spec":{"containers":[{"name":"web"}]}}"#;
    let object: Object = serde_json::from_str(json).unwrap();
    let subject = Subject::of(Kind::Pod, &object).unwrap();
    assert_eq!(object_name(&subject, Some("shop")), "Pod shop/cart-*");
}
