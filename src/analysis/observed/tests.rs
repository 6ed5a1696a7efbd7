use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::client::script::Script;
use crate::metrics::Metrics;
use crate::policy::compile::Policy;
use crate::policy::policy_set::PolicySet;
use crate::policy::scope::{Scope, Selection};

/// A pod of the chart, whose metrics port may be another than 8080.
fn pod(name: &str, port: u16) -> Value {
    let ports = json!([
        {"name": "webhook", "containerPort": 8443},
        {"name": "metrics", "containerPort": port},
    ]);
    json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "sidecar"}, {"name": "podgate", "ports": ports}]},
        "status": {"phase": "Running"},
    })
}

fn pods(pods: &[Value]) -> (u16, Value) {
    (200, json!({"metadata": {}, "items": pods}))
}

/// A replica's metrics: the policy `shop/own`, and `all` of the cluster.
fn metrics(started: u64, [denied, would_deny, of_all]: [u64; 3]) -> (u16, Value) {
    let text = format!(
        r#"# HELP devopspolicy_denied_total Reviews that the policy denied.
# TYPE devopspolicy_denied_total counter
devopspolicy_denied_total{{namespace="shop",policy="own"}} {denied}
devopspolicy_denied_total{{namespace="",policy="all"}} {of_all}
devopspolicy_would_deny_total{{namespace="shop",policy="own"}} {would_deny}
devopspolicy_would_deny_total{{namespace="",policy="all"}} 0
podgate_build_info{{version="0.1.0"}} 1
process_start_time_seconds {started}
"#
    );
    (200, text.into())
}

fn refused(status: u16, reason: &str, message: &str) -> (u16, Value) {
    (status, json!({"kind": "Status", "code": status, "reason": reason, "message": message}))
}

async fn observed(
    answers: impl IntoIterator<Item = (u16, Value)>,
) -> (ObservedReviews, Vec<String>) {
    let script = Script::new(answers);
    let observed = observe(&script.client(), "podgate-system").await.unwrap();
    (observed, script.asked())
}

#[tokio::test]
async fn the_counters_of_all_replicas_are_added() {
    let answers = [
        pods(&[pod("podgate-b", 9090), pod("podgate-a", 8080)]),
        metrics(1_764_000_000, [1, 40, 3]),
        metrics(1_764_000_060, [2, 2, 0]),
    ];
    let (observed, asked) = observed(answers).await;
    let proxy = "/api/v1/namespaces/podgate-system/pods";
    assert_eq!(
        asked,
        [
            format!(
                "GET {proxy}?&labelSelector=app.kubernetes.io%2Fcomponent%3Dcontroller&limit=500"
            ),
            format!("GET {proxy}/podgate-a:8080/proxy/metrics"),
            format!("GET {proxy}/podgate-b:9090/proxy/metrics"),
        ]
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&observed).unwrap(), @r#"
    {
      "replicas": [
        {
          "pod": "podgate-a",
          "since": "2025-11-24T16:00:00Z",
          "unread": null
        },
        {
          "pod": "podgate-b",
          "since": "2025-11-24T16:01:00Z",
          "unread": null
        }
      ],
      "policies": [
        {
          "policy": "all",
          "denied": 3,
          "wouldDeny": 0
        },
        {
          "policy": "shop/own",
          "denied": 3,
          "wouldDeny": 42
        }
      ],
      "unseen": null
    }
    "#);
    assert_eq!(observed.of("shop/own"), Some(ReviewCounts { denied: 3, would_deny: 42 }));
    assert_eq!(observed.of("own"), None);
}

#[tokio::test]
async fn a_replica_that_does_not_answer_is_named_and_the_others_count() {
    let message = "error trying to reach service: dial tcp 10.0.0.7:8080: connect: refused\u{1b}";
    let answers = [
        pods(&[pod("a", 8080), pod("b", 8080), pod("c", 8080), pod("d", 8080)]),
        refused(503, "ServiceUnavailable", message),
        metrics(1_764_000_000, [1, 2, 3]),
        (404, "404 page not found".into()),
        (200, "<html>".into()),
    ];
    let (observed, _) = observed(answers).await;
    let unread: Vec<_> = observed.replicas.iter().map(|it| it.unread.as_deref()).collect();
    assert_eq!(
        unread,
        [
            Some(r"error trying to reach service: dial tcp 10.0.0.7:8080: connect: refused\u{1b}"),
            None,
            Some("404 page not found"),
            Some("what it answers is not podgate's metrics"),
        ]
    );
    assert_eq!(observed.of("all"), Some(ReviewCounts { denied: 3, would_deny: 0 }));
}

#[tokio::test]
async fn what_the_user_may_not_read_is_told_with_the_permission() {
    let message = "pods is forbidden: User \"jane\" cannot list resource \"pods\"";
    let (listed, asked) = observed([refused(403, "Forbidden", message)]).await;
    let needs = "this needs the permission to list pods in podgate-system";
    assert_eq!(listed.unseen.as_deref(), Some(needs));
    assert!(listed.replicas.is_empty() && asked.len() == 1);

    let forbidden = refused(403, "Forbidden", "no");
    let answers = [pods(&[pod("a", 8080), pod("b", 8080)]), forbidden.clone(), forbidden];
    let (read, _) = observed(answers).await;
    let needs = "this needs the permission to get pods/proxy in podgate-system";
    assert!(read.replicas.iter().all(|it| it.unread.as_deref() == Some(needs)), "{read:?}");
    // A 403 of something between the API server and the replica is no matter of permissions.
    let answers = [pods(&[pod("a", 8080)]), (403, "RBAC: access denied".into())];
    let (read, _) = observed(answers).await;
    assert_eq!(read.replicas[0].unread.as_deref(), Some("RBAC: access denied"));
}

#[tokio::test]
async fn only_running_pods_of_the_chart_are_asked() {
    let mut ended = pod("ended", 8080);
    ended["status"]["phase"] = "Failed".into();
    let other = json!({"metadata": {"name": "other"}, "spec": {"containers": [{"name": "web"}]}});
    let mut no_port = pod("no-port", 8080);
    no_port["spec"]["containers"][1]["ports"] = json!([{"containerPort": 8080}]);
    let (observed, asked) = observed([pods(&[ended, other, no_port, json!({})])]).await;
    assert_eq!(asked.len(), 1);
    let unseen = observed.unseen.unwrap();
    assert!(unseen.contains("--release-namespace"), "{unseen}");
}

#[tokio::test]
async fn an_api_server_that_fails_is_an_error() {
    let script = Script::new([refused(500, "InternalError", "no")]);
    assert!(observe(&script.client(), "podgate-system").await.is_err());
}

#[test]
fn a_line_of_the_counters_that_cannot_be_read_makes_no_wrong_sum() {
    let of = |line: &str| {
        let head = "podgate_build_info 1\nprocess_start_time_seconds 1764000000.25\n";
        Counters::read(&format!("{head}{line}\n")).map(|it| it.by_policy)
    };
    assert_eq!(of("other_total x"), Ok(BTreeMap::new()));
    let largest = r#"devopspolicy_denied_total{namespace="",policy="a"} 9007199254740992"#;
    assert_eq!(of(largest).unwrap()["a"].denied, 1 << 53);
    for (line, reason) in [
        ("devopspolicy_denied_total x", "line 3 is no sample of devopspolicy_denied_total"),
        (r#"devopspolicy_denied_total{policy="a"} 1"#, "devopspolicy_denied_total has no policy"),
        (r#"devopspolicy_denied_total{namespace="a",policy="a"} -1"#, "is -1"),
        (r#"devopspolicy_denied_total{namespace="a",policy="a"} 0.5"#, "is 0.5"),
        (r#"devopspolicy_would_deny_total{namespace="a",policy="a"} NaN"#, "is NaN"),
        (r#"devopspolicy_would_deny_total{namespace="a",policy="a"} +Inf"#, "is inf"),
        (r#"devopspolicy_would_deny_total{namespace="a",policy="a"} 1e16"#, "is 1"),
    ] {
        let error = of(line).unwrap_err();
        assert!(error.starts_with("its metrics cannot be read: "), "{error}");
        assert!(error.contains(reason), "{line}: {error}");
    }
    for odd in ["", "podgate_build_info 1", "process_start_time_seconds 1764000000"] {
        assert!(Counters::read(odd).is_err(), "{odd}");
    }
    let never = "podgate_build_info 1\nprocess_start_time_seconds NaN";
    assert!(Counters::read(never).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn what_podgate_exposes_can_be_read() {
    let metrics = Metrics::new().unwrap();
    let spec = serde_json::from_value(json!({"forbidLatestTag": true})).unwrap();
    let scopes = [Scope::Namespace("shop".to_owned()), Scope::Cluster(Selection::default())];
    let policies = scopes.map(|it| Arc::new(Policy::compile(it, "own".to_owned(), &spec).unwrap()));
    metrics.policies.loaded(&PolicySet::new(policies, Arc::default()), 0);
    let exposed = String::from_utf8(metrics.expose().unwrap()).unwrap();
    let counters = Counters::read(&exposed).unwrap();
    assert!(counters.started > Timestamp::UNIX_EPOCH);
    let policies: Vec<_> = counters.by_policy.keys().map(String::as_str).collect();
    assert_eq!(policies, ["own", "shop/own"]);
}
