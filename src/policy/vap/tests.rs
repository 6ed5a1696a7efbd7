use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::grace::ControllerUsers;
use super::super::policy_set::PolicySet;
use super::super::protected::Protected;
use super::super::registry;
use super::super::rule::Phase;
use super::super::rules::pod_security;
use super::super::scope::{Scope, Selection};
use super::groups::groups;
use super::objects::LOSSES;
use super::*;
use crate::api::DevOpsPolicySpec;

fn policy(scope: Scope, name: &str, spec: &Value) -> Arc<Policy> {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    Arc::new(Policy::compile(scope, name.to_owned(), &spec).unwrap())
}

fn everywhere() -> Scope {
    Scope::Cluster(Selection::default())
}

/// The objects of policies, by name, and the losses.
fn compiled(policies: Vec<Arc<Policy>>, suffix: &str) -> (Vec<CompiledPolicy>, Vec<Loss>) {
    let set = PolicySet::new(policies, Arc::default());
    let protected = Protected::with(["cni".to_owned()]);
    let controllers = ControllerUsers::default();
    let options = Options {
        prefix: "podgate",
        suffix,
        protected: &protected,
        controllers: &controllers,
        removals_if: None,
        passed: None,
        ending: None,
    };
    let (mut objects, mut losses) = (Vec::new(), Vec::new());
    for group in groups(set.policies(), &protected) {
        let compiled = compile(&group, &options);
        objects.extend(compiled.objects);
        losses.extend(compiled.losses);
    }
    (objects, losses)
}

fn names(spec: &Value) -> Vec<String> {
    let (objects, _) = compiled(vec![policy(everywhere(), "p", spec)], "");
    let action = |it: &CompiledPolicy| it.binding["spec"]["validationActions"].to_string();
    objects.iter().map(|it| format!("{} {}", it.name, action(it))).collect()
}

#[test]
fn every_rule_has_a_form_in_cel_or_says_why_not() {
    for rule in registry::RULES {
        match (&rule.vap, &rule.phase) {
            (Form::None(reason), Phase::Status(_)) => assert!(reason.len() > 20, "{}", rule.id),
            (Form::None(_), Phase::Spec(_)) => panic!("{} is judged at admission", rule.id),
            (Form::Own, _) => assert_eq!(rule.id, "validations"),
            (Form::Cel(findings), _) => {
                let root = env!("CARGO_MANIFEST_DIR");
                let fixture = format!("{root}/tests/rules/{}/policy.yaml", rule.id);
                let fixture = fs::read_to_string(fixture).unwrap();
                let mut policy: Value = serde_saphyr::from_str(&fixture).unwrap();
                let on = serde_json::from_value(policy["spec"].take()).unwrap();
                assert!(!findings(&on).is_empty(), "{} is on", rule.id);
                assert!(findings(&DevOpsPolicySpec::default()).is_empty(), "{} is off", rule.id);
            }
        }
    }
}

#[test]
fn every_check_of_pod_security_has_a_form_in_cel() {
    let mut found = BTreeSet::new();
    for level in ["baseline", "restricted"] {
        let Form::Cel(findings) = pod_security::RULE.vap else { unreachable!() };
        let spec = serde_json::from_value(json!({"podSecurity": level})).unwrap();
        found.extend(findings(&spec).into_iter().filter_map(|it| it.check));
    }
    let checks: BTreeSet<_> =
        pod_security::RULE.checks.iter().map(|it| Cow::Borrowed(*it)).collect();
    assert_eq!(found, checks);
}

#[test]
fn a_mode_becomes_the_action_of_a_binding_and_a_deny_severity_makes_two_objects() {
    let rules =
        json!({"forbidLatestTag": true, "requireReadinessProbe": true, "maxRestartCount": 3});
    let with = |fields: Value| {
        let mut spec = rules.clone();
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        names(&spec)
    };
    assert_eq!(with(json!({})), [r#"podgate-elsewhere-audit ["Audit"]"#]);
    assert_eq!(with(json!({"enforcementMode": "warn"})), [r#"podgate-elsewhere-warn ["Warn"]"#]);
    let enforce = json!({"enforcementMode": "enforce"});
    assert_eq!(with(enforce), [r#"podgate-elsewhere-deny ["Deny"]"#]);
    assert_eq!(
        with(json!({"enforcementMode": "enforce", "denySeverity": "high"})),
        [r#"podgate-elsewhere-deny ["Deny"]"#, r#"podgate-elsewhere-warn ["Warn"]"#]
    );
    assert_eq!(names(&json!({"maxRestartCount": 3})), [""; 0], "a status never denies");
}

#[test]
fn policies_that_cover_the_same_namespaces_are_one_object() {
    let spec = json!({"forbidLatestTag": true});
    let selection = |selector: &Value, excluded: &[&str]| {
        let selector = serde_json::from_value(selector.clone()).unwrap();
        let excluded = excluded.iter().map(|it| (*it).to_owned()).collect();
        Scope::Cluster(Selection::new(Some(&selector), Some(excluded)).unwrap())
    };
    let everything = json!({});
    let team = json!({"matchLabels": {"team": "a"}, "matchExpressions": [{"key": "env", "operator": "Exists"}]});
    let (objects, _) = compiled(
        vec![
            policy(everywhere(), "all", &spec),
            policy(selection(&everything, &["lab", "old"]), "most", &spec),
            policy(Scope::Namespace("shop".to_owned()), "own", &spec),
            policy(Scope::Namespace("kube-system".to_owned()), "never", &spec),
            policy(selection(&team, &["lab"]), "team", &spec),
            policy(selection(&team, &["lab"]), "team-too", &spec),
        ],
        "",
    );
    let told = objects.iter().map(|it| {
        let found = it.policy["spec"]["variables"].to_string();
        let of = ["all", "most", "shop/own", "kube-system/never", "team", "team-too"];
        let of: Vec<_> =
            of.into_iter().filter(|name| found.contains(&format!("policy {name}'"))).collect();
        let selector = &it.policy["spec"]["matchConstraints"]["namespaceSelector"];
        format!("{}: {}\n  {selector}", it.name, of.join(", "))
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r#"
    podgate-elsewhere-audit: all, most
      {"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["kube-system","kube-node-lease","kube-public","cni","lab","old","shop"]}]}
    podgate-in-44f9d9ecd2-audit: all
      {"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"In","values":["lab","old"]}]}
    podgate-in-shop-audit: all, most, shop/own
      {"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"In","values":["shop"]}]}
    podgate-by-label-d0e2f484a9-audit: team, team-too
      {"matchExpressions":[{"key":"team","operator":"In","values":["a"]},{"key":"env","operator":"Exists"},{"key":"kubernetes.io/metadata.name","operator":"NotIn","values":["kube-system","kube-node-lease","kube-public","cni","lab"]}]}
    "#);
}

#[test]
fn names_of_static_manifests_have_the_end_that_the_api_server_wants() {
    let spec = json!({"forbidLatestTag": true});
    let (objects, _) = compiled(vec![policy(everywhere(), "p", &spec)], STATIC);
    let name = "podgate-elsewhere-audit.static.k8s.io";
    assert_eq!(objects[0].policy["metadata"]["name"], name);
    assert_eq!(objects[0].binding["metadata"]["name"], name);
    assert_eq!(objects[0].binding["spec"]["policyName"], name);
}

#[test]
fn what_the_api_server_cannot_judge_is_told_with_the_reason_and_noted_on_the_object() {
    let validation = |name: &str, expression: &str| json!({"name": name, "expression": expression, "message": "m"});
    let spec = json!({
        "mutate": true,
        "requiredLabels": [{"key": "a", "pattern": "[a-z&&[^x]]"}, {"key": "b", "pattern": r"\bx"}, {"key": "c", "pattern": r"\<x"}],
        "variables": [{"name": "odd", "expression": ".object.spec"}],
        "validations": [
            validation("kept", "object.spec.hostPID == true"),
            validation("hidden", "[1].all(object, object == 1)"),
            validation("odd", "has(variables.odd.hostPID)"),
            validation("indexed", "variables == variables"),
        ],
    });
    let (objects, losses) = compiled(vec![policy(everywhere(), "p", &spec)], "");
    let told: Vec<_> = losses.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    policy p: mutate: nothing is added to a pod, and a template is judged as it is written
    policy p: requiredLabels: the pattern of a: && means something else in CEL
    policy p: requiredLabels: the pattern of c: \< means something else in CEL
    policy p: validations/hidden: a macro's variable has the name object; give it another
    policy p: validations/indexed: it reads variables otherwise than as variables.NAME
    policy p: validations/odd: its variable odd is left out: it writes .object; write object
    ");
    assert_eq!(objects[0].policy["metadata"]["annotations"][LOSSES], told.join("\n"));
    let text = objects[0].policy["spec"].to_string();
    assert!(text.contains("validations/kept") && !text.contains("validations/odd"));
}

#[test]
fn a_literal_is_one_whatever_the_text() {
    for (value, literal) in [
        ("it's", r"'it\'s'"),
        (r"a\b", r"'a\\b'"),
        ("a\nb\t\u{1}\u{7f}", r"'a\nb\t\u0001\u007f'"),
        ("é…", "'é…'"),
    ] {
        assert_eq!(expression::text(value), literal);
    }
    assert_eq!(expression::any(&[]), "false");
    assert_eq!(
        expression::globs(&["a.b", "a.*?"], "x.n"),
        r"(x.n == 'a.b' || (size(x.n) <= 1024 && x.n.matches('^(?s:a\\..*.)$')))"
    );
}

fn shop() -> Scope {
    Scope::Namespace("shop".to_owned())
}

/// The objects that add, as JSON, and the losses of those that judge beside them.
fn mutating(policies: Vec<Arc<Policy>>) -> (Vec<Value>, Vec<Loss>) {
    let set = PolicySet::new(policies, Arc::default());
    let (protected, controllers) = (Protected::default(), ControllerUsers::default());
    let options = Options {
        prefix: "podgate",
        suffix: STATIC,
        protected: &protected,
        controllers: &controllers,
        removals_if: None,
        passed: None,
        ending: None,
    };
    let adding = groups::mutating_groups(set.policies(), &protected);
    let adding = adding.iter().filter_map(|it| mutating::compile(it, &options));
    let judging = groups::mutated_groups(set.policies(), &protected);
    let losses = judging.iter().flat_map(|it| compile(it, &options).losses);
    (adding.flat_map(|it| [it.policy, it.binding]).collect(), losses.collect())
}

#[test]
fn what_policies_add_is_an_object_that_denies_nothing_and_is_asked_again() {
    let labelled: k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector =
        serde_json::from_value(json!({"matchLabels": {"team": "it's"}})).unwrap();
    let labelled = Scope::Cluster(Selection::new(Some(&labelled), None).unwrap());
    let adds = json!({"mutate": true, "defaultResources": {"memoryLimit": "1Gi"}});
    let (objects, losses) = mutating(vec![
        policy(labelled, "labelled", &adds),
        policy(shop(), "own", &json!({"mutate": true, "podSecurity": "restricted"})),
        policy(shop(), "silent", &json!({"podSecurity": "restricted"})),
    ]);
    assert_eq!(losses, []);
    let names: Vec<_> = objects.iter().map(|it| it["metadata"]["name"].as_str().unwrap()).collect();
    let (elsewhere, own) =
        ("podgate-elsewhere-mutate.static.k8s.io", "podgate-in-shop-mutate.static.k8s.io");
    assert_eq!(names, [elsewhere, elsewhere, own, own]);
    for pair in objects.chunks(2) {
        let spec = &pair[0]["spec"];
        assert_eq!(pair[0]["kind"], "MutatingAdmissionPolicy");
        assert_eq!(spec["failurePolicy"], "Ignore");
        assert_eq!(spec["reinvocationPolicy"], "IfNeeded");
        assert_eq!(spec["matchConstraints"]["resourceRules"][0]["operations"], json!(["CREATE"]));
        assert_eq!(pair[1]["kind"], "MutatingAdmissionPolicyBinding");
        assert_eq!(pair[1]["spec"], json!({"policyName": pair[0]["metadata"]["name"]}));
        // The policy that selects by labels adds in both groups, where it asks for them.
        let text = spec.to_string();
        assert!(text.contains(r"variables.nsLabels['team'] in ['it\\'s']"), "{text}");
        assert_eq!(text.contains("seccompProfile"), pair[0]["metadata"]["name"] == own);
    }
}

#[test]
fn a_policy_that_can_add_nothing_is_no_object() {
    let audited = json!({"mutate": true, "podSecurity": "baseline", "requireLivenessProbe": true});
    let (objects, losses) = mutating(vec![policy(shop(), "p", &audited)]);
    assert_eq!((objects.len(), losses.len()), (0, 0));
    let (objects, _) = mutating(vec![policy(shop(), "p", &json!({"forbidLatestTag": true}))]);
    assert!(objects.is_empty());
}

/// A template is judged by expressions that were renamed; one that cannot be would be a loss.
#[test]
fn whatever_is_added_templates_are_judged_with_it() {
    let tags = json!([{"image": "nginx", "from": "latest", "to": "1.29"}]);
    let everything = json!({
        "mutate": true, "podSecurity": "restricted", "requireLivenessProbe": true, "requireReadinessProbe": true,
        "imageTags": tags, "defaultProbe": {"httpGet": {"path": "/// 'it' \"is\"", "port": 80}},
        "defaultResources": {"cpuRequest": "1m", "cpuLimit": "1", "memoryRequest": "1Mi", "memoryLimit": "1Gi"},
        "graceUntil": "2030-01-01T00:00:00Z", "enforcementMode": "enforce",
        "exemptions": [{
            "rules": ["podSecurity", "requireImageDigest"], "images": ["nginx*"], "names": ["// x"],
            "expiresAt": "2030-01-01T00:00:00Z", "reason": "r", "owner": "o",
        }],
    });
    let policies = [policy(everywhere(), "all", &everything), policy(shop(), "own", &everything)];
    let policies: Vec<_> = policies.iter().map(Arc::as_ref).collect();
    for old in [false, true] {
        let variables = mutating::template::variables(&policies, old).unwrap();
        let names: std::collections::HashSet<_> = variables.iter().map(|it| &it.name).collect();
        assert_eq!(names.len(), variables.len());
        assert_eq!(variables.iter().any(|it| it.name == "old_created"), old);
    }
}
