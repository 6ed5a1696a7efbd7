//! Part of `make test`: `podgate drain-check` against an API server that only reads out objects.

use serde_json::{Value, json};

use crate::support::stub_api::{Answers, named};

const REPLICA_SETS: &str = "/apis/apps/v1/replicasets";

fn pod(name: &str, node: &str) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-5d4", "controller": true});
    let pod = json!({
        "metadata": {"labels": {"pod-template-hash": "5d4"}, "ownerReferences": [owner]},
        "spec": {"nodeName": node, "containers": [{"name": "web", "image": "nginx"}]},
        "status": {"phase": "Running"},
    });
    named(Some("shop"), name, pod)
}

fn replica_set(image: &str) -> Value {
    let template = json!({
        "metadata": {"labels": {"pod-template-hash": "5d4"}},
        "spec": {"containers": [{"name": "web", "image": image}]},
    });
    named(Some("shop"), "cart-5d4", json!({"spec": {"template": template}}))
}

/// Two nodes, and a Deployment with a pod on each.
fn shop(mode: &str) -> Answers {
    let spec = json!({"spec": {"forbidLatestTag": true, "enforcementMode": mode}});
    let nodes = ["one", "two"].map(|it| named(None, it, json!({})));
    let api = nodes.iter().fold(Answers::default(), |api, node| {
        api.text(
            &format!("/api/v1/nodes/{}", node["metadata"]["name"].as_str().unwrap()),
            &node.to_string(),
        )
    });
    api.list("/api/v1/namespaces", &[named(None, "shop", json!({}))])
        .list("/api/v1/nodes", &nodes)
        .status("/api/v1/nodes/three", 404)
        .list("/apis/devops.stochastic.io/v1/devopspolicies", &[named(Some("shop"), "own", spec)])
        .list("/api/v1/pods", &[pod("cart-5d4-a", "one"), pod("cart-5d4-b", "two")])
        .list(REPLICA_SETS, &[replica_set("nginx")])
}

#[test]
fn it_names_the_workloads_fails_and_writes_nothing() {
    let api = shop("enforce").serve();
    let ran = api.run(&["drain-check", "one", "-o", "json"]).exits(1);
    assert_eq!(
        ran.json(),
        json!({
            "apiVersion": "podgate/v1",
            "nodes": ["one"],
            "summary": {"pods": 1, "refused": 1, "graced": 0, "lost": 0},
            "workloads": [{
                "namespace": "shop", "kind": "Deployment", "name": "cart", "refused": 1, "graced": 0,
                "replicas": 2,
                "policies": ["shop/own"],
                "message": "spec.containers[0].image is \"nginx\" (no tag means :latest); pin the version that should run: nginx:VERSION",
            }],
        })
    );
    for args in [
        &["drain-check", "one", "two"][..],
        &["drain-check", "--all"],
        &["drain-check", "-l", "a=b"],
    ] {
        let ran = api.run(args).exits(1).reports(&["2 pods would be refused"]);
        ran.prints(&[
            "2 of 2 pods on 2 nodes would be refused if they were evicted now; 1 workload would lose every pod",
            "shop        Deployment/cart   2 of 2   shop/own   spec.containers[0].image",
        ]);
    }
    let asked = api.asked();
    assert!(asked.iter().all(|it| it.starts_with("GET ")), "{asked:?}");
}

#[test]
fn where_nothing_would_be_refused_it_succeeds() {
    for api in [
        shop("warn"),
        shop("enforce").list(REPLICA_SETS, &[replica_set("nginx:1.29")]),
        shop("enforce").list("/api/v1/pods", &[]),
        shop("enforce").status("/apis/devops.stochastic.io/v1/devopspolicies", 404),
    ] {
        let ran = api.serve().run(&["drain-check", "one"]).exits(0);
        ran.prints(&["would be refused if they were evicted now"]);
    }
}

#[test]
fn what_the_user_may_not_read_makes_the_check_incomplete() {
    let api =
        shop("enforce").forbid(REPLICA_SETS).forbid("/apis/apps/v1/namespaces/shop/replicasets");
    let ran = api.serve().run(&["drain-check", "--all"]).exits(3);
    ran.reports(&[
        "replicasets: cannot be read in shop, so pods are judged there",
        "the check is incomplete",
    ])
    .prints(&["2 of 2"]);
    let api = shop("enforce").forbid("/api/v1/pods").forbid("/api/v1/namespaces/shop/pods");
    api.serve().run(&["drain-check", "--all"]).exits(3).reports(&["pods: cannot be read in shop"]);
    let ran = shop("enforce").forbid("/api/v1/namespaces").serve().run(&["drain-check", "--all"]);
    ran.exits(3)
        .reports(&["the namespaces: cannot be listed, so only the pods of default are checked"]);
    // Nodes that cannot be seen may exist.
    let ran = shop("enforce").forbid("/api/v1/nodes/one").serve().run(&["drain-check", "one"]);
    ran.exits(1).reports(&["whether the nodes exist is unknown"]);
}

#[test]
fn nodes_that_do_not_exist_and_odd_flags_are_refused() {
    let api = shop("enforce").serve();
    api.run(&["drain-check", "one", "three"]).exits(2).reports(&["there is no node \"three\""]);
    let none = shop("enforce").list("/api/v1/nodes", &[]).serve();
    let ran = none.run(&["drain-check", "-l", "pool=spot"]).exits(2);
    ran.reports(&["no node has the labels \"pool=spot\""]);
    for args in [
        &["drain-check"][..],
        &["drain-check", "one", "--all"],
        &["drain-check", "--all", "-l", "a=b"],
        &["drain-check", "one", "-l", "a=b"],
    ] {
        api.run(args).exits(2);
    }
}
