//! The analysis of given pods.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::api::Classification;
use crate::policy::bundles;
use crate::policy::compile::Policy;
use crate::policy::policy_set::Namespaces;
use crate::policy::scope::{Scope, Selection};

const NOW: &str = "2026-01-01T00:10:00Z";

fn policy(scope: Scope, spec: &Value) -> Arc<Policy> {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    Arc::new(Policy::compile(scope, "baseline".to_owned(), &spec).unwrap())
}

fn shop(spec: &Value) -> Arc<Policy> {
    policy(Scope::Namespace("shop".to_owned()), spec)
}

/// A pod of Deployment cart, with what is laid over it.
fn cart(name: &str, image: &str, status: &Value) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "labels": {"pod-template-hash": "5d4"},
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-5d4", "controller": true}],
        },
        "spec": {"containers": [{"name": "web", "image": image}]},
        "status": status,
    })
}

fn restarted(times: u32) -> Value {
    json!({"phase": "Running", "containerStatuses": [{"name": "web", "restartCount": times}]})
}

fn analyzed(policies: Vec<Arc<Policy>>, namespaces: &[&str], pods: &[Value]) -> Analysis {
    analyzed_with(policies, namespaces, pods, &[])
}

/// The analysis of pods and then workloads.
fn analyzed_with(
    policies: Vec<Arc<Policy>>,
    namespaces: &[&str],
    pods: &[Value],
    workloads: &[(Kind, Value)],
) -> Analysis {
    let everywhere = Scope::Cluster(Selection::default());
    let default_checks =
        Policy::compile(everywhere, "default".to_owned(), &bundles::default_checks());
    let default_checks = PolicySet::new([Arc::new(default_checks.unwrap())], Arc::default());
    let policies = PolicySet::new(policies, Arc::new(Namespaces::new()));
    let names = namespaces.iter().map(|it| (*it).to_owned());
    let mut analyzer = Analyzer::new(&policies, &default_checks, names, NOW.parse().unwrap());
    for pod in pods {
        analyzer.pod(&pod.to_string());
    }
    for (kind, workload) in workloads {
        analyzer.workload(*kind, &workload.to_string());
    }
    analyzer.finish()
}

fn lines(analysis: &Analysis) -> Vec<String> {
    let line = |it: &Violation| {
        format!("{} {}/{} {}: {}", it.policy, it.kind, it.name, it.rule, it.message)
    };
    analysis.results.iter().map(line).collect()
}

#[test]
fn a_violation_of_several_replicas_is_told_once_by_the_worst_of_them() {
    let rules = json!({"forbidLatestTag": true, "maxRestartCount": 3});
    let pods = [
        cart("cart-5d4-a", "nginx", &restarted(4)),
        cart("cart-5d4-b", "nginx", &restarted(9)),
        cart("cart-5d4-c", "nginx", &restarted(9)),
        cart("cart-5d4-d", "nginx", &restarted(0)),
    ];
    let analysis = analyzed(vec![shop(&rules)], &["shop"], &pods);
    assert_eq!(
        lines(&analysis),
        [
            "shop/baseline Deployment/cart maxRestartCount: status.containerStatuses[0].restartCount is 9, \
             more than 3; find out why it ends: kubectl logs --previous (3 of 4 pods, such as cart-5d4-b)",
            "shop/baseline Deployment/cart forbidLatestTag: spec.containers[0].image is \"nginx\" (no tag means \
             :latest); pin the version that should run: nginx:VERSION (4 of 4 pods, such as cart-5d4-a)",
        ]
    );
    assert_eq!(analysis.results[0].value.as_deref(), Some("9"));
    let [namespace] = &analysis.namespaces[..] else { panic!("{:?}", analysis.namespaces) };
    assert_eq!((namespace.workloads, namespace.pods, namespace.violations), (1, 4, 2));
    assert_eq!(namespace.policies, ["shop/baseline"]);
    // Restarts: v = (ln 2 + 2 · ln 7 + 0) / (4 · ln 31) = 0.33380, and 50 · ln 1.33380 / ln 2 = 20.778 is lost.
    let standing = (namespace.score, namespace.classification);
    assert_eq!(standing, (Some(49), Some(Classification::Degraded)));
    assert_eq!(namespace.lost_points, [("forbidLatestTag", 30), ("maxRestartCount", 21)].into());
    assert_eq!(analysis.summary.counts.score, Some(49));
}

#[test]
fn pods_that_ended_and_namespaces_that_are_not_asked_about_do_not_count() {
    let mut elsewhere = cart("a", "nginx", &restarted(0));
    elsewhere["metadata"]["namespace"] = json!("lab");
    let pods = [
        cart("cart-5d4-a", "nginx", &json!({"phase": "Succeeded"})),
        cart("cart-5d4-b", "nginx", &json!({"phase": "Failed"})),
        elsewhere,
    ];
    let analysis = analyzed(vec![shop(&json!({"forbidLatestTag": true}))], &["shop"], &pods);
    assert!(analysis.results.is_empty());
    let counts = analysis.summary.counts;
    assert_eq!((counts.documents, counts.skipped, counts.workloads, counts.score), (3, 3, 0, None));
    assert_eq!(analysis.summary.classification, None);
    assert_eq!((analysis.namespaces[0].score, analysis.namespaces[0].classification), (None, None));
}

#[test]
fn the_default_checks_judge_where_no_policy_is_in_force_and_only_there() {
    let mut lab = cart("a", "nginx", &json!({"phase": "Pending"}));
    lab["metadata"]["namespace"] = json!("lab");
    let pods = [cart("b", "nginx", &json!({"phase": "Pending"})), lab];
    let silent = shop(&json!({"maxRestartCount": 0}));
    let analysis = analyzed(vec![silent], &["lab", "shop"], &pods);
    let [lab, shop] = &analysis.namespaces[..] else { panic!("{:?}", analysis.namespaces) };
    assert_eq!((shop.score, shop.violations), (Some(100), 0));
    // All but restarts: latest, liveness, readiness, and Pending for 600 s.
    assert_eq!((lab.score, lab.violations), (Some(20), 4));
    assert_eq!(lab.policies, ["default"]);
    let rules: Vec<_> = lab.worst_rules.iter().map(|it| (it.rule, it.lost_points)).collect();
    assert_eq!(
        rules,
        [
            ("forbidLatestTag", 30),
            ("forbidPendingDuration", 20),
            ("requireLivenessProbe", 20),
            ("requireReadinessProbe", 10),
        ]
    );
    assert_eq!(analysis.summary.counts.score, Some(60));
}

#[test]
fn an_exempt_violation_is_neither_told_nor_counted() {
    let rules = json!({"forbidLatestTag": true, "maxRestartCount": 3, "exemptions": [
        {"rules": ["forbidLatestTag", "maxRestartCount"], "names": ["cart"], "reason": "r", "owner": "o"},
    ]});
    let pods = [cart("cart-5d4-a", "nginx", &restarted(9))];
    let analysis = analyzed(vec![shop(&rules)], &["shop"], &pods);
    assert!(lines(&analysis).is_empty());
    assert_eq!(analysis.summary.counts.score, Some(100));
}

#[test]
fn labels_that_are_not_known_are_taken_to_match_and_that_is_told() {
    let selector = serde_json::from_value(json!({"matchLabels": {"team": "a"}})).unwrap();
    let scope = Scope::Cluster(Selection::new(Some(&selector), None).unwrap());
    let policy = policy(scope, &json!({"forbidLatestTag": true}));
    let pods = [cart("a", "nginx", &restarted(0))];
    let analysis = analyzed(vec![policy], &["shop"], &pods);
    assert_eq!(analysis.results.len(), 1);
    let [fault] = &analysis.faults[..] else { panic!("{:?}", analysis.faults) };
    assert_eq!(fault.place, "shop");
    assert!(fault.message.contains("labels cannot be read"), "{}", fault.message);
}

#[test]
fn validations_read_the_whole_pod() {
    let rules = json!({"validations": [
        {"name": "host", "expression": "has(object.spec.hostNetwork)", "message": "m"},
    ]});
    let pods = [cart("a", "nginx:1.29", &restarted(0))];
    let analysis = analyzed(vec![shop(&rules)], &["shop"], &pods);
    assert_eq!(analysis.results[0].rule, "validations/host");
}

#[test]
fn a_pod_that_cannot_be_read_is_a_fault_and_the_others_are_judged() {
    let pods = [json!({"metadata": 1}), json!({"spec": {}}), cart("a", "nginx", &restarted(0))];
    let analysis = analyzed(vec![shop(&json!({"forbidLatestTag": true}))], &["shop"], &pods);
    assert_eq!((analysis.faults.len(), analysis.results.len()), (2, 1));
}

/// A workload whose template has this image.
fn workload(kind: Kind, name: &str, image: &str, mut spec: Value, status: &Value) -> Value {
    let template = json!({"spec": {"containers": [{"name": "web", "image": image}]}});
    match kind {
        Kind::CronJob => spec["jobTemplate"] = json!({"spec": {"template": template}}),
        _ => spec["template"] = template,
    }
    json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec, "status": status})
}

/// A pod of a Job.
fn run(job: &str, image: &str) -> Value {
    json!({
        "metadata": {
            "name": format!("{job}-x"), "namespace": "shop",
            "ownerReferences": [{"kind": "Job", "name": job, "controller": true}],
        },
        "spec": {"containers": [{"name": "web", "image": image}]},
        "status": {"phase": "Running"},
    })
}

#[test]
fn a_workload_without_pods_is_judged_by_its_template_and_one_with_pods_is_not() {
    let rules = json!({"forbidLatestTag": true, "maxRestartCount": 0, "forbidPendingDuration": 0});
    let none = json!({});
    let stopped = json!({"replicas": 0});
    let workloads = [
        (Kind::Deployment, workload(Kind::Deployment, "cart", "nginx", json!({}), &none)),
        (Kind::StatefulSet, workload(Kind::StatefulSet, "db", "nginx", stopped.clone(), &none)),
        (Kind::DaemonSet, workload(Kind::DaemonSet, "agent", "nginx:1.29", stopped, &none)),
    ];
    let pods = [cart("cart-5d4-a", "nginx:1.29", &json!({"phase": "Running"}))];
    let analysis = analyzed_with(vec![shop(&rules)], &["shop"], &pods, &workloads);
    assert_eq!(
        lines(&analysis),
        [
            "shop/baseline StatefulSet/db forbidLatestTag: spec.containers[0].image is \"nginx\" (no tag means \
             :latest); pin the version that should run: nginx:VERSION (template; no pod runs)",
        ]
    );
    let [namespace] = &analysis.namespaces[..] else { panic!("{:?}", analysis.namespaces) };
    assert_eq!((namespace.workloads, namespace.pods, namespace.violations), (3, 1, 1));
    let counts = analysis.summary.counts;
    assert_eq!((counts.documents, counts.workloads, counts.skipped), (1, 3, 0));
}

#[test]
fn a_template_is_judged_with_what_podgate_adds_to_its_pods() {
    let rules = json!({
        "requireResourceLimits": ["memory"], "mutate": true,
        "defaultResources": {"memoryLimit": "64Mi"},
    });
    let workloads =
        [(Kind::Deployment, workload(Kind::Deployment, "cart", "nginx", json!({}), &json!({})))];
    let analysis = analyzed_with(vec![shop(&rules)], &["shop"], &[], &workloads);
    assert!(lines(&analysis).is_empty(), "{:?}", lines(&analysis));
    assert_eq!((analysis.summary.counts.workloads, analysis.summary.counts.score), (1, Some(100)));
}

#[test]
fn the_pods_of_a_cron_jobs_runs_count_for_the_cron_job() {
    let rules = json!({"forbidLatestTag": true});
    let cron_job = |name: &str| {
        (
            Kind::CronJob,
            workload(Kind::CronJob, name, "nginx", json!({"suspend": true}), &json!({})),
        )
    };
    let pods = [
        run("report-28", "nginx"),
        run("report-29", "nginx:1.29"),
        run("report-x", "nginx:1.29"),
        run("other-1", "nginx:1.29"),
    ];
    let workloads = [cron_job("report"), cron_job("idle")];
    let analysis = analyzed_with(vec![shop(&rules)], &["shop"], &pods, &workloads);
    let found = lines(&analysis);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("shop/baseline CronJob/idle forbidLatestTag"), "{found:?}");
    assert!(found[0].ends_with("(template; no pod runs)"), "{found:?}");
    assert!(found[1].starts_with("shop/baseline CronJob/report forbidLatestTag"), "{found:?}");
    assert!(found[1].ends_with("(1 of 2 pods, such as report-28-x)"), "{found:?}");
    // report, idle, and the Jobs report-x and other-1, which are runs of no CronJob.
    let [namespace] = &analysis.namespaces[..] else { panic!("{:?}", analysis.namespaces) };
    assert_eq!((namespace.workloads, namespace.pods), (4, 4));
}

#[test]
fn what_admission_would_refuse_is_told_with_the_policies_that_deny_it() {
    let rules = |mode: &str| json!({"forbidLatestTag": true, "requireLivenessProbe": true, "enforcementMode": mode});
    let everywhere = || Scope::Cluster(Selection::default());
    let half = json!({"replicas": 4, "updatedReplicas": 1});
    let whole = json!({"replicas": 4, "updatedReplicas": 4});
    let deployment = |name: &str, image: &str, status: &Value| {
        (Kind::Deployment, workload(Kind::Deployment, name, image, json!({"replicas": 4}), status))
    };
    let suspended = json!({"suspend": true});
    let workloads = [
        deployment("cart", "nginx", &half),
        deployment("whole", "nginx", &whole),
        deployment("api", "nginx", &json!({})),
        (Kind::CronJob, workload(Kind::CronJob, "report", "nginx", json!({}), &json!({}))),
        (Kind::CronJob, workload(Kind::CronJob, "off", "nginx", suspended, &json!({}))),
    ];
    // Its one pod complies; only its new ones would be refused.
    let probe = json!({"httpGet": {"port": 80}});
    let mut good = cart("cart-5d4-a", "nginx:1.29", &json!({"phase": "Running"}));
    good["spec"]["containers"][0]["livenessProbe"] = probe;
    let refused = |mode: &str| {
        let mut rules = rules(mode);
        if mode == "grace" {
            rules["enforcementMode"] = json!("enforce");
            rules["graceUntil"] = json!("2026-01-01T00:10:01Z");
        }
        let policies = vec![shop(&rules), policy(everywhere(), &rules)];
        let pods = std::slice::from_ref(&good);
        let analysis = analyzed_with(policies, &["shop"], pods, &workloads);
        assert!(!lines(&analysis).iter().any(|it| it.contains("Deployment/cart")));
        let line = |it: &RefusedPods| {
            let policies = it.policies.join(",");
            format!(
                "{}/{} {}/{} {policies}: {}",
                it.kind, it.name, it.running, it.wanted, it.message
            )
        };
        analysis.refused.iter().map(line).collect::<Vec<_>>()
    };
    let why = "baseline,shop/baseline: spec.containers[0].image is \"nginx\" (no tag means :latest); pin the version \
               that should run: nginx:VERSION (and 1 more violation)";
    assert_eq!(
        refused("enforce"),
        [
            format!("Deployment/api 0/4 {why}"),
            format!("Deployment/cart 1/4 {why}"),
            format!("CronJob/report 0/1 {why}"),
        ]
    );
    assert!(refused("warn").is_empty() && refused("grace").is_empty());
}

#[test]
fn a_workload_that_cannot_be_read_is_a_fault_and_the_others_are_judged() {
    let good = workload(Kind::Deployment, "cart", "nginx", json!({}), &json!({}));
    let mut elsewhere = good.clone();
    elsewhere["metadata"]["namespace"] = json!("lab");
    let workloads = [
        (Kind::Deployment, json!({"metadata": 1})),
        (Kind::Deployment, elsewhere),
        (Kind::Deployment, good),
    ];
    let rules = json!({"forbidLatestTag": true});
    let analysis = analyzed_with(vec![shop(&rules)], &["shop"], &[], &workloads);
    assert_eq!((analysis.faults.len(), analysis.results.len()), (1, 1));
    assert_eq!(analysis.faults[0].place, "a Deployment");
}
