use serde_json::json;

use super::super::document::Document;
use super::super::engine::judge;
use super::super::object::Object;
use super::super::policy_set::PolicySet;
use super::super::subject::Subject;
use super::super::workload::Kind;
use super::*;
use crate::api::EnforcementMode;
use crate::cel::tree::Tree;

fn resolve(namespace: Option<&str>, spec: &Value, last_good: Option<&str>) -> Resolved {
    Stored { namespace, name: "own", spec, last_good }.resolve()
}

/// What a policy finds in a pod that breaks nothing but what is undecided, each with its sentence.
fn found(policy: Policy) -> Vec<(String, String, bool)> {
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "nginx:1.29"}]}});
    let text = pod.to_string();
    let object: Object = serde_json::from_str(&text).unwrap();
    let document = Document::of(Kind::Pod, Tree::of(&pod).unwrap(), Tree::empty());
    let mut subject = Subject::of(Kind::Pod, &object).unwrap();
    (subject.document, subject.namespace) = (Some(&document), Some("shop"));
    let set = PolicySet::new([Arc::new(policy)], Arc::default());
    let now = jiff::Timestamp::UNIX_EPOCH;
    let judgement = judge(set.covering(Some("shop")).unwrap(), &subject, now);
    judgement
        .violations
        .iter()
        .map(|it| (it.id().into_owned(), it.breach.sentence(), it.breach.undecided))
        .collect()
}

fn validation(name: &str, expression: &str) -> Value {
    json!({"name": name, "expression": expression, "message": "m"})
}

#[test]
fn a_spec_that_compiles_is_in_force_whatever_the_status_says() {
    let spec = json!({"enforcementMode": "enforce"});
    let resolved = resolve(Some("shop"), &spec, Some(r#"{"enforcementMode": "audit"}"#));
    assert!(resolved.fault.is_none());
    let policy = resolved.policy.unwrap();
    assert_eq!(policy.mode, EnforcementMode::Enforce);
    assert_eq!(policy.text.as_deref(), Some(r#"{"enforcementMode":"enforce"}"#));
}

#[test]
fn one_that_does_not_leaves_the_last_good_one_in_force() {
    let bad = json!({"validations": [validation("a", "nonsense(")]});
    let good = r#"{"enforcementMode": "enforce", "excludeNamespaces": ["lab"]}"#;
    let resolved = resolve(None, &bad, Some(good));
    let (fault, fallback) = resolved.fault.unwrap();
    assert!(fault.path.starts_with("spec.validations[0]"), "{fault}");
    assert_eq!(fallback, Fallback::LastGood(good.into()));
    let policy = resolved.policy.unwrap();
    assert_eq!(policy.mode, EnforcementMode::Enforce);
    assert!(!policy.scope.covers("lab", None));
}

#[test]
fn a_validation_that_does_not_compile_is_undecided_and_the_rest_is_in_force() {
    let spec = json!({
        "enforcementMode": "enforce", "forbidLatestTag": true,
        "variables": [{"name": "bad", "expression": "nonsense("}, {"name": "image", "expression": "object.spec.containers[0].image"}],
        "validations": [
            validation("broken", "nonsense("), validation("holds", "variables.image != ''"),
            validation("breaks", "variables.image == ''"), validation("through", "variables.bad"),
        ],
        "severityOverrides": {"validations/broken": "critical"},
        "exemptions": [{"rules": ["validations/through"], "reason": "r", "owner": "o"}],
    });
    // What was in force before an upgrade is the same spec, and compiles no more than that.
    for last_good in [None, Some(spec.to_string()), Some("{".to_owned())] {
        let resolved = resolve(Some("shop"), &spec, last_good.as_deref());
        assert_eq!(resolved.fault.unwrap().1, Fallback::Parts);
        let policy = resolved.policy.unwrap();
        assert_eq!((policy.mode, policy.text.is_none()), (EnforcementMode::Enforce, true));
        let mut found = found(policy);
        found.sort();
        let ids: Vec<_> =
            found.iter().map(|(id, _, undecided)| (id.as_str(), *undecided)).collect();
        assert_eq!(ids, [("validations/breaks", false), ("validations/broken", true)], "{found:?}");
        assert!(
            found[1].1.starts_with("could not be decided: spec.validations[0].expression"),
            "{found:?}"
        );
    }
}

#[test]
fn a_rule_whose_parameters_do_not_compile_is_undecided() {
    let spec = json!({
        "requiredLabels": [{"key": "team", "pattern": "("}], "forbidLatestTag": true,
        "exemptions": [{"rules": ["nonsense"], "reason": "r", "owner": "o"}],
        "severityOverrides": {"nonsense": "low"}, "imageTags": [{"image": "", "tag": ""}],
        "bundle": "newest", "newField": 1, "maxRestartCount": -1,
    });
    let resolved = resolve(Some("shop"), &spec, None);
    let found = found(resolved.policy.unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0.as_str(), found[0].2), ("requiredLabels", true));
}

/// The CRD took any text as a kind once.
#[test]
fn an_exemption_stored_with_a_kind_that_podgate_does_not_judge_still_exempts_the_pods_of_that_controller()
 {
    let spec = json!({"forbidLatestTag": true, "requireLivenessProbe": true, "exemptions": [
        {"rules": ["forbidLatestTag"], "kinds": ["Job", "Workflow"], "reason": "r", "owner": "o"},
    ]});
    let resolved = resolve(Some("shop"), &spec, None);
    assert!(resolved.fault.is_none());
    let policy = resolved.policy.unwrap();
    assert_eq!(
        policy.unknown_kind().unwrap().to_string(),
        "spec.exemptions[0].kinds[1]: podgate does not judge the kind \"Workflow\"; it judges Pod, Deployment, \
         StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob, PodTemplate. For the pods of another \
         controller, leave kinds out and list the controller's name in names"
    );
    let set = PolicySet::new([Arc::new(policy)], Arc::default());
    for (controller, expected) in [("Workflow", 1), ("Task", 2)] {
        let pod = json!({"metadata": {"name": "etl-x", "ownerReferences": [
            {"kind": controller, "name": "etl", "controller": true},
        ]}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}});
        let text = pod.to_string();
        let object: Object = serde_json::from_str(&text).unwrap();
        let mut subject = Subject::of(Kind::Pod, &object).unwrap();
        subject.namespace = Some("shop");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let judgement = judge(set.covering(Some("shop")).unwrap(), &subject, now);
        assert_eq!(judgement.violations.len(), expected, "{controller}");
    }
}

#[test]
fn of_whom_a_policy_asks_is_never_guessed() {
    let selector = json!({"matchExpressions": [{"key": "a", "operator": "Maybe"}]});
    for spec in
        [json!({"namespaceSelector": selector}), json!({"excludeNamespaces": 5}), json!("x")]
    {
        let resolved = resolve(None, &spec, None);
        assert!(resolved.policy.is_none(), "{spec}");
        assert_eq!(resolved.fault.unwrap().1, Fallback::Nothing, "{spec}");
    }
}

#[test]
fn a_spec_that_is_too_long_is_not_kept_and_one_that_is_kept_is_no_longer() {
    let long = json!({"contact": "c".repeat(MAX_LAST_GOOD)});
    assert!(resolve(Some("shop"), &long, None).policy.unwrap().text.is_none());
    let bad = json!({"enforcementMode": "strict"});
    let kept = resolve(Some("shop"), &bad, Some(&long.to_string()));
    assert_eq!(kept.fault.unwrap().1, Fallback::Parts);
}

proptest::proptest! {
    /// Whatever is stored, what of it can be judged is judged, and the same each time.
    #[test]
    fn any_spec_is_in_force_as_far_as_it_can_be(
        field in "forbidLatestTag|requiredLabels|allowedRegistries|validations|variables|exemptions|imageTags|defaultProbe|bundle|x",
        value in "true|5|null|\"a\"|\\[\\]|\\[5\\]|\\{\\}|\\[\\{\\}\\]|\\[\\{\"name\": \"a\", \"expression\": \"1\\(\"\\}\\]",
    ) {
        let mut spec = json!({"enforcementMode": "enforce", "podSecurity": "baseline"});
        spec[field] = serde_json::from_str(&value).unwrap();
        let policy = resolve(Some("shop"), &spec, None).policy.expect("a part compiles");
        proptest::prop_assert_eq!(policy.mode, EnforcementMode::Enforce);
    }
}
