//! Part of `make test`: `/mutate` of the real binary, without a cluster.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::Standalone;
use crate::support::manifests::{pod, workload};
use crate::support::review::{self, patch_of};

const LABELS: &str = r#"kind="Pod",operation="CREATE",webhook="mutate"}"#;

fn serve(spec: &str) -> Standalone {
    Standalone::with(&format!(
        "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {{name: defaults}}\nspec: {{{spec}}}\n"
    ))
}

#[test]
fn a_pod_gets_a_patch_once_and_passes_the_other_webhook_with_it() {
    let spec = "enforcementMode: enforce, mutate: true, requireResourceLimits: [memory], defaultResources: {memoryLimit: 1Gi}";
    let Standalone { podgate, .. } = &serve(spec);
    let mut object = workload(Kind::Pod, pod("nginx:1.29"));
    let review = review::create("shop", &object);
    assert_eq!(podgate.review(&review)["allowed"], false, "without mutation it is denied");

    let response = podgate.mutate(&review);
    let annotations = json!({"policy": "defaults", "decision": "mutate"});
    assert_eq!(response["auditAnnotations"], annotations);
    let patch = patch_of(&response).unwrap();
    let expected = json!([
        {"op": "add", "path": "/spec/containers/0/resources", "value": {"limits": {"memory": "1Gi"}}},
        {"op": "add", "path": "/metadata/annotations", "value": {
            "devops.stochastic.io/mutated-by": r#"{"defaults":["spec.containers[0].resources.limits.memory"]}"#,
        }},
    ]);
    assert_eq!(serde_json::to_value(&patch).unwrap(), expected);
    json_patch::patch(&mut object, &patch).unwrap();

    let review = review::create("shop", &object);
    assert!(patch_of(&podgate.mutate(&review)).is_none(), "a second mutation changes nothing");
    assert_eq!(podgate.review(&review)["allowed"], true);
    let count = |decision: &str| {
        podgate
            .metric(&format!("podgate_admission_reviews_total{{decision=\"{decision}\",{LABELS}"))
    };
    assert_eq!((count("mutate"), count("allow")), (Some(1.0), Some(1.0)));
    assert_eq!(podgate.metric("podgate_admission_patch_operations_total"), Some(2.0));
}

#[test]
fn templates_and_updates_are_never_changed_and_nothing_is_ever_denied() {
    let Standalone { podgate, .. } = &serve(
        "enforcementMode: enforce, mutate: true, forbidLatestTag: true, podSecurity: restricted",
    );
    for kind in Kind::ALL {
        let object = workload(kind, pod("nginx"));
        let patched = patch_of(&podgate.mutate(&review::create("shop", &object))).is_some();
        assert_eq!(patched, kind == Kind::Pod, "{kind:?}");
        let update = review::update("shop", &object, &object);
        assert!(patch_of(&podgate.mutate(&update)).is_none(), "{kind:?}");
    }
}

#[test]
fn an_unreadable_review_gets_an_http_error_here_too() {
    let Standalone { podgate, .. } = &serve("mutate: true, podSecurity: restricted");
    let mut review = review::create("shop", &workload(Kind::Pod, pod("nginx")));
    review["request"]["object"]["spec"]["containers"] = json!("web");
    let (status, answer) =
        podgate.post_to("/mutate", "application/json", review.to_string().as_bytes());
    assert_eq!(status, 400);
    assert!(answer.contains("request.object.spec.containers"), "{answer}");
    let errors = r#"podgate_admission_reviews_total{decision="error",kind="other",operation="other",webhook="mutate"}"#;
    assert_eq!(podgate.metric(errors), Some(1.0));
}

/// The review of a policy.
fn policy_review(operation: &str, old: &Value, spec: &Value) -> Value {
    let object = |spec: &Value| {
        json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": "own", "namespace": "shop"}, "spec": spec,
        })
    };
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": operation, "namespace": "shop",
            "kind": {"group": "devops.stochastic.io", "version": "v1", "kind": "DevOpsPolicy"},
            "object": object(spec),
            "oldObject": if old.is_null() { Value::Null } else { object(old) },
        },
    })
}

#[test]
fn a_policy_that_cannot_be_enforced_is_refused_with_the_field_and_the_place_in_it() {
    let Standalone { podgate, .. } = &serve("forbidLatestTag: true");
    let refused = |spec: Value| {
        let response = podgate.review(&policy_review("CREATE", &Value::Null, &spec));
        assert_eq!(response["allowed"], false, "{spec} was taken");
        assert_eq!(
            (&response["status"]["code"], &response["status"]["reason"]),
            (&json!(422), &json!("Invalid"))
        );
        response["status"]["message"].as_str().unwrap().to_owned()
    };
    let validation = |expression: &str| json!({"validations": [{"name": "a", "expression": expression, "message": "m"}]});
    let faults = [
        validation("object.spec.foo("),
        validation("object.kind == 'Pod' && shout(object.kind)"),
        validation("object.kind == 'Pod' && variables.nobody"),
        validation("request.userInfo.username == 'me'"),
        json!({"severityOverrides": {"forbidLatest": "low"}}),
        json!({"requiredLabels": [{"key": "a", "pattern": "("}]}),
        json!({"denySeverity": "severe"}),
    ];
    let faults = faults.map(|spec| refused(spec).lines().nth(1).unwrap().trim().to_owned());
    insta::assert_snapshot!(faults.join("\n"), @r#"
    spec.validations[0].expression: 1:17: the expression ends here; a value should stand here
    spec.validations[0].expression: 1:25: there is no function shout(); did you mean sort()?
    spec.validations[0].expression: 1:35: variables has no nobody; no variable is defined before it
    spec.validations[0].expression: 1:1: request is not available: a verdict must not depend on the request; use object
    spec.severityOverrides["forbidLatest"]: there is no rule "forbidLatest"; podgate explain lists them
    spec.requiredLabels[0].pattern: it is no regular expression: unclosed group
    spec.denySeverity: unknown variant `severe`, expected one of `critical`, `high`, `medium`, `low`
    "#);
    let good = json!({"forbidLatestTag": true});
    let allowed = |operation: &str, old: &Value, spec: &Value| {
        podgate.review(&policy_review(operation, old, spec))["allowed"] == true
    };
    let bad = validation("variables.nobody");
    assert!(allowed("CREATE", &Value::Null, &good));
    assert!(
        allowed("UPDATE", &bad, &bad),
        "an existing violating object accepts labels and finalizers"
    );
    assert!(allowed("UPDATE", &bad, &good));
    assert!(!allowed("UPDATE", &good, &bad));
}
