//! An application of twelve Deployments, through the real controllers.

use podgate::policy::workload::Kind;
use serde_json::json;

use crate::admission::enforce;
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> =
    trials![a_demo_application_goes_from_deployment_to_pod_with_the_verdict_at_each_level,];

/// Twelve Deployments with their Services. Those named `legacy-*` have images without a version.
fn a_demo_application_goes_from_deployment_to_pod_with_the_verdict_at_each_level(
    cluster: &Cluster,
) {
    let manifests = include_str!("../../manifests/demo-application.yaml");
    let shop = cluster.namespace("shop");
    let legacy = ["legacy-mailer", "legacy-reports"];

    // Pods that are older than the policy keep running.
    let (applied, printed) = shop.kubectl(&["apply", "-f", "-"]).given(&manifests).output();
    assert!(applied, "{printed}");
    let (_, names) =
        shop.kubectl(&["get", "deployments", "-o", "jsonpath={.items[*].metadata.name}"]).output();
    let names: Vec<_> = names.split_whitespace().collect();
    assert_eq!(names.len(), 12);
    let running = |deployment: &str, replicas: i64| {
        shop.awaits(deployment, Kind::Deployment, deployment, |it| {
            it.data["status"]["replicas"] == replicas
        });
    };
    for name in &names {
        running(name, 1);
    }
    shop.policy(
        "baseline",
        &enforce(&json!({
            "forbidLatestTag": true, "requireLivenessProbe": true, "requireReadinessProbe": true,
        })),
    );

    // Deployment: an unchanged one passes again, good or not.
    let (applied, printed) = shop.kubectl(&["apply", "-f", "-"]).given(&manifests).output();
    assert!(applied, "{printed}");
    // ReplicaSet and Pod: the good ones scale, and the pods come up.
    for name in &names {
        shop.patch(Kind::Deployment, name, &json!({"spec": {"replicas": 2}})).unwrap();
    }
    for name in names.iter().filter(|name| !legacy.contains(name)) {
        running(name, 2);
    }
    // A bad one scales as an object, its ReplicaSet too, but its new pod is refused.
    for name in legacy {
        let (replica_sets, template) = (shop.api(Kind::ReplicaSet), format!("app={name}"));
        let params = kube::api::ListParams::default().labels(&template);
        let (message, _) = eventually("the pod's refusal", || {
            let sets = cluster.wait(replica_sets.list(&params)).unwrap();
            let set = sets.items.first().ok_or("no ReplicaSet")?;
            assert_eq!(set.data["spec"]["replicas"], 2);
            let conditions = set.data["status"]["conditions"].as_array().ok_or("no condition")?;
            let failure =
                conditions.iter().find(|it| it["type"] == "ReplicaFailure").ok_or("no failure")?;
            Ok(failure["message"].as_str().unwrap().to_owned())
        });
        assert!(message.contains(&format!("Pod {}/{name}-", shop.name)), "{message}");
        assert!(message.contains("forbidLatestTag"), "{message}");
        running(name, 1);
    }
    // In a namespace where the policy came first, the same manifests are refused at the Deployment.
    let fresh = cluster.namespace("shop");
    fresh.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    let (applied, printed) = fresh.kubectl(&["apply", "-f", "-"]).given(&manifests).output();
    assert!(!applied);
    for name in legacy {
        assert!(
            printed.contains(&format!("Deployment {}/{name} breaks 1 rule", fresh.name)),
            "{printed}"
        );
    }
    assert_eq!(printed.matches(" breaks ").count(), legacy.len(), "{printed}");
    assert_eq!(printed.matches("deployment.apps/").count(), 10, "{printed}");
}
