#![allow(clippy::needless_pass_by_value, reason = "json! makes values")]

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::compile::Policy;
use super::super::document::Document;
use super::super::engine::judge_as_created;
use super::super::policy_set::PolicySet;
use super::super::scope::{Scope, Selection};
use super::super::workload::Kind;
use super::mark::MUTATED_BY;
use super::*;

/// A policy with `mutate`, for the namespace `shop` or, without it, for all.
pub(super) fn policy(namespace: Option<&str>, name: &str, mut spec: Value) -> Arc<Policy> {
    spec["mutate"] = true.into();
    let scope = namespace.map_or_else(
        || Scope::Cluster(Selection::default()),
        |namespace| Scope::Namespace(namespace.to_owned()),
    );
    let spec = serde_json::from_value(spec).unwrap();
    Arc::new(Policy::compile(scope, name.to_owned(), &spec).unwrap())
}

pub(super) fn set(policies: impl IntoIterator<Item = Arc<Policy>>) -> PolicySet {
    PolicySet::new(policies, Arc::default())
}

/// The operations for an object of `shop`, and the object after them, without the annotation that lists them.
pub(super) fn injected(set: &PolicySet, kind: Kind, object: &Value) -> (Vec<Value>, Value) {
    let (mut operations, mut after) = marked(set, kind, object);
    if operations.pop().is_some() {
        let root = kind.names().spec_path.strip_suffix("spec").unwrap().replace('.', "/");
        let metadata = format!("/{root}metadata");
        let annotations = format!("{metadata}/annotations");
        let fields = |after: &mut Value, path: &str| {
            after.pointer_mut(path).unwrap().as_object_mut().cloned()
        };
        let kept = |fields: Option<serde_json::Map<String, Value>>| {
            fields.is_some_and(|it| !it.is_empty())
        };
        let marks = after.pointer_mut(&annotations).unwrap().as_object_mut().unwrap();
        marks.remove(MUTATED_BY).expect("the annotation lists the added fields");
        // Parents that were made for it go with it.
        if object.pointer(&annotations).is_none() && !kept(fields(&mut after, &annotations)) {
            after.pointer_mut(&metadata).unwrap().as_object_mut().unwrap().remove("annotations");
        }
        if object.pointer(&metadata).is_none() && !kept(fields(&mut after, &metadata)) {
            let parent = format!("/{}", root.trim_end_matches('/'));
            let parent = if root.is_empty() { "" } else { &parent };
            after.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove("metadata");
        }
    }
    (operations, after)
}

/// The operations for an object of `shop`, and the object after them.
pub(super) fn marked(set: &PolicySet, kind: Kind, object: &Value) -> (Vec<Value>, Value) {
    let text = object.to_string();
    let view: Object = serde_json::from_str(&text).unwrap();
    let mut subject = Subject::of(kind, &view).unwrap();
    subject.namespace = Some("shop");
    let plan = set.covering(Some("shop")).unwrap();
    let whole = || Some(object.clone());
    let Some(injected) = inject(plan, &subject, whole, Timestamp::UNIX_EPOCH) else {
        return (Vec::new(), object.clone());
    };
    let Value::Array(operations) = serde_json::to_value(&injected.operations).unwrap() else {
        panic!("a patch is a list")
    };
    (operations, injected.object)
}

/// The container `web` of a pod, after the injections of one policy.
fn container(spec: Value, container: Value) -> Value {
    let mut pod = json!({"spec": {"containers": [{"name": "web"}]}});
    pod["spec"]["containers"][0]
        .as_object_mut()
        .unwrap()
        .extend(container.as_object().unwrap().clone());
    let set = set([policy(Some("shop"), "p", spec)]);
    let mut after = injected(&set, Kind::Pod, &pod).1["spec"]["containers"][0].take();
    after.as_object_mut().unwrap().remove("name");
    after
}

#[test]
fn a_policy_without_mutate_changes_nothing() {
    let defaults = json!({"defaultResources": {"memoryLimit": "1Gi"}, "mutate": false});
    let spec = serde_json::from_value(defaults).unwrap();
    let off = Policy::compile(Scope::Namespace("shop".to_owned()), "p".to_owned(), &spec).unwrap();
    let pod = json!({"spec": {"containers": [{"name": "web", "image": "nginx"}]}});
    assert_eq!(injected(&set([Arc::new(off)]), Kind::Pod, &pod).0, Vec::<Value>::new());
}

#[test]
fn resources_are_given_where_they_are_absent_whether_or_not_a_rule_asks() {
    let defaults = |fields: Value| json!({ "defaultResources": fields });
    let all = json!({"cpuRequest": "100m", "memoryRequest": "64Mi", "memoryLimit": "128Mi"});
    assert_eq!(
        container(defaults(all.clone()), json!({})),
        json!({"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}})
    );
    for given in [
        // A request above the default limit: the API server would refuse the pair.
        json!({"requests": {"cpu": "1", "memory": "1Gi"}}),
        // A limit stands for its request.
        json!({"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}),
    ] {
        let given = json!({ "resources": given });
        assert_eq!(container(defaults(all.clone()), given.clone()), given);
    }
}

#[test]
fn a_pods_own_resources_are_not_outgrown_by_its_containers() {
    let pod = json!({"spec": {
        "resources": {"requests": {"memory": "64Mi"}},
        "containers": [{"name": "web"}],
    }});
    let spec = json!({"defaultResources": {"memoryLimit": "1Gi", "cpuLimit": "1"}});
    let (operations, _) = injected(&set([policy(Some("shop"), "p", spec)]), Kind::Pod, &pod);
    let limits = json!({"limits": {"cpu": "1"}});
    assert_eq!(
        operations,
        [json!({"op": "add", "path": "/spec/containers/0/resources", "value": limits})]
    );
}

#[test]
fn a_probe_goes_into_a_container_that_declares_its_port_and_only_as_required() {
    let port = json!({"ports": [{"containerPort": 80}]});
    let probe = json!({"tcpSocket": {"port": 80}, "periodSeconds": 5});
    let spec = |rules: Value| {
        let mut spec = json!({"defaultProbe": {"periodSeconds": 5}});
        spec.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
        spec
    };
    let ready = json!({"requireReadinessProbe": true});
    let probed = container(spec(ready.clone()), port.clone());
    assert_eq!((&probed["readinessProbe"], &probed["livenessProbe"]), (&probe, &Value::Null));
    assert_eq!(container(spec(json!({})), port.clone()), port);
    for ports in [
        json!([]),
        json!([{"containerPort": 80}, {"containerPort": 81}]),
        json!([{"containerPort": 80, "protocol": "UDP"}]),
    ] {
        let given = json!({ "ports": ports });
        assert_eq!(container(spec(ready.clone()), given.clone()), given);
    }
}

#[test]
fn init_containers_sidecars_and_pods_that_end_get_no_probe() {
    let port = json!([{"containerPort": 80}]);
    let pod = |restart: &str| {
        json!({"spec": {
            "restartPolicy": restart,
            "initContainers": [{"name": "i", "ports": port}, {"name": "s", "restartPolicy": "Always", "ports": port}],
            "containers": [{"name": "web", "ports": port}],
        }})
    };
    let spec = json!({"requireLivenessProbe": true, "defaultProbe": {"tcpPort": 80}});
    let set = set([policy(Some("shop"), "p", spec)]);
    let paths = |pod: &Value| -> Vec<Value> {
        injected(&set, Kind::Pod, pod).0.iter().map(|it| it["path"].clone()).collect()
    };
    assert_eq!(paths(&pod("Always")), ["/spec/containers/0/livenessProbe"]);
    assert_eq!(paths(&pod("OnFailure")), Vec::<Value>::new());
}

#[test]
fn restricted_is_met_where_a_field_is_absent_and_never_on_windows() {
    let hardened = json!({"securityContext": {
        "runAsNonRoot": true,
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }});
    let given = json!({"securityContext": {"runAsNonRoot": true}});
    assert_eq!(container(json!({"podSecurity": "restricted"}), given), hardened);
    assert_eq!(container(json!({"podSecurity": "baseline"}), json!({})), json!({}));
    let given = json!({"securityContext": {
        "allowPrivilegeEscalation": true,
        "capabilities": {"drop": ["NET_RAW"]},
        "seccompProfile": {"type": "Unconfined"},
    }});
    assert_eq!(container(json!({"podSecurity": "restricted"}), given.clone()), given);

    let windows = json!({"spec": {"os": {"name": "windows"}, "containers": [{"name": "web"}]}});
    let set = set([policy(Some("shop"), "p", json!({"podSecurity": "restricted"}))]);
    assert_eq!(injected(&set, Kind::Pod, &windows).0, Vec::<Value>::new());
}

#[test]
fn image_tags_are_followed_to_their_end_in_every_container_and_volume() {
    let tags = |pairs: &[(&str, &str)]| {
        let tags = pairs.iter().map(|(from, to)| json!({"image": "nginx", "from": from, "to": to}));
        json!({"imageTags": tags.collect::<Vec<_>>()})
    };
    let first = policy(Some("shop"), "a", tags(&[("latest", "1.28")]));
    let second = policy(None, "b", tags(&[("1.28", "1.29"), ("latest", "1.0")]));
    let pod = json!({"spec": {
        "initContainers": [{"name": "i", "image": "docker.io/nginx:1.28"}],
        "containers": [{"name": "web", "image": "nginx"}, {"name": "log", "image": "nginx:1.0"}],
        "volumes": [{"name": "v", "image": {"reference": "nginx:latest"}}],
    }});
    let (operations, after) = injected(&set([second, first]), Kind::Pod, &pod);
    assert_eq!(operations.len(), 3);
    assert_eq!(after["spec"]["initContainers"][0]["image"], "docker.io/nginx:1.29");
    assert_eq!(after["spec"]["containers"][0]["image"], "nginx:1.29", "a's comes first");
    assert_eq!(after["spec"]["volumes"][0]["image"]["reference"], "nginx:1.29");

    let circle =
        policy(Some("shop"), "p", tags(&[("latest", "1.28"), ("1.28", "1.29"), ("1.29", "1.28")]));
    assert_eq!(injected(&set([circle]), Kind::Pod, &pod).0, Vec::<Value>::new());
}

#[test]
fn the_first_policy_wins_and_later_ones_fill_what_is_left() {
    let limits = |memory: &str, cpu: Option<&str>| {
        let cpu = cpu.map_or(Value::Null, Value::from);
        json!({"defaultResources": {"memoryLimit": memory, "cpuLimit": cpu}})
    };
    // By name within the namespace, and before those of the cluster.
    let policies = [
        policy(None, "a", limits("3Gi", Some("3"))),
        policy(Some("shop"), "c", limits("2Gi", Some("2"))),
        policy(Some("shop"), "b", limits("1Gi", None)),
    ];
    let pod = json!({"spec": {"containers": [{"name": "web"}]}});
    let (_, after) = injected(&set(policies), Kind::Pod, &pod);
    let limits = json!({"memory": "1Gi", "cpu": "2"});
    assert_eq!(after["spec"]["containers"][0]["resources"], json!({ "limits": limits }));
}

#[test]
fn a_request_of_one_policy_never_exceeds_the_limit_of_another() {
    let policies = [
        policy(Some("shop"), "a", json!({"defaultResources": {"memoryLimit": "64Mi"}})),
        policy(Some("shop"), "b", json!({"defaultResources": {"memoryRequest": "1Gi"}})),
    ];
    let pod = json!({"spec": {"containers": [{"name": "web"}]}});
    let (_, after) = injected(&set(policies), Kind::Pod, &pod);
    let limits = json!({"memory": "64Mi"});
    assert_eq!(after["spec"]["containers"][0]["resources"], json!({ "limits": limits }));
}

#[test]
fn what_a_policy_exempts_it_does_not_change() {
    let spec = json!({
        "podSecurity": "restricted",
        "defaultResources": {"memoryLimit": "1Gi"},
        "imageTags": [{"image": "nginx", "from": "latest", "to": "1.29"}],
        "exemptions": [
            {"rules": ["podSecurity/capabilities_restricted", "requireResourceLimits"], "containers": ["web"], "reason": "r", "owner": "o"},
            {"rules": ["forbidLatestTag"], "images": ["nginx:latest"], "reason": "r", "owner": "o"},
        ],
    });
    let after = container(spec.clone(), json!({"image": "nginx:latest"}));
    assert_eq!(after["securityContext"]["allowPrivilegeEscalation"], false);
    assert_eq!(after["securityContext"]["capabilities"], Value::Null);
    assert_eq!((&after["resources"], &after["image"]), (&Value::Null, &json!("nginx:latest")));
    assert_eq!(container(spec, json!({"image": "nginx"}))["image"], "nginx:1.29");
}

#[test]
fn a_template_is_judged_as_the_pod_that_will_be_made_of_it() {
    let spec = json!({
        "forbidLatestTag": true,
        "requireResourceLimits": ["memory"],
        "requireResourceRequests": ["cpu"],
        "defaultResources": {"memoryLimit": "1Gi"},
        "imageTags": [{"image": "nginx", "from": "latest", "to": "1.29"}],
        "validations": [{"name": "limit", "expression": "object.spec.containers[0].resources.limits.memory == '1Gi'", "message": "m"}],
    });
    let set = set([policy(Some("shop"), "p", spec)]);
    let object = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx"}]}}}});
    let text = object.to_string();
    let view: Object = serde_json::from_str(&text).unwrap();
    let mut subject = Subject::of(Kind::Deployment, &view).unwrap();
    subject.namespace = Some("shop");
    let document = Document::of(Kind::Deployment, Tree::of(&object).unwrap(), Tree::empty());
    subject.document = Some(&document);
    let plan = set.covering(Some("shop")).unwrap();
    let whole = || Some(object.clone());
    let judgement = judge_as_created(plan, &subject, whole, Timestamp::UNIX_EPOCH);
    let found: Vec<_> = judgement.violations.iter().map(|it| it.breach.path.as_str()).collect();
    assert_eq!(found, ["spec.template.spec.containers[0].resources.requests.cpu"]);
}

#[test]
fn where_the_namespace_is_not_known_only_what_is_put_in_everywhere_counts() {
    let limits = json!({"defaultResources": {"memoryLimit": "1Gi"}});
    for (namespace, put_in) in [(Some("shop"), false), (None, true)] {
        let set = set([policy(namespace, "p", limits.clone())]);
        assert_eq!(set.covering(None).unwrap().mutating.len(), usize::from(put_in));
    }
}

#[test]
fn an_image_tag_that_names_no_image_or_no_version_refuses_the_policy() {
    let refused = |image: &str, from: &str, to: &str| {
        let spec = json!({"imageTags": [{"image": image, "from": from, "to": to}]});
        let spec = serde_json::from_value(spec).unwrap();
        let scope = Scope::Namespace("shop".to_owned());
        Policy::compile(scope, "p".to_owned(), &spec).err().map(|fault| fault.to_string())
    };
    assert_eq!(refused("registry:5000/nginx", "latest", "1.29"), None);
    assert_eq!(refused("nginx", "latest", &format!("sha256:{}", "a".repeat(64))), None);
    insta::assert_snapshot!(refused("nginx:1", "latest", "1.29").unwrap(), @r#"spec.imageTags[0].image: "nginx:1" is no image without tag and digest, such as nginx"#);
    insta::assert_snapshot!(refused("nginx", "la test", "1.29").unwrap(), @r#"spec.imageTags[0].from: "la test" is no tag, such as latest"#);
    insta::assert_snapshot!(refused("nginx", "latest", "sha256:12").unwrap(), @r#"spec.imageTags[0].to: "sha256:12" is no version: give a tag, such as 1.29, or a digest"#);
    assert!(refused("nginx", "1.29", "latest").unwrap().contains("is no version"));
}

#[test]
fn a_limit_goes_in_with_its_request_as_the_policy_has_them_both() {
    let spec = json!({
        "requireResourceLimits": ["memory"],
        "defaultResources": {"memoryRequest": "128Mi", "memoryLimit": "512Mi"},
    });
    let expected = json!({"requests": {"memory": "128Mi"}, "limits": {"memory": "512Mi"}});
    assert_eq!(container(spec, json!({})), json!({ "resources": expected }));
}

#[test]
fn only_a_container_that_is_known_not_to_run_as_root_loses_its_capabilities() {
    let after = |pod: Value, own: Value| {
        let pod = json!({"spec": {
            "securityContext": pod,
            "containers": [{"name": "web", "securityContext": own}],
        }});
        let set = set([policy(Some("shop"), "p", json!({"podSecurity": "restricted"}))]);
        let mut after = injected(&set, Kind::Pod, &pod).1;
        let context = after["spec"]["containers"][0]["securityContext"].take();
        assert_eq!(context["allowPrivilegeEscalation"], false, "what is safe is added");
        context["capabilities"]["drop"] == json!(["ALL"])
    };
    for (pod, own, dropped) in [
        (json!({}), json!({}), false),
        (json!({"runAsNonRoot": true}), json!({}), true),
        (json!({"runAsUser": 101}), json!({}), true),
        (json!({}), json!({"runAsNonRoot": true}), true),
        (json!({}), json!({"runAsUser": 101}), true),
        (json!({"runAsUser": 0}), json!({}), false),
        (json!({"runAsUser": 101}), json!({"runAsUser": 0}), false),
        (json!({"runAsUser": 0}), json!({"runAsUser": 101}), true),
        (json!({"runAsNonRoot": true}), json!({"runAsNonRoot": false}), false),
        // The kubelet refuses to start it.
        (json!({"runAsNonRoot": true, "runAsUser": 0}), json!({}), false),
    ] {
        assert_eq!(after(pod.clone(), own.clone()), dropped, "{pod} {own}");
    }
}

#[test]
fn a_pod_says_what_was_put_into_it_and_by_which_policies() {
    let resources = |amount: &str| json!({"defaultResources": {"memoryLimit": amount}});
    let set = set([
        policy(Some("shop"), "a", resources("1Gi")),
        policy(None, "z", json!({"defaultResources": {"cpuRequest": "1"}})),
    ]);
    let pod = json!({"spec": {"containers": [{"name": "web"}]}});
    let (_, after) = marked(&set, Kind::Pod, &pod);
    insta::assert_snapshot!(after["metadata"]["annotations"][MUTATED_BY].as_str().unwrap(), @r#"{"shop/a":["spec.containers[0].resources.limits.memory"],"z":["spec.containers[0].resources.requests.cpu"]}"#);
    let (none, _) = marked(&set, Kind::Pod, &after);
    assert_eq!(none, Vec::<Value>::new(), "no change, no annotation");
}
