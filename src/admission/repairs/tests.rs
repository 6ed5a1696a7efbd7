use std::hash::RandomState;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::validate::Reviewer;
use super::*;
use crate::policy::compile::Policy;
use crate::policy::grace::ControllerUsers;
use crate::policy::policy_set::PolicySet;
use crate::policy::record::{IN_FLIGHT, fingerprint};
use crate::policy::scope::{Scope, Selection};

const OWN: &str = "system:serviceaccount:podgate-system:podgate";
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A Deployment of an image that a policy forbids, or of the one that a repair puts in its place.
fn deployment(image: &str) -> Value {
    let container = json!({"name": "web", "image": image});
    json!({"metadata": {"name": "cart", "uid": "u"},
        "spec": {"template": {"spec": {"containers": [container]}}}})
}

fn repaired() -> Value {
    deployment("nginx:1.29")
}

fn broken() -> Value {
    deployment("nginx")
}

/// The record of a repair of [`broken`] under way, which may be changed.
fn carrying(object: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let inverse = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "nginx"}]);
    let mut record = json!({
        "state": "RollingOut", "uid": "u", "policies": [], "rules": [], "attempts": 1, "available": 1,
        "began": NOW, "deadline": NOW, "inverse": inverse,
        "before": fingerprint(&broken()), "after": fingerprint(&repaired()),
    });
    change(&mut record);
    let mut object = object.clone();
    object["metadata"]["labels"] = json!({LABEL: IN_FLIGHT});
    object["metadata"]["annotations"] = json!({ANNOTATION: record.to_string()});
    object
}

fn recorded(object: &Value) -> Value {
    carrying(object, |_| {})
}

/// What comes of an update, where a policy enforces and, if it says so, repairs.
fn review(mode: &str, user: &str, old: &Value, new: &Value) -> (&'static str, String) {
    asked(mode, user, old, new, false)
}

fn asked(
    mode: &str,
    user: &str,
    old: &Value,
    new: &Value,
    dry_run: bool,
) -> (&'static str, String) {
    let spec = json!({"enforcementMode": "enforce", "forbidLatestTag": true, "remediation": {"mode": mode}});
    let scope = Scope::Cluster(Selection::default());
    let policy =
        Policy::compile(scope, "p".to_owned(), &serde_json::from_value(spec).unwrap()).unwrap();
    let policies = PolicySet::new([Arc::new(policy)], Arc::default());
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "r", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "namespace": "shop", "operation": "UPDATE", "dryRun": dry_run, "userInfo": {"username": user},
        "object": new, "oldObject": old,
    }});
    let (docs_url, own_user) = (None, Some(OWN));
    let reviewer = Reviewer {
        policies: &policies,
        docs_url,
        own_user,
        controllers: &ControllerUsers::default(),
        cost: u64::MAX,
        now: NOW,
        seed: &RandomState::new(),
        observer: None,
    };
    let judged = reviewer.validate(review.to_string().as_bytes()).unwrap();
    (judged.decision, String::from_utf8(judged.answer).unwrap())
}

fn dry_run(user: &str, old: &Value, new: &Value) -> &'static str {
    asked("apply", user, old, new, true).0
}

fn decision(user: &str, old: &Value, new: &Value) -> &'static str {
    review("apply", user, old, new).0
}

#[test]
fn podgates_own_update_passes_only_to_what_its_record_says() {
    let under_way = recorded(&repaired());
    assert_eq!(decision(OWN, &under_way, &recorded(&broken())), "warn", "it is taken back");
    assert_eq!(
        decision(OWN, &under_way, &deployment("nginx:latest")),
        "deny",
        "not what was before"
    );
    assert_eq!(decision(OWN, &repaired(), &broken()), "deny", "no record tells of it");
    assert_eq!(decision(OWN, &repaired(), &recorded(&broken())), "deny", "written along with it");
    let mut privileged = broken();
    privileged["spec"]["template"]["spec"]["containers"][0]["securityContext"] =
        json!({"privileged": true});
    let forged = carrying(&repaired(), |record| {
        let container = &privileged["spec"]["template"]["spec"]["containers"][0];
        record["inverse"] = json!([{"op": "replace", "path": "/spec/template/spec/containers/0", "value": container}]);
    });
    assert_eq!(decision(OWN, &forged, &privileged), "deny", "no repair puts that in");
    for over in ["Repaired", "RolledBack", "Undone"] {
        let over = carrying(&repaired(), |record| record["state"] = json!(over));
        assert_eq!(decision(OWN, &over, &broken()), "deny", "{over}");
    }
    let by_hand = carrying(&repaired(), |record| record["by"] = json!("person"));
    assert_eq!(decision(OWN, &by_hand, &broken()), "deny", "a person's repair is not podgate's");
    let copied = carrying(&repaired(), |record| record["uid"] = json!("other"));
    assert_eq!(decision(OWN, &copied, &broken()), "deny", "another workload's");
}

#[test]
fn a_repair_that_leaves_violations_is_begun_by_podgate_alone() {
    // The second container is of a repository that the policy has no tag for.
    let with_other = |object: &Value| {
        let mut object = object.clone();
        let containers = object["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({"name": "other", "image": "other"}));
        object
    };
    let (old, new) = (with_other(&broken()), with_other(&repaired()));
    let begun = carrying(&new, |record| record["after"] = json!(fingerprint(&new)));
    assert_eq!(decision(OWN, &old, &begun), "warn");
    assert_eq!(decision(OWN, &old, &new), "deny", "without its record");
    assert_eq!(decision("jane", &old, &new), "deny");
    assert_eq!(dry_run(OWN, &old, &new), "warn", "it is tried first");
    assert_eq!(dry_run("jane", &old, &new), "deny");
    let mut more = new.clone();
    more["spec"]["template"]["spec"]["hostPID"] = json!(true);
    assert_eq!(dry_run(OWN, &old, &more), "deny", "no repair puts that in");
}

#[test]
fn nobody_else_writes_a_record_of_a_repair_that_podgate_would_go_on_with() {
    let (plain, under_way) = (repaired(), recorded(&repaired()));
    let (is, answer) = review("apply", "jane", &plain, &under_way);
    assert_eq!(is, "deny");
    assert!(answer.contains("podgate's own record") && answer.contains("403"), "{answer}");
    let edited = carrying(&repaired(), |record| record["available"] = json!(0));
    assert_eq!(decision("jane", &under_way, &edited), "deny", "nor changes one");
    let unlabelled = |object: &Value| {
        let mut object = object.clone();
        object["metadata"]["labels"] = json!({});
        object
    };
    assert_eq!(decision("jane", &unlabelled(&under_way), &under_way), "deny", "nor its label");
    let mut scaled = under_way.clone();
    scaled["spec"]["replicas"] = json!(3);
    for (old, new, why) in [
        (&under_way, &scaled, "it is left as it is"),
        (&under_way, &plain, "it is removed"),
        (&plain, &unlabelled(&under_way), "nobody goes on with it"),
        (&plain, &carrying(&plain, |it| it["uid"] = json!("other")), "another workload's"),
        (&plain, &carrying(&plain, |it| it["by"] = json!("person")), "a person's own"),
        (&plain, &carrying(&plain, |it| it["state"] = json!("Repaired")), "it is over"),
    ] {
        assert_eq!(decision("jane", old, new), "allow", "{why}");
    }
    assert_eq!(review("off", "jane", &plain, &under_way).0, "allow", "where nothing is repaired");
}
