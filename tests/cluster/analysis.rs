//! Part of `make test`: `podgate analyze` and the scores of `podgate policy preview` know workloads without pods, and
//! `analyze` shows which workloads a policy keeps from making pods. Real controllers make the pods, and the real webhook
//! refuses them.

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary;
use crate::support::cluster::{Cluster, Namespace};
use crate::support::eventually;
use crate::support::manifests::{probed_pod, workload};
use crate::support::ran::Ran;
use crate::support::suite::{Suite, Trials, World, trials};

pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Cluster::start), TRIALS)
}

const TRIALS: Trials<Cluster> = trials![
    workloads_without_pods_are_judged_by_their_templates,
    an_outage_by_policy_is_shown_and_its_end_too,
];

fn podgate(shop: &Namespace<'_>, args: &[&str]) -> Ran {
    let kubeconfig = shop.cluster.plane.kubeconfig("admin");
    let place = ["-n", &shop.name, "--kubeconfig", kubeconfig.to_str().unwrap()];
    Ran::of(&binary::run(&[args, &place].concat()))
}

fn analysis(shop: &Namespace<'_>) -> Value {
    podgate(shop, &["analyze", "-o", "json", "--fail-on", "never"]).exits(0).json()
}

fn create(shop: &Namespace<'_>, kind: Kind, name: &str, spec: &Value) {
    let mut object = workload(kind, probed_pod("nginx"));
    object["metadata"]["name"] = json!(name);
    if kind == Kind::Deployment {
        object["spec"]["selector"]["matchLabels"] = json!({"app": name});
        object["spec"]["template"]["metadata"]["labels"] = json!({"app": name});
    }
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    shop.create(&object).unwrap();
}

fn policy(shop: &Namespace<'_>, mode: &str) {
    shop.policy("tags", &json!({"forbidLatestTag": true, "enforcementMode": mode}));
}

/// `KIND/NAME MESSAGE` of each violation.
fn violations(analysis: &Value) -> Vec<String> {
    let results = analysis["results"].as_array().unwrap().iter();
    let mut lines: Vec<_> = results
        .map(|it| {
            let part = |field: &str| it[field].as_str().unwrap().to_owned();
            format!("{}/{} {}", part("kind"), part("name"), part("message"))
        })
        .collect();
    lines.sort();
    lines
}

/// `KIND/NAME RUNNING/WANTED` of each refused workload.
fn refused(analysis: &Value) -> Vec<String> {
    let refused = analysis["refused"].as_array().unwrap().iter();
    refused
        .map(|it| {
            let part = |field: &str| it[field].as_str().unwrap().to_owned();
            format!("{}/{} {}/{}", part("kind"), part("name"), it["running"], it["wanted"])
        })
        .collect()
}

fn workloads_without_pods_are_judged_by_their_templates(cluster: &Cluster) {
    let shop = cluster.namespace("stopped");
    create(&shop, Kind::Deployment, "idle", &json!({"replicas": 0}));
    create(&shop, Kind::CronJob, "report", &json!({}));
    create(&shop, Kind::StatefulSet, "db", &json!({"replicas": 0}));
    policy(&shop, "audit");
    let found = analysis(&shop);
    let lines = violations(&found);
    let names: Vec<_> = lines.iter().filter_map(|it| it.split(' ').next()).collect();
    assert_eq!(names, ["CronJob/report", "Deployment/idle", "StatefulSet/db"], "{found}");
    assert!(lines.iter().all(|it| it.ends_with("(template; no pod runs)")), "{lines:?}");
    let namespace = &found["namespaces"][0];
    assert_eq!((&namespace["workloads"], &namespace["pods"]), (&json!(3), &json!(0)), "{found}");
    assert!(namespace["score"].as_u64().unwrap() < 100, "{found}");
    assert_eq!(found["refused"], json!([]), "nothing is denied in audit");

    // The preview's scores know them too.
    let args = ["policy", "preview", "--bundle", "baseline", "-o", "json", "--fail-on", "never"];
    let score = podgate(&shop, &args).exits(0).json()["summary"]["score"].clone();
    assert_eq!(score["before"]["score"], namespace["score"], "{score}");
}

fn an_outage_by_policy_is_shown_and_its_end_too(cluster: &Cluster) {
    let shop = cluster.namespace("outage");
    create(&shop, Kind::Deployment, "cart", &json!({"replicas": 2}));
    create(&shop, Kind::CronJob, "report", &json!({}));
    create(&shop, Kind::CronJob, "off", &json!({"suspend": true}));
    eventually("the pods of cart", || {
        let found = analysis(&shop);
        if found["namespaces"][0]["pods"] == 2 { Ok(()) } else { Err(found.to_string()) }
    });
    policy(&shop, "enforce");
    assert_eq!(refused(&analysis(&shop)), ["CronJob/report 0/1"], "cart has its pods");

    let (gone, message) = shop.kubectl(&["delete", "pods", "--all", "--wait=false"]).output();
    assert!(gone, "{message}");
    let (found, _) = eventually("cart to be refused", || {
        let found = analysis(&shop);
        let all = refused(&found);
        if all == ["Deployment/cart 0/2", "CronJob/report 0/1"] {
            Ok(found)
        } else {
            Err(found.to_string())
        }
    });
    let cart = &found["refused"][0];
    assert_eq!(cart["policies"], json!([format!("{}/tags", shop.name)]));
    assert!(cart["message"].as_str().unwrap().contains("no tag means :latest"), "{cart}");
    // The violation does not end with the pods.
    let lines = violations(&found);
    let template = "(template; no pod runs)";
    assert!(lines.iter().any(|it| it.starts_with("Deployment/cart ") && it.ends_with(template)));
    let table = podgate(&shop, &["analyze"]).exits(1).stdout;
    println!("{table}");
    assert!(table.starts_with("2 workloads are refused; 3 violations (3 high) in "), "{table}");
    let row = table.lines().find(|it| it.contains("Deployment/cart")).unwrap();
    assert!(row.contains("0 of 2 pods") && row.contains("/tags"), "{table}");

    policy(&shop, "audit");
    eventually("the pods of cart to be made again", || {
        let found = analysis(&shop);
        let pods = &found["namespaces"][0]["pods"];
        if refused(&found).is_empty() && *pods == 2 { Ok(()) } else { Err(found.to_string()) }
    });
}
