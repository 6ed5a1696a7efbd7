use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::policy::compile::Policy;
use crate::policy::policy_set::Namespaces;
use crate::policy::scope::Scope;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn policy(spec: &Value) -> Arc<Policy> {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    let scope = Scope::Namespace("shop".to_owned());
    Arc::new(Policy::compile(scope, "own".to_owned(), &spec).unwrap())
}

fn no_latest(mode: &str) -> Value {
    json!({"forbidLatestTag": true, "enforcementMode": mode})
}

/// A running pod on a node, of a controller: its API version, kind and name.
fn pod(name: &str, node: &str, image: &str, owner: Option<(&str, &str, &str)>) -> Value {
    let owners: Vec<_> = owner
        .into_iter()
        .map(|(version, kind, name)| {
            json!({"apiVersion": version, "kind": kind, "name": name, "controller": true})
        })
        .collect();
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "ownerReferences": owners,
            "labels": {"pod-template-hash": "5d4"},
        },
        "spec": {"nodeName": node, "containers": [{"name": "web", "image": image}]},
        "status": {"phase": "Running"},
    })
}

fn of_cart(name: &str, node: &str, image: &str) -> Value {
    pod(name, node, image, Some(("apps/v1", "ReplicaSet", "cart-5d4")))
}

/// A controller with a template of this image.
fn controller(name: &str, image: &str) -> Value {
    let pod = json!({"containers": [{"name": "web", "image": image}]});
    let template = json!({"metadata": {"labels": {"pod-template-hash": "5d4"}}, "spec": pod});
    let owner = json!({"apiVersion": "x/v1", "kind": "X", "name": "x", "controller": true});
    json!({
        "metadata": {"name": name, "namespace": "shop", "ownerReferences": [owner]},
        "spec": {"template": template},
    })
}

fn nodes(names: &[&str]) -> Nodes {
    Nodes::Named(names.iter().map(|it| (*it).to_owned()).collect())
}

fn check(spec: &Value, nodes: Nodes, pods: &[Value], controllers: &[(Kind, Value)]) -> DrainCheck {
    let policies = PolicySet::new([policy(spec)], Arc::new(Namespaces::new()));
    let names = ["shop", "lab"].map(str::to_owned);
    let mut judge = DrainJudge::new(&policies, nodes, names, NOW);
    for pod in pods {
        judge.pod(&pod.to_string());
    }
    for (kind, controller) in controllers {
        judge.controller(*kind, &controller.to_string());
    }
    judge.finish()
}

/// `KIND/NAME N of M` of each workload.
fn shares(check: &DrainCheck) -> Vec<String> {
    let share =
        |it: &DrainedWorkload| format!("{}/{} {} of {}", it.kind, it.name, it.refused, it.replicas);
    check.workloads.iter().map(share).collect()
}

#[test]
fn a_grace_admits_what_controllers_make_again_and_nothing_else() {
    let graced = json!({
        "forbidLatestTag": true, "enforcementMode": "enforce", "graceUntil": "1970-01-01T00:01:00Z",
    });
    let pods = [
        of_cart("cart-1", "a", "nginx"),
        pod("bare", "a", "nginx", None),
        pod("own", "a", "nginx", Some(("example.com/v1", "Robot", "r"))),
    ];
    let template = [(Kind::ReplicaSet, controller("cart-5d4", "nginx"))];
    for controllers in [&template[..], &[]] {
        let found = check(&graced, Nodes::All, &pods, controllers);
        assert_eq!(found.summary, DrainSummary { pods: 3, refused: 2, graced: 1, lost: 2 });
        assert_eq!(shares(&found), ["Pod/bare 1 of 1", "Robot/r 1 of 1", "Deployment/cart 0 of 1"]);
        assert_eq!(found.workloads[2].graced, 1);
        assert_eq!(found.workloads[2].policies, ["shop/own"]);
    }
    let mended = [(Kind::ReplicaSet, controller("cart-5d4", "nginx:1"))];
    assert_eq!(check(&graced, Nodes::All, &pods, &mended).summary.graced, 0);
    let mut ended = graced;
    ended["graceUntil"] = json!("1969-12-31T23:59:59Z");
    assert_eq!(check(&ended, Nodes::All, &pods, &template).summary.refused, 3);
}

#[test]
fn only_pods_of_these_nodes_are_refused_and_a_share_is_of_all_the_workloads_pods() {
    let pods = [
        of_cart("cart-5d4-a", "one", "nginx"),
        of_cart("cart-5d4-b", "two", "nginx"),
        of_cart("cart-5d4-c", "three", "nginx"),
        of_cart("cart-5d4-d", "", "nginx"),
        pod("good", "one", "nginx:1.29", None),
    ];
    let spec = no_latest("enforce");
    let two = check(&spec, nodes(&["one", "two"]), &pods, &[]);
    assert_eq!(shares(&two), ["Deployment/cart 2 of 4"]);
    assert_eq!(two.summary, DrainSummary { pods: 3, refused: 2, graced: 0, lost: 0 });
    assert_eq!(two.nodes, ["one", "two"]);
    assert_eq!(two.workloads[0].policies, ["shop/own"]);
    let message = &two.workloads[0].message;
    assert!(message.starts_with("spec.containers[0].image is \"nginx\""), "{message}");
    let all = check(&spec, Nodes::All, &pods, &[]);
    assert_eq!(shares(&all), ["Deployment/cart 3 of 4"], "one waits for a node");
    assert_eq!(all.nodes, ["one", "three", "two"]);
    let empty = check(&spec, nodes(&["four"]), &pods, &[]);
    assert_eq!((shares(&empty), empty.summary.pods), (Vec::<String>::new(), 0));
}

#[test]
fn only_policies_that_enforce_refuse() {
    let pods = [of_cart("cart-5d4-a", "one", "nginx")];
    for mode in ["audit", "warn"] {
        assert!(check(&no_latest(mode), Nodes::All, &pods, &[]).workloads.is_empty(), "{mode}");
    }
    let mut mild = no_latest("enforce");
    mild["denySeverity"] = "critical".into();
    assert!(check(&mild, Nodes::All, &pods, &[]).workloads.is_empty());
}

#[test]
fn a_pod_counts_as_what_its_controller_would_make() {
    let spec = no_latest("enforce");
    for (kind, version) in [
        (Kind::ReplicaSet, "apps/v1"),
        (Kind::StatefulSet, "apps/v1"),
        (Kind::DaemonSet, "apps/v1"),
        (Kind::ReplicationController, "v1"),
        (Kind::Job, "batch/v1"),
    ] {
        let name = kind.names().kind;
        let of = |image| pod("a", "one", image, Some((version, name, "own")));
        let judged = |running, template| {
            let controllers =
                [(kind, controller("own", template)), (kind, controller("other", "nginx"))];
            let found = check(&spec, Nodes::All, &[of(running)], &controllers);
            assert!(found.faults.is_empty(), "{:?}", found.faults);
            shares(&found)
        };
        // The template was mended, and the pod is old; or the pod was mutated before the policy changed.
        assert_eq!(judged("nginx", "nginx:1.29"), Vec::<String>::new());
        assert_eq!(judged("nginx:1.29", "nginx"), [format!("{name}/own 1 of 1")]);
        // Unread, such as for lack of a permission, it counts as it is.
        let unread = check(&spec, Nodes::All, &[of("nginx")], &[]);
        assert_eq!(shares(&unread), [format!("{name}/own 1 of 1")]);
    }
}

#[test]
fn during_a_rollout_each_replica_set_makes_its_own_pods_again() {
    let new = Some(("apps/v1", "ReplicaSet", "cart-7f8"));
    let mut pods = [
        of_cart("cart-5d4-a", "one", "nginx"),
        of_cart("cart-5d4-b", "two", "nginx"),
        pod("cart-7f8-a", "one", "nginx:1.29", new),
    ];
    pods[2]["metadata"]["labels"]["pod-template-hash"] = "7f8".into();
    let controllers = [
        (Kind::ReplicaSet, controller("cart-5d4", "nginx")),
        (Kind::ReplicaSet, controller("cart-7f8", "nginx:1.29")),
    ];
    let found = check(&no_latest("enforce"), nodes(&["one"]), &pods, &controllers);
    assert_eq!(shares(&found), ["Deployment/cart 1 of 3"]);
}

#[test]
fn a_partition_keeps_the_old_pods_of_a_stateful_set() {
    let of = |name: &str, image| pod(name, "one", image, Some(("apps/v1", "StatefulSet", "db")));
    let pods = [of("db-0", "nginx"), of("db-1", "nginx"), of("db-2", "nginx")];
    let mut set = controller("db", "nginx:1.29");
    set["status"] = json!({"currentRevision": "db-a", "updateRevision": "db-b"});
    set["spec"]["updateStrategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    let spec = no_latest("enforce");
    let found = check(&spec, Nodes::All, &pods, &[(Kind::StatefulSet, set.clone())]);
    assert_eq!(shares(&found), ["StatefulSet/db 2 of 3"], "db-2 gets the new template");
    set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = json!(0);
    let found = check(&spec, Nodes::All, &pods, &[(Kind::StatefulSet, set)]);
    assert!(found.workloads.is_empty());
}

#[test]
fn a_pod_that_nothing_known_makes_counts_as_it_is() {
    let foreign = |version| Some((version, "ReplicaSet", "own"));
    let pods = [
        pod("bare", "one", "nginx", None),
        pod("custom", "one", "nginx", foreign("example.com/v1")),
        pod("ended-kind", "one", "nginx", Some(("x/v1", "Rollout", "r"))),
    ];
    // A ReplicaSet of Kubernetes of the same name makes none of them.
    let controllers = [(Kind::ReplicaSet, controller("own", "nginx:1.29"))];
    let found = check(&no_latest("enforce"), Nodes::All, &pods, &controllers);
    assert_eq!(shares(&found), ["Pod/bare 1 of 1", "ReplicaSet/own 1 of 1", "Rollout/r 1 of 1"]);
}

#[test]
fn what_is_not_evicted_or_never_judged_does_not_count() {
    let mut ended = pod("ended", "one", "nginx", None);
    ended["status"]["phase"] = "Succeeded".into();
    let mut terminating = pod("terminating", "one", "nginx", None);
    terminating["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut elsewhere = pod("elsewhere", "one", "nginx", None);
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    let mut mirror = pod("mirror", "one", "nginx", Some(("v1", "Node", "one")));
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let pods = [ended, terminating, elsewhere, mirror];
    let found = check(&no_latest("enforce"), Nodes::All, &pods, &[]);
    assert_eq!(found.summary, DrainSummary::default());
    assert!(found.workloads.is_empty() && found.faults.is_empty());
}

#[test]
fn mutations_count_and_expressions_read_the_pod_as_it_would_be_made() {
    let completed = json!({
        "enforcementMode": "enforce", "mutate": true, "forbidLatestTag": true,
        "imageTags": [{"image": "nginx", "from": "latest", "to": "1.29"}],
    });
    let pods = [of_cart("cart-5d4-a", "one", "nginx:latest")];
    let controllers = [(Kind::ReplicaSet, controller("cart-5d4", "nginx:latest"))];
    assert!(check(&completed, Nodes::All, &pods, &controllers).workloads.is_empty());
    let unbound = json!({"enforcementMode": "enforce", "validations": [{
        "name": "unbound", "message": "m",
        "expression": "!has(object.spec.nodeName) && !has(object.status)",
    }]});
    for controllers in [&controllers[..], &[]] {
        let found = check(&unbound, Nodes::All, &pods, controllers);
        assert!(found.workloads.is_empty() && found.faults.is_empty(), "{:?}", shares(&found));
    }
}

#[test]
fn those_that_lose_every_pod_come_first() {
    let sets = |name, count: usize, node| {
        let pod = |it| {
            pod(&format!("{name}-{it}"), node, "nginx", Some(("apps/v1", "StatefulSet", name)))
        };
        (0..count).map(pod).collect::<Vec<_>>()
    };
    let pods = [
        sets("many", 5, "one"),
        sets("many", 1, "two"),
        sets("few", 2, "one"),
        sets("all", 1, "one"),
    ];
    let found = check(&no_latest("enforce"), nodes(&["one"]), &pods.concat(), &[]);
    assert_eq!(
        shares(&found),
        ["StatefulSet/few 2 of 2", "StatefulSet/all 1 of 1", "StatefulSet/many 5 of 6"]
    );
    assert_eq!(found.summary, DrainSummary { pods: 8, refused: 8, graced: 0, lost: 2 });
}

#[test]
fn only_the_controllers_of_the_nodes_pods_are_asked_for() {
    let policies = PolicySet::new([policy(&no_latest("enforce"))], Arc::new(Namespaces::new()));
    let mut judge = DrainJudge::new(&policies, nodes(&["one"]), ["shop".to_owned()], NOW);
    let job = pod("j", "two", "nginx", Some(("batch/v1", "Job", "j")));
    for pod in [of_cart("a", "one", "nginx"), pod("bare", "one", "nginx", None), job] {
        judge.pod(&pod.to_string());
    }
    assert_eq!(judge.kinds(), [Kind::ReplicaSet]);
}

#[test]
fn what_cannot_be_read_is_a_fault_and_the_rest_counts() {
    let pods = [
        json!({"metadata": {"name": "odd", "namespace": "shop"}}),
        json!([]),
        of_cart("cart-5d4-a", "one", "nginx"),
    ];
    let mut odd = controller("cart-5d4", "nginx:1.29");
    odd["spec"]["template"]["spec"] = json!({});
    let found = check(&no_latest("enforce"), Nodes::All, &pods, &[(Kind::ReplicaSet, odd)]);
    assert_eq!(shares(&found), ["Deployment/cart 1 of 1"]);
    let places: Vec<_> = found.faults.iter().map(|it| it.place.as_str()).collect();
    assert_eq!(places, ["a pod", "a pod", "a ReplicaSet"]);
}

#[test]
fn a_namespace_whose_labels_cannot_be_read_counts_as_selected_and_is_told() {
    let spec = json!({
        "forbidLatestTag": true, "enforcementMode": "enforce",
        "namespaceSelector": {"matchLabels": {"env": "production"}},
    });
    let policy = Policy::compile_cluster("own".to_owned(), &serde_json::from_value(spec).unwrap());
    let policies = PolicySet::new([Arc::new(policy.unwrap())], Arc::new(Namespaces::new()));
    let mut judge = DrainJudge::new(&policies, Nodes::All, ["shop".to_owned()], NOW);
    judge.pod(&of_cart("cart-5d4-a", "one", "nginx").to_string());
    let found = judge.finish();
    assert_eq!(shares(&found), ["Deployment/cart 1 of 1"]);
    assert!(found.faults[0].message.contains("labels cannot be read"), "{:?}", found.faults);
}
