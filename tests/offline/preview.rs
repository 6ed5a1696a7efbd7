//! Part of `make test`: `podgate policy preview` against an API server that only reads out objects.

use serde_json::{Value, json};

use crate::support::stub_api::{Answers, StubApi, named};

const POLICIES: &str = "/apis/devops.stochastic.io/v1/devopspolicies";
const CLUSTER_POLICIES: &str = "/apis/devops.stochastic.io/v1/clusterdevopspolicies";
const PODS: &str = "/api/v1/namespaces/podgate-system/pods";

fn deployment(name: &str, image: &str) -> Value {
    let pod = json!({"containers": [{"name": "web", "image": image}]});
    named(Some("shop"), name, json!({"spec": {"template": {"spec": pod}}}))
}

fn pod(name: &str, image: &str) -> Value {
    let spec = json!({"containers": [{"name": "web", "image": image}]});
    named(Some("shop"), name, json!({"spec": spec, "status": {"phase": "Running"}}))
}

/// A namespace with an enforcing policy and two that only look on.
fn shop() -> Answers {
    let policy = |rule: &str, mode: &str| json!({"spec": {rule: true, "enforcementMode": mode}});
    let policies = [
        named(Some("shop"), "tags", policy("forbidLatestTag", "enforce")),
        named(Some("shop"), "probes", policy("requireLivenessProbe", "warn")),
    ];
    let digests = named(None, "digests", policy("requireImageDigest", "audit"));
    Answers::default()
        .list("/api/v1/namespaces", &["shop", "lab"].map(|it| named(None, it, json!({}))))
        .text("/api/v1/namespaces/shop", &named(None, "shop", json!({})).to_string())
        .list(POLICIES, &policies)
        .list("/apis/devops.stochastic.io/v1/namespaces/shop/devopspolicies", &policies)
        .list(CLUSTER_POLICIES, &[digests])
        .list(
            "/apis/apps/v1/deployments",
            &[deployment("cart", "nginx"), deployment("web", "nginx:1.29")],
        )
        .list("/api/v1/pods", &[pod("old", "nginx"), pod("new", "nginx:1.29")])
}

fn replica(name: &str) -> Value {
    let ports = json!([{"name": "metrics", "containerPort": 8080}]);
    let spec = json!({"containers": [{"name": "podgate", "ports": ports}]});
    named(Some("podgate-system"), name, json!({"spec": spec, "status": {"phase": "Running"}}))
}

fn metrics(denied: u64, would_deny: u64) -> String {
    format!(
        "podgate_build_info{{version=\"0.1.0\"}} 1\nprocess_start_time_seconds 1764000000\n\
         devopspolicy_denied_total{{namespace=\"shop\",policy=\"tags\"}} {denied}\n\
         devopspolicy_would_deny_total{{namespace=\"shop\",policy=\"probes\"}} {would_deny}\n"
    )
}

fn only_reads(api: &StubApi) {
    let asked = api.asked();
    assert!(asked.iter().all(|it| it.starts_with("GET ")), "{asked:?}");
}

#[test]
fn without_arguments_the_policies_in_force_are_judged_each_in_its_mode() {
    let api = shop().serve();
    let ran = api.run(&["policy", "preview", "-o", "json"]).exits(1);
    let found = ran.json();
    only_reads(&api);
    assert_eq!(found["versions"], "inForce");
    assert_eq!(
        found["policies"],
        json!([
            {"policy": "shop/tags", "replaces": false, "mode": "enforce", "wouldDeny": 2, "wouldRefusePods": 1, "graceUntil": null},
            {"policy": "shop/probes", "replaces": false, "mode": "warn", "wouldDeny": 4, "wouldRefusePods": 2, "graceUntil": null},
            {"policy": "digests", "replaces": false, "mode": "audit", "wouldDeny": 4, "wouldRefusePods": 2, "graceUntil": null},
        ])
    );
    // Only the policy that enforces denies: the Deployment and the pod without a version.
    let denied: Vec<_> = found["workloads"].as_array().unwrap().iter().collect();
    let names: Vec<_> = denied.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cart", "old"]);
    for workload in denied {
        assert_eq!((&workload["verdict"], &workload["before"]), (&json!("denied"), &Value::Null));
        let policies: Vec<_> =
            workload["violations"].as_array().unwrap().iter().map(|it| &it["policy"]).collect();
        assert_eq!(policies, ["shop/tags"]);
    }
    let score = &found["summary"]["score"];
    assert_eq!(score["before"], score["after"]);
    assert_eq!(found["observed"], Value::Null);

    let table = api.run(&["policy", "preview", "--fail-on", "never"]).exits(0).stdout;
    assert!(table.starts_with("3 policies, in force, would deny 2 of 4 workloads"), "{table}");
    assert!(table.contains("shop/probes   warn      4 workloads, 2 pods\n"), "{table}");
}

#[test]
fn of_one_namespace_nothing_else_is_read() {
    let api = shop()
        .list("/api/v1/namespaces/shop/pods", &[pod("new", "nginx:1.29")])
        .forbid("/api/v1/namespaces")
        .serve();
    let ran = api.run(&["policy", "preview", "-n", "shop", "-o", "json"]).exits(0);
    let found = ran.json();
    assert_eq!(found["summary"]["workloads"], 1);
    let namespaces: Vec<_> =
        found["namespaces"].as_array().unwrap().iter().map(|it| &it["namespace"]).collect();
    assert_eq!(namespaces, ["shop"]);
    // Without -n, only the context's namespace is left, and that is told.
    let ran = api.run(&["policy", "preview", "-o", "json"]).exits(3);
    ran.reports(&["namespaces cannot be listed", "choose another with -n"]);
    let ran = api.run(&["policy", "preview", "-n", "kube-system"]).exits(2);
    ran.reports(&["protected"]);
}

#[test]
fn a_cluster_without_policies_is_told_the_next_step() {
    let api = Answers::default().serve();
    let ran = api.run(&["policy", "preview"]).exits(0);
    ran.prints(&["no policy is in force", "--bundle baseline"]);
}

#[test]
fn a_policy_in_force_that_cannot_be_used_makes_the_preview_incomplete() {
    let broken = named(Some("shop"), "broken", json!({"spec": {"allowedRegistries": ["a b"]}}));
    let api = shop().list(POLICIES, &[broken]).serve();
    let ran = api.run(&["policy", "preview"]).exits(3);
    ran.reports(&["DevOpsPolicy shop/broken", "the preview is incomplete"]);
}

#[test]
fn observed_adds_what_the_replicas_counted_beside_what_is_computed() {
    let api = shop()
        .list(PODS, &[replica("podgate-a"), replica("podgate-b")])
        .text(&format!("{PODS}/podgate-a:8080/proxy/metrics"), &metrics(2, 40))
        .text(&format!("{PODS}/podgate-b:8080/proxy/metrics"), &metrics(1, 1))
        .serve();
    let args = ["policy", "preview", "--observed", "--fail-on", "never"];
    let found = api.run(&[&args[..], &["-o", "json"]].concat()).exits(0).json();
    only_reads(&api);
    assert_eq!(
        found["observed"],
        json!({
            "replicas": [
                {"pod": "podgate-a", "since": "2025-11-24T16:00:00Z", "unread": null},
                {"pod": "podgate-b", "since": "2025-11-24T16:00:00Z", "unread": null},
            ],
            "policies": [
                {"policy": "shop/probes", "denied": 0, "wouldDeny": 41},
                {"policy": "shop/tags", "denied": 3, "wouldDeny": 0},
            ],
            "unseen": null,
        })
    );
    let table = api.run(&args).exits(0).stdout;
    assert!(table.contains("4 workloads, 2 pods   0 denied, 41 would be denied\n"), "{table}");
    let page = api.run(&[&args[..], &["-o", "markdown"]].concat()).exits(0).stdout;
    assert!(page.contains("| `shop/tags` | enforce | 2 workloads, 1 pod | 3 denied, "), "{page}");

    // A candidate has its row beside the version in force.
    let page = api.run(&[&args[..], &["--bundle", "baseline"]].concat()).exits(0).stdout;
    assert!(page.contains("baseline   enforce   4 workloads, 2 pods   <none>\n"), "{page}");
}

#[test]
fn what_of_the_replicas_cannot_be_seen_is_one_line_and_the_preview_is_complete() {
    let proxy = |pod: &str| format!("{PODS}/{pod}:8080/proxy/metrics");
    let api = shop()
        .list(PODS, &[replica("podgate-a"), replica("podgate-b")])
        .forbid(&proxy("podgate-a"))
        .forbid(&proxy("podgate-b"))
        .serve();
    let args = ["policy", "preview", "--observed", "--fail-on", "never"];
    api.run(&args).exits(0).prints(&[
        "the counters of podgate-a, podgate-b were not seen: this needs the permission to get pods/proxy in podgate-system\n",
    ]);
    let api = shop().forbid(PODS).serve();
    api.run(&args).exits(0).prints(&[
        "the replicas' counters were not seen: this needs the permission to list pods in podgate-system\n",
    ]);
    let elsewhere = [&args[..], &["--release-namespace", "gate"]].concat();
    api.run(&elsewhere).exits(0).prints(&["no pod of podgate's chart runs in gate"]);
    api.run(&["policy", "preview", "--release-namespace", "gate"]).exits(2);
}
