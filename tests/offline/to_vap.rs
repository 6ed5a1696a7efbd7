//! `podgate policy to-vap`, as the real binary: its objects, what it says of what they lack, and its exit codes.

use std::fs;

use serde_json::Value;

use crate::support::binary::run;

const POLICY: &str = r"
apiVersion: devops.stochastic.io/v1
kind: ClusterDevOpsPolicy
metadata: {name: all}
spec: {enforcementMode: enforce, forbidLatestTag: true, podSecurity: restricted}
---
apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata: {name: own, namespace: shop}
spec: {requiredLabels: [{key: team}], maxRestartCount: 3}
";
const MUTATING: &str = r"
apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata: {name: p, namespace: shop}
spec: {mutate: true, requireLivenessProbe: true}
";

/// The exit code, the objects and the stderr of the command on a policy file.
fn to_vap(policy: &str, args: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.yaml");
    fs::write(&file, policy).unwrap();
    let output = run(&[&["policy", "to-vap", file.to_str().unwrap()], args].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let objects =
        if text.is_empty() { Vec::new() } else { serde_saphyr::from_multiple(&text).unwrap() };
    (output.status.code(), objects, String::from_utf8(output.stderr).unwrap())
}

fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|it| it["metadata"]["name"].as_str().unwrap()).collect()
}

#[test]
fn policies_of_files_become_objects_each_policy_before_its_binding() {
    let (code, objects, stderr) = to_vap(POLICY, &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let each = ["podgate-elsewhere-deny", "podgate-in-shop-deny", "podgate-in-shop-audit"];
    let expected: Vec<_> = each.iter().flat_map(|name| [*name, *name]).collect();
    assert_eq!(names(&objects), expected);
    for pair in objects.chunks(2) {
        assert_eq!(pair[0]["kind"], "ValidatingAdmissionPolicy");
        assert_eq!(pair[1]["kind"], "ValidatingAdmissionPolicyBinding");
        assert_eq!(pair[1]["spec"]["policyName"], pair[0]["metadata"]["name"]);
        assert_eq!(pair[0]["spec"]["failurePolicy"], "Fail");
    }
    let (_, objects, _) = to_vap(POLICY, &["--static"]);
    assert!(names(&objects).iter().all(|it| it.ends_with(".static.k8s.io")));
}

#[test]
fn a_protected_namespace_is_in_no_selector_but_to_be_left_out() {
    let (_, objects, _) = to_vap(POLICY, &["--protected-namespace", "shop"]);
    assert_eq!(names(&objects), ["podgate-elsewhere-deny"; 2]);
    let selector =
        &objects[0]["spec"]["matchConstraints"]["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(selector["operator"], "NotIn");
    assert!(selector["values"].as_array().unwrap().contains(&"shop".into()), "{selector}");
}

#[test]
fn what_is_lost_is_told_and_strict_prints_nothing_then() {
    let (code, objects, stderr) = to_vap(MUTATING, &[]);
    assert_eq!((code, objects.len()), (Some(0), 2));
    assert!(
        stderr.starts_with("podgate: policy shop/p: mutate: nothing is added to a pod"),
        "{stderr}"
    );
    let (code, objects, stderr) = to_vap(MUTATING, &["--strict"]);
    assert_eq!((code, objects.len()), (Some(1), 0));
    assert!(stderr.contains("1 part of the policies cannot be judged"), "{stderr}");
    let (code, objects, _) = to_vap(POLICY, &["--strict"]);
    assert_eq!((code, objects.len()), (Some(0), 6), "a status rule is no loss");
}

#[test]
fn with_mutate_nothing_of_it_is_lost_and_objects_that_add_come_first() {
    let adding = MUTATING.replace("mutate: true", "mutate: true, defaultProbe: {}");
    let (code, objects, stderr) = to_vap(&adding, &["--mutate", "--strict"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let kinds: Vec<_> = objects.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    let expected = ["Mutating", "Validating"].map(|it| format!("{it}AdmissionPolicy"));
    let expected = expected.iter().flat_map(|it| [it.clone(), format!("{it}Binding")]);
    assert_eq!(kinds, expected.collect::<Vec<_>>());
    assert_eq!(names(&objects)[0], "podgate-in-shop-mutate");
    let (_, objects, stderr) = to_vap(POLICY, &["--mutate"]);
    assert_eq!((objects.len(), stderr.as_str()), (6, ""), "no policy adds anything");
}

#[test]
fn a_bundle_has_the_mode_and_the_namespace_that_are_asked_for() {
    let bundle = |args: &[&str]| {
        let output = run(&[&["policy", "to-vap", "--bundle", "restricted"], args].concat());
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("# Made by podgate policy to-vap, for Kubernetes 1.33 or newer."));
        serde_saphyr::from_multiple::<Value>(&text).unwrap()
    };
    assert_eq!(names(&bundle(&[])), ["podgate-elsewhere-audit"; 2]);
    let shop = bundle(&["--mode", "enforce", "-n", "shop"]);
    assert_eq!(names(&shop), ["podgate-in-shop-deny"; 2]);
}

#[test]
fn what_cannot_be_read_or_does_not_go_together_is_refused() {
    let refused = |args: &[&str]| {
        let output = run(&[&["policy", "to-vap"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(run(&["policy", "to-vap", "absent.yaml"]).status.code(), Some(3));
    assert!(refused(&["absent.yaml", "--bundle", "baseline"]).contains("cannot be used with"));
    assert!(refused(&["--mode", "warn"]).contains("--bundle"));
    let (code, _, stderr) = to_vap("kind: DevOpsPolicy", &[]);
    assert_eq!(code, Some(2), "{stderr}");
    let (code, objects, stderr) = to_vap(
        &MUTATING.replace("mutate: true, requireLivenessProbe: true", "maxRestartCount: 1"),
        &[],
    );
    assert_eq!((code, objects.len()), (Some(0), 0));
    assert!(stderr.contains("no policy has a rule"), "{stderr}");
}
