//! podgate is killed: what is denied, and by which writes somebody may try to get past.

use serde_json::{Value, json};

use super::asked::Asked;
use super::{
    FLOOR, Floor, SHOP, WEBHOOK, compliant, container, deployment, memory, named, violating,
    without_probe,
};
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Floor> = trials![
    while_podgate_is_heard_it_judges_itself_and_the_floor_only_removals,
    the_type_checker_finds_nothing_in_the_floors_policies,
    a_floor_wakes_when_podgate_is_killed_and_sleeps_when_it_is_back,
];

/// A list of writes that the floor must deny, by name.
type Attempts = Vec<(&'static str, Result<String, String>)>;

fn while_podgate_is_heard_it_judges_itself_and_the_floor_only_removals(it: &Floor) {
    it.heard();
    assert_eq!(it.metric("podgate_floor_policies"), Some(1.0));
    assert_eq!(it.metric("podgate_floor_awake"), Some(0.0));
    assert!(it.metric("podgate_floor_last_beat_timestamp_seconds").unwrap() > 1.7e9);
    let why = it.create(&violating()).unwrap_err();
    assert!(why.contains(WEBHOOK) && !why.contains("ValidatingAdmissionPolicy"), "{why}");
    it.create(&compliant()).unwrap();

    let mut newer = it.deployed("web");
    container(&mut newer)["image"] = json!("nginx:1.30");
    it.replace(&newer).unwrap();
    let mut latest = it.deployed("web");
    container(&mut latest)["image"] = json!("nginx");
    let why = it.replace(&latest).unwrap_err();
    assert!(why.contains(WEBHOOK), "an image cannot be removed: {why}");
    let why = it.replace(&without_probe(&it.deployed("web"))).unwrap_err();
    assert!(why.contains(FLOOR) && why.contains("podgate is heard"), "{why}");
    assert!(why.contains("requireLivenessProbe"), "{why}");
}

fn the_type_checker_finds_nothing_in_the_floors_policies(it: &Floor) {
    it.heard();
    for name in ["podgate-floor-in-shop-deny", "podgate-floor-canary"] {
        let get = ["get", "validatingadmissionpolicy", name, "-o", "json"];
        let (checked, _) = eventually("the type checker", || {
            let status = it.plane.kubectl(&get).json()["status"].take();
            if status["typeChecking"].is_object() { Ok(status) } else { Err(status.to_string()) }
        });
        assert_eq!(checked["typeChecking"], json!({}), "{name}");
    }
}

fn a_floor_wakes_when_podgate_is_killed_and_sleeps_when_it_is_back(it: &Floor) {
    it.heard();
    let deployed = it.deployed("web");
    let untouched = it.deployed("untouched");
    it.deployed("scaled");
    it.apply(&deployment("applied"), "owner").unwrap();
    it.kubectl(&["create", "-f", "-"]).given(&named("debugged", compliant())).ok();
    it.kill();
    let why = it.wakes("killed");
    for words in [
        "spec.containers[0].image",
        "forbidLatestTag",
        "requireLivenessProbe",
        "requireResourceLimits",
        "policy shop/own",
        "podgate is away since its last beat at 2",
        "kubectl delete validatingadmissionpolicybindings -l devops.stochastic.io/floor=podgate",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    let last_beat = format!("{}Z", &it.renewed()[..19]);

    let mut attempts = forged_stamps(it, &deployed, &last_beat);
    attempts.extend(removals(it));
    attempts.extend(other_managers(it));
    attempts.extend(pods(it, &last_beat));
    attempts.extend(after_an_update_of_nothing(it, untouched, &last_beat));
    for (name, answered) in attempts {
        match answered {
            Err(why) if why.contains(FLOOR) => {}
            other => panic!("{name} was not denied by the floor: {other:?}"),
        }
    }
    let mut newer = deployed;
    container(&mut newer)["image"] = json!("nginx:1.31");
    it.replace(&newer).unwrap();
    what_was_there_before_lives_on(it);

    it.heard();
    it.sleeps();
}

/// Whole updates with stamps that are forged, old or gone.
fn forged_stamps(it: &Floor, deployed: &Value, last_beat: &str) -> Attempts {
    let mut latest = deployed.clone();
    container(&mut latest)["image"] = json!("nginx");
    let mut attempts = Attempts::new();
    for (name, object) in [("a change", &latest), ("a removal", &without_probe(deployed))] {
        for time in ["", last_beat, "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
            let mut object = object.clone();
            for entry in object["metadata"]["managedFields"].as_array_mut().unwrap() {
                if !time.is_empty() {
                    entry["time"] = json!(time);
                }
            }
            attempts.push((name, it.replace(&object)));
        }
        for gone in [json!([]), json!([{}]), Value::Null] {
            let mut object = object.clone();
            object["metadata"]["managedFields"] = gone.clone();
            attempts.push((name, it.replace(&object)));
        }
    }
    attempts
}

/// Each kind of patch, by which a probe is removed.
fn removals(it: &Floor) -> Attempts {
    let web = ["deployment", "web"];
    let of =
        |container: Value| json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    let strategic = of(json!({"name": "web", "livenessProbe": null}));
    let dry = [&web[..], &["--dry-run=server"]].concat();
    let probe = "/spec/template/spec/containers/0/livenessProbe";
    let mut replaced = container(&mut deployment("web")).clone();
    replaced.as_object_mut().unwrap().remove("livenessProbe");
    let removed = json!([{"op": "remove", "path": probe}]);
    vec![
        ("a strategic patch", it.patch(&web, "strategic", &strategic)),
        ("a strategic patch in a dry run", it.patch(&dry, "strategic", &strategic)),
        ("a merge patch", it.patch(&web, "merge", &of(replaced.clone()))),
        ("a merge patch in a dry run", it.patch(&dry, "merge", &of(replaced))),
        ("a JSON patch", it.patch(&web, "json", &removed)),
        ("a JSON patch in a dry run", it.patch(&dry, "json", &removed)),
    ]
}

/// Server-side apply: what its manager drops, and what another takes over.
fn other_managers(it: &Floor) -> Attempts {
    let mut latest = deployment("applied");
    container(&mut latest)["image"] = json!("nginx");
    vec![
        (
            "a field that its manager drops",
            it.apply(&without_probe(&deployment("applied")), "owner"),
        ),
        ("the image of another manager", it.apply(&latest, "thief")),
        ("a creation by server-side apply", it.apply(&named("new", latest.clone()), "thief")),
    ]
}

/// Pods: names and stamps of their creation, and their subresources.
fn pods(it: &Floor, last_beat: &str) -> Attempts {
    let create = |object: &Value| it.kubectl(&["create", "-f", "-"]).given(object).result();
    let mut generated = violating();
    generated["metadata"] = json!({"generateName": "web-"});
    let named = it.create(&generated);
    assert!(named.as_ref().is_err_and(|it| it.contains("Pod shop/web-")), "{named:?}");
    let mut forged = violating();
    forged["metadata"] = json!({"name": "forged", "creationTimestamp": last_beat, "managedFields": [{
        "manager": "kubectl", "operation": "Update", "apiVersion": "v1", "time": last_beat,
        "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}},
    }]});

    let path = format!("/api/v1/namespaces/{SHOP}/pods/debugged/ephemeralcontainers");
    let debug = |image: &str| {
        let mut debugged = it.kubectl(&["get", "pod", "debugged", "-o", "json"]).json();
        debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": image}]);
        it.plane.kubectl(&["replace", "--raw", &path, "-f", "-"]).given(&debugged).result()
    };
    let resize = |amount: &str| {
        let change =
            json!({"spec": {"containers": [{"name": "web", "resources": memory(amount)}]}});
        it.patch(&["pod", "debugged", "--subresource=resize"], "strategic", &change)
    };
    let patched = it.kubectl(&["debug", "debugged", "--image=busybox", "--attach=false"]);
    let attempts = vec![
        ("a generated name", create(&generated)),
        ("a generated name in a dry run", named),
        ("a forged time of the creation", create(&forged)),
        ("an ephemeral container", debug("busybox")),
        ("an ephemeral container by a patch", patched.result()),
        ("a resize", resize("0")),
    ];
    let resized = resize("48Mi");
    assert!(resized.is_ok(), "{resized:?}");
    let debugged = debug("busybox:1.37");
    assert!(debugged.is_ok(), "{debugged:?}");
    attempts
}

/// An update of nothing may carry old stamps; what follows it is judged all the same.
fn after_an_update_of_nothing(it: &Floor, mut untouched: Value, last_beat: &str) -> Attempts {
    for entry in untouched["metadata"]["managedFields"].as_array_mut().unwrap() {
        entry["time"] = json!(last_beat);
    }
    // The controller may have written its status since.
    untouched["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    it.replace(&untouched).unwrap();
    let mut latest = untouched.clone();
    container(&mut latest)["image"] = json!("nginx");
    vec![
        ("a removal after an update of nothing", it.replace(&without_probe(&untouched))),
        ("a change after an update of nothing", it.replace(&latest)),
    ]
}

/// Status, labels and scale of what violates, and of what complies; new pods are judged, whose template was not.
fn what_was_there_before_lives_on(it: &Floor) {
    let status = json!({"status": {"message": "still here"}});
    it.patch(&["pod", "old", "--subresource=status"], "merge", &status).unwrap();
    it.kubectl(&["label", "pod", "old", "team=web"]).ok();
    it.kubectl(&["annotate", "deployment", "old", "a=b"]).ok();
    it.kubectl(&["scale", "deployment", "scaled", "old", "--replicas=1"]).ok();
    eventually("the pod of a ReplicaSet that podgate admitted", || {
        let pods = ["get", "pods", "-o", "jsonpath={.items[*].metadata.generateName}"];
        let pods = it.kubectl(&pods).ok();
        if pods.contains("scaled-") { Ok(()) } else { Err(pods) }
    });
    eventually("the pod of an old Deployment to be denied", || {
        let conditions = "jsonpath={.status.conditions[*].message}";
        let said = it.kubectl(&["get", "deployment", "old", "-o", conditions]).ok();
        if said.contains(FLOOR) { Ok(()) } else { Err(said) }
    });
    it.kubectl(&["scale", "deployment", "scaled", "old", "--replicas=0"]).ok();
    it.kubectl(&["delete", "pod", "old", "--grace-period=0", "--force"]).ok();
}
