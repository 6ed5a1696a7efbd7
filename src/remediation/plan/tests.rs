use serde_json::json;

use super::*;
use std::sync::Arc;

use crate::policy::compile::Policy;
use crate::policy::scope::Scope;

const NOW: &str = "2026-01-01T00:00:00Z";

fn policy(name: &str, spec: &Value) -> Arc<Policy> {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    let scope = Scope::Namespace("shop".to_owned());
    Arc::new(Policy::compile(scope, name.to_owned(), &spec).unwrap())
}

/// Asks for limits and both probes, with all that is put in.
fn asks() -> Value {
    json!({
        "requireResourceLimits": ["memory"], "requireLivenessProbe": true, "requireReadinessProbe": true,
        "defaultResources": {"memoryLimit": "64Mi"}, "defaultProbe": {"tcpPort": 80},
    })
}

fn object(kind: Kind, containers: &Value, more: &Value) -> Value {
    let names = kind.names();
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}});
    let mut object = json!({
        "apiVersion": names.api_version(), "kind": names.kind,
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    });
    json_patch::merge(&mut object, more);
    object
}

fn web() -> Value {
    json!([{"name": "web", "image": "nginx:1.29", "ports": [{"containerPort": 80}]}])
}

fn planned(kind: Kind, object: &Value, specs: &[Value]) -> RepairPlan {
    let policies = specs.iter().enumerate().map(|(at, spec)| policy(&at.to_string(), spec));
    let set = PolicySet::new(policies, Arc::default());
    plan(kind, object, &set, NOW.parse().unwrap())
}

/// The containers after the patch.
fn repaired(object: &Value, specs: &[Value]) -> Value {
    let RepairPlan::Patch(repair) = planned(Kind::Deployment, object, specs) else {
        panic!("no patch for {object}")
    };
    let mut after = object.clone();
    json_patch::patch(&mut after, &repair.operations).unwrap();
    for operation in &repair.operations {
        let path = json!(operation)["path"].as_str().unwrap().to_owned();
        assert!(path.starts_with("/spec/template/spec/containers/"), "{path}");
    }
    after["spec"]["template"]["spec"]["containers"].take()
}

#[test]
fn what_is_missing_is_put_in_and_nothing_else() {
    let after = repaired(&object(Kind::Deployment, &web(), &json!({})), &[asks()]);
    let probe = |it: &Value| it["tcpSocket"]["port"] == 80;
    assert_eq!(after[0]["resources"], json!({"limits": {"memory": "64Mi"}}));
    assert!(probe(&after[0]["livenessProbe"]) && probe(&after[0]["readinessProbe"]), "{after}");
    assert_eq!(after[0]["ports"], web()[0]["ports"]);
    assert_eq!(after.as_array().unwrap().len(), 1);
}

#[test]
fn a_container_is_patched_wherever_it_stands() {
    let full = json!({"name": "mesh", "image": "mesh:1", "ports": [{"containerPort": 80}],
        "livenessProbe": {"tcpSocket": {"port": 1}}, "readinessProbe": {"tcpSocket": {"port": 1}},
        "resources": {"limits": {"memory": "1Gi"}}});
    let object = object(Kind::Deployment, &json!([full, web()[0]]), &json!({}));
    let after = repaired(&object, &[asks()]);
    assert_eq!(after[0], full);
    assert_eq!(after[1]["resources"], json!({"limits": {"memory": "64Mi"}}));
}

#[test]
fn images_get_the_tag_that_the_policy_maps_them_to() {
    let tags = json!({"forbidLatestTag": true,
        "imageTags": [{"image": "nginx", "from": "latest", "to": "1.29"}]});
    let containers = json!([{"name": "web", "image": "nginx:latest"}]);
    let after = repaired(&object(Kind::Deployment, &containers, &json!({})), &[tags]);
    assert_eq!(after[0]["image"], "nginx:1.29");
}

#[test]
fn two_policies_make_one_patch_and_the_first_wins() {
    let other = json!({"requireResourceLimits": ["memory", "cpu"],
        "defaultResources": {"memoryLimit": "1Gi", "cpuLimit": "1"}});
    let after = repaired(&object(Kind::Deployment, &web(), &json!({})), &[asks(), other]);
    assert_eq!(after[0]["resources"], json!({"limits": {"memory": "64Mi", "cpu": "1"}}));
    assert!(!after[0]["readinessProbe"].is_null());
}

#[test]
fn a_limit_is_never_below_what_is_requested() {
    let containers = json!([{"name": "web", "image": "nginx:1.29", "ports": [{"containerPort": 80}],
        "resources": {"requests": {"memory": "1Gi"}}}]);
    let limits =
        json!({"requireResourceLimits": ["memory"], "defaultResources": {"memoryLimit": "64Mi"}});
    match planned(Kind::Deployment, &object(Kind::Deployment, &containers, &json!({})), &[limits]) {
        RepairPlan::Patch(repair) => {
            let text = json!(repair.operations).to_string();
            assert!(!text.contains("64Mi"), "{text}");
        }
        RepairPlan::Refused(refusal) => {
            assert!(matches!(refusal, RepairRefusal::NoDefault { .. }), "{refusal}");
        }
        RepairPlan::Nothing => panic!("it has no limit"),
    }
}

#[test]
fn what_breaks_nothing_needs_nothing() {
    let plan = planned(
        Kind::Deployment,
        &object(Kind::Deployment, &web(), &json!({})),
        &[json!({"forbidLatestTag": true})],
    );
    assert!(matches!(plan, RepairPlan::Nothing), "{plan:?}");
}

#[test]
fn what_cannot_be_repaired_is_refused_with_its_reason() {
    use Kind::{DaemonSet, Deployment, StatefulSet};
    let owner = json!([{"kind": "Widget", "name": "gadget", "controller": true}]);
    let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
    let limited = json!({"resources": {"limits": {"memory": "64Mi"}}});
    let mut portless = json!([{"name": "web", "image": "nginx:1.29"}]);
    json_patch::merge(&mut portless[0], &limited);
    let exempt = json!({"exemptions": [{"rules": ["requireResourceLimits", "requireLivenessProbe",
        "requireReadinessProbe"], "reason": "r", "owner": "o"}]});
    let os = |it: Value| json!({"spec": {"template": {"spec": it}}});
    let none = json!({});
    for (kind, containers, more, change, expected) in [
        (
            Deployment,
            web(),
            json!({"metadata": {"ownerReferences": owner}}),
            &none,
            "Widget gadget owns it",
        ),
        (Deployment, web(), json!({"spec": {"paused": true}}), &none, "it is paused"),
        (
            StatefulSet,
            web(),
            json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}),
            &none,
            "OnDelete",
        ),
        (
            DaemonSet,
            web(),
            json!({"spec": {"updateStrategy": {"type": "OnDelete"}}}),
            &none,
            "OnDelete",
        ),
        (StatefulSet, web(), json!({"spec": {"updateStrategy": rolling}}), &none, "partition"),
        (Deployment, web(), os(json!({"os": {"name": "windows"}})), &none, "Windows"),
        (
            Deployment,
            web(),
            os(json!({"nodeSelector": {"kubernetes.io/os": "windows"}})),
            &none,
            "Windows",
        ),
        (
            Deployment,
            portless,
            json!({}),
            &none,
            "container \"web\" does not declare the default probe's port",
        ),
        (Deployment, web(), json!({}), &exempt, "exempts"),
        (
            Deployment,
            web(),
            json!({}),
            &json!({"defaultResources": null, "defaultProbe": null}),
            "has no default for",
        ),
        (
            Deployment,
            json!([{"name": "web", "image": "nginx"}]),
            json!({}),
            &json!({"forbidLatestTag": true, "requireLivenessProbe": null, "requireReadinessProbe": null,
                "requireResourceLimits": null}),
            "imageTags have none",
        ),
        (
            Deployment,
            web(),
            json!({}),
            &json!({"podSecurity": "restricted", "requireLivenessProbe": null, "requireReadinessProbe": null,
                "requireResourceLimits": null}),
            "podSecurity cannot be repaired",
        ),
    ] {
        let mut spec = asks();
        json_patch::merge(&mut spec, change);
        let plan = planned(kind, &object(kind, &containers, &more), &[spec]);
        let RepairPlan::Refused(refusal) = plan else { panic!("{expected}: {plan:?}") };
        assert!(refusal.to_string().contains(expected), "{expected}: {refusal}");
    }
}

#[test]
fn kinds_whose_controllers_roll_nothing_out_say_what_to_do() {
    for kind in KINDS {
        assert_eq!(repaired_kind(kind.names().kind), Ok(kind));
    }
    for kind in ["Pod", "Job", "CronJob", "ReplicaSet", "ReplicationController", "Widget"] {
        assert!(matches!(repaired_kind(kind), Err(RepairRefusal::Kind(_))), "{kind}");
    }
}

/// The API server takes a limit without a request for both: four times the memory that the policy gives.
#[test]
fn a_limit_goes_in_with_the_request_that_the_policy_has_for_it() {
    let spec = json!({
        "requireResourceLimits": ["memory"],
        "defaultResources": {"memoryRequest": "128Mi", "memoryLimit": "512Mi"},
    });
    let after = repaired(&object(Kind::Deployment, &web(), &json!({})), &[spec]);
    let expected = json!({"requests": {"memory": "128Mi"}, "limits": {"memory": "512Mi"}});
    assert_eq!(after[0]["resources"], expected);
}
