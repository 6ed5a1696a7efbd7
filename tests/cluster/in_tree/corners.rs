//! What the fixtures and random writes seldom have: mirror pods, pods too large to judge, several namespaces, an
//! application, and what is left to judge where an update may have no time.

use std::sync::Arc;

use podgate::policy::compile::Policy;
use podgate::policy::policy_set::PolicySet;
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::door::{Door, Open, Tally, creation, set, update};
use crate::cel::judge::{Change, Judge};
use crate::support::manifests::{held_by, pod, probed_pod, workload};
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone<Result<(), String>> = trials![
    a_mirror_pod_passes_from_the_kubelet_of_its_node_alone,
    a_pod_too_large_to_judge_is_a_violation_of_every_rule,
    each_namespace_is_judged_by_the_policies_that_cover_it,
    a_demo_application_gets_the_verdict_of_podgate
];
pub const REMOVALS: Alone =
    trials![of_a_write_that_may_have_no_time_only_what_a_removal_can_cause_is_judged];

fn strict() -> Value {
    json!({
        "enforcementMode": "enforce", "forbidLatestTag": true, "requireLivenessProbe": true,
        "podSecurity": "restricted", "contact": "#platform",
        "exemptions": [{"rules": ["podSecurity"], "images": ["nginx*"], "reason": "r", "owner": "o"}],
    })
}

fn a_mirror_pod_passes_from_the_kubelet_of_its_node_alone() -> Result<(), String> {
    mirror_pods(Door::open)
}

pub fn mirror_pods(open: Open) -> Result<(), String> {
    let mut door = open(Judge::start(), set(&[("p", &strict())]));
    let owner =
        json!([{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u", "controller": true}]);
    let mut mirror = workload(Kind::Pod, pod("nginx"));
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "hash"});
    mirror["metadata"]["ownerReferences"] = owner;
    mirror["spec"]["nodeName"] = json!("n1");
    let mut changes = Vec::new();
    for user in ["system:node:n1", "system:node:n2", "jane", "system:node:"] {
        for (pointer, value) in [
            ("", Value::Null),
            ("/metadata/annotations", json!({"kubernetes.io/config.source": "file"})),
            ("/metadata/ownerReferences/0/kind", json!("ReplicaSet")),
            ("/metadata/ownerReferences/0/controller", json!(false)),
            ("/metadata/ownerReferences/0/apiVersion", json!("example.com/v1")),
            ("/spec/nodeName", json!("n2")),
            ("/spec/nodeName", json!("")),
        ] {
            let mut pod = mirror.clone();
            if !pointer.is_empty() {
                *pod.pointer_mut(pointer).unwrap() = value;
            }
            changes.push(Change { user: user.to_owned(), ..creation(&pod) });
        }
    }
    let tally = Tally::of(&mut door, &changes);
    let passed = tally.passed;
    tally.finish("mirror pods", 1)?;
    assert_eq!(passed, 1, "only the mirror pod itself passes");
    Ok(())
}

fn a_pod_too_large_to_judge_is_a_violation_of_every_rule() -> Result<(), String> {
    large_pods(Door::open)
}

pub fn large_pods(open: Open) -> Result<(), String> {
    let mut spec = strict();
    spec["exemptions"][0] = json!({"rules": ["requireLivenessProbe"], "reason": "r", "owner": "o"});
    let mut door = open(Judge::start(), set(&[("p", &spec)]));
    let many = |count: usize| {
        let container = |index: usize| json!({"name": format!("c{index}"), "image": "nginx:1.29"});
        json!({"metadata": {"name": "web"}, "spec": {"containers": (0..count).map(container).collect::<Vec<_>>()}})
    };
    let volumes = |count: usize| {
        let mut pod = many(1);
        let volume = |index: usize| json!({"name": format!("v{index}"), "emptyDir": {}});
        pod["spec"]["volumes"] = (0..count).map(volume).collect();
        pod
    };
    let mut changes = Vec::new();
    for pod in [many(30), many(1_001), volumes(1_001), volumes(900)] {
        for kind in [Kind::Pod, Kind::Deployment] {
            changes.push(creation(&held_by(kind, &pod)));
        }
    }
    let tally = Tally::of(&mut door, &changes);
    let denied = tally.denied;
    tally.finish("large pods", 0)?;
    assert_eq!(denied, changes.len());
    Ok(())
}

fn each_namespace_is_judged_by_the_policies_that_cover_it() -> Result<(), String> {
    namespaces(Door::open)
}

pub fn namespaces(open: Open) -> Result<(), String> {
    let policy = |scope: Scope, name: &str, spec: Value| {
        let spec = serde_json::from_value(spec).unwrap();
        Arc::new(Policy::compile(scope, name.to_owned(), &spec).unwrap())
    };
    let but = |excluded: &str| {
        Scope::Cluster(Selection::new(None, Some(vec![excluded.to_owned()])).unwrap())
    };
    let enforcing = |rule: &str| json!({"enforcementMode": "enforce", rule: true});
    let set = PolicySet::new(
        [
            policy(Scope::Cluster(Selection::default()), "all", enforcing("forbidLatestTag")),
            policy(but("lab"), "most", enforcing("requireLivenessProbe")),
            policy(Scope::Namespace("shop".to_owned()), "own", enforcing("requireReadinessProbe")),
            policy(
                Scope::Namespace("kube-system".to_owned()),
                "never",
                enforcing("requireImageDigest"),
            ),
        ],
        Arc::default(),
    );
    let mut door = open(Judge::start(), set);
    let mut changes = Vec::new();
    for namespace in ["shop", "lab", "kube-system", "other"] {
        for object in
            [workload(Kind::Deployment, pod("nginx")), workload(Kind::Pod, probed_pod("nginx:1"))]
        {
            changes.push(Change { namespace: namespace.to_owned(), ..creation(&object) });
        }
    }
    let tally = Tally::of(&mut door, &changes);
    let counted = (tally.denied, tally.findings);
    tally.finish("namespaces", 1)?;
    assert_eq!(counted, (3, 3 + 1 + 2));
    Ok(())
}

fn a_demo_application_gets_the_verdict_of_podgate() -> Result<(), String> {
    demo_application(Door::open)
}

pub fn demo_application(open: Open) -> Result<(), String> {
    let manifests = include_str!("../../manifests/demo-application.yaml");
    let objects: Vec<Value> = serde_saphyr::from_multiple(manifests).unwrap();
    let deployments = objects.iter().filter(|it| it["kind"] == "Deployment");
    let mut changes = Vec::new();
    for deployment in deployments {
        changes.push(creation(deployment));
        let template = &deployment["spec"]["template"];
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
        pod["metadata"]["generateName"] = json!("pod-");
        changes.push(creation(&pod));
        let mut scaled = deployment.clone();
        scaled["spec"]["replicas"] = json!(2);
        changes.push(update(deployment, &scaled));
        let mut renewed = deployment.clone();
        renewed["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
            json!("now");
        changes.push(update(deployment, &renewed));
    }
    assert_eq!(changes.len(), 48);
    let mut judge = Judge::start();
    for spec in [
        json!({"enforcementMode": "enforce", "bundle": "baseline"}),
        json!({"enforcementMode": "enforce", "bundle": "restricted"}),
    ] {
        let mut door = open(judge, set(&[("p", &spec)]));
        Tally::of(&mut door, &changes).finish("demo application", 6)?;
        judge = door.close();
    }
    Ok(())
}

fn of_a_write_that_may_have_no_time_only_what_a_removal_can_cause_is_judged() {
    let heard = "request.userInfo.username == 'jane'";
    let whole = workload(Kind::Deployment, probed_pod("nginx:1"));
    let mut removed = whole.clone();
    removed["spec"]["template"]["spec"]["containers"][0]
        .as_object_mut()
        .unwrap()
        .remove("livenessProbe");
    let mut floating = removed.clone();
    floating["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nginx");
    let by = |user: &str, change: Change| Change { user: user.to_owned(), ..change };
    let changes = [
        creation(&floating),
        by("joe", creation(&floating)),
        update(&whole, &removed),
        update(&whole, &floating),
        by("joe", update(&whole, &floating)),
    ];
    let mut spec = strict();
    spec["podSecurity"] = Value::Null;
    let rules = |denial: &String| {
        ["forbidLatestTag", "requireLivenessProbe"]
            .map(|rule| denial.contains(&format!("{rule} (")))
    };
    let mut door = Door::open_for_removals(Judge::start(), set(&[("p", &spec)]), heard);
    let denials = door.denials(&changes);
    let found: Vec<_> = denials.iter().map(rules).collect();
    assert_eq!(
        found,
        [[false; 2], [true; 2], [false, true], [false, true], [true; 2]],
        "{denials:#?}"
    );
    assert!(denials[1].ends_with(" | contact: #platform | see shop"), "{}", denials[1]);
}
