//! What the user may not read is told with the right that it needs, and never looks like a pass.

use std::fs;

use podgate::policy::workload::Kind;
use serde_json::json;

use super::{Developer, decisions};
use crate::support::binary;
use crate::support::cluster::Cluster;
use crate::support::manifests::{pod, workload};
use crate::support::ran::Ran;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    a_policy_that_may_not_be_read_is_named_with_the_right_to_read_it_and_fails_the_scan,
    labels_that_may_not_be_read_are_taken_to_match_and_fail_the_scan,
    a_namespace_that_is_nowhere_is_a_fault_and_one_in_the_input_has_its_own_labels,
    an_api_server_that_does_not_answer_or_does_not_know_the_user_is_an_error,
    a_policy_that_does_not_compile_here_fails_the_scan,
];

fn a_policy_that_may_not_be_read_is_named_with_the_right_to_read_it_and_fails_the_scan(
    cluster: &Cluster,
) {
    let shop = cluster.namespace("shop");
    shop.policy("tags", &json!({"enforcementMode": "enforce", "forbidLatestTag": true}));
    let ivan = Developer::new(cluster, "ivan");
    let file = ivan.writes(&[workload(Kind::Deployment, pod("nginx"))]);
    let all = "the ClusterDevOpsPolicies: cannot be read, so everything is judged without them; that needs list on \
               clusterdevopspolicies.devops.stochastic.io";
    let own = format!(
        "{}: its policies cannot be read, so it is judged without them; that needs list on devopspolicies",
        shop.name
    );
    let scanned =
        ivan.scans(&file, &["-n", &shop.name, "-o", "json"]).exits(3).reports(&[all, &own]);
    assert_eq!(decisions(&scanned), Vec::<String>::new());
    assert_eq!(scanned.json()["faults"].as_array().unwrap().len(), 2, "{}", scanned.stdout);
    let unread = scanned.json()["unread"][0].as_str().unwrap().to_owned();
    assert!(unread.contains("list on validatingwebhookconfigurations"), "{unread}");
    assert!(scanned.stderr.contains(&unread), "{}", scanned.stderr);

    // What may be read is judged all the same.
    ivan.may(&["list"], "devops.stochastic.io", "devopspolicies", &shop.name);
    let scanned = ivan.scans(&file, &["-n", &shop.name, "-o", "json"]).exits(3).reports(&[all]);
    assert_eq!(decisions(&scanned), ["deny"]);
    // Of several namespaces, too, where the list of all is refused.
    let other = cluster.namespace("other");
    let mut elsewhere = workload(Kind::Deployment, pod("nginx"));
    elsewhere["metadata"]["namespace"] = json!(other.name);
    let file = ivan.writes(&[workload(Kind::Deployment, pod("nginx")), elsewhere]);
    let own = format!("{}: its policies cannot be read", other.name);
    let scanned =
        ivan.scans(&file, &["-n", &shop.name, "-o", "json"]).exits(3).reports(&[all, &own]);
    assert_eq!(decisions(&scanned), ["deny"]);
}

fn labels_that_may_not_be_read_are_taken_to_match_and_fail_the_scan(cluster: &Cluster) {
    super::everybody_may_read_policies(cluster);
    let shop = cluster.namespace("shop");
    let judy = Developer::new(cluster, "judy");
    let file = judy.writes(&[workload(Kind::Deployment, pod("nginx"))]);
    let scan = ["-n", &shop.name, "-o", "json", "--fail-on", "denied"];
    judy.scans(&file, &scan).exits(0);
    cluster.cluster_policy(
        "by-label",
        &json!({
            "enforcementMode": "enforce", "forbidLatestTag": true,
            "namespaceSelector": {"matchLabels": {"judged": "by-label"}},
        }),
    );
    let told = format!(
        "{}: its labels cannot be read, which policy by-label goes by; that needs get on the namespace",
        shop.name
    );
    let scanned = judy.scans(&file, &scan).exits(3).reports(&[&told]);
    assert_eq!(decisions(&scanned), ["deny"]);
    judy.may(&["get"], "", "namespaces", &shop.name);
    let scanned = judy.scans(&file, &scan).exits(0);
    assert_eq!(decisions(&scanned), Vec::<String>::new());
    cluster.plane.kubectl(&["delete", "clusterdevopspolicy", "by-label"]).ok();
}

fn a_namespace_that_is_nowhere_is_a_fault_and_one_in_the_input_has_its_own_labels(
    cluster: &Cluster,
) {
    let admin = Developer {
        kubeconfig: cluster.plane.kubeconfig("admin"),
        ..Developer::new(cluster, "kim")
    };
    cluster.cluster_policy(
        "by-team",
        &json!({
            "enforcementMode": "enforce", "forbidLatestTag": true,
            "namespaceSelector": {"matchLabels": {"team": "nowhere"}},
        }),
    );
    let file = admin.writes(&[workload(Kind::Deployment, pod("nginx"))]);
    let told = "nowhere: there is no such namespace in the cluster or in the input";
    admin.scans(&file, &["-n", "nowhere", "-o", "json"]).exits(2).reports(&[told]);
    let made = |labels: serde_json::Value| {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "nowhere", "labels": labels}});
        let file = admin.writes(&[namespace, workload(Kind::Deployment, pod("nginx"))]);
        decisions(
            &admin.scans(&file, &["-n", "nowhere", "-o", "json", "--fail-on", "never"]).exits(0),
        )
    };
    assert_eq!(made(json!({"team": "nowhere"})), ["deny"]);
    assert_eq!(made(json!({"team": "other"})), Vec::<String>::new());
    // One that is there keeps the labels that the input does not name.
    let there = cluster.labelled_namespace("there", &json!({"team": "nowhere"}));
    let object = |labels: serde_json::Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": there.name, "labels": labels}});
    for (labels, expected) in
        [(json!({"a": "b"}), vec!["deny"]), (json!({"team": "other"}), vec![])]
    {
        let file = admin.writes(&[object(labels), workload(Kind::Deployment, pod("nginx"))]);
        let scanned =
            admin.scans(&file, &["-n", &there.name, "-o", "json", "--fail-on", "never"]).exits(0);
        assert_eq!(decisions(&scanned), expected);
    }
    cluster.plane.kubectl(&["delete", "clusterdevopspolicy", "by-team"]).ok();
}

fn an_api_server_that_does_not_answer_or_does_not_know_the_user_is_an_error(cluster: &Cluster) {
    let lena = Developer::new(cluster, "lena");
    let file = lena.writes(&[workload(Kind::Deployment, pod("nginx"))]);
    let altered = |change: &dyn Fn(&mut serde_json::Value)| {
        let text = fs::read_to_string(&lena.kubeconfig).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        change(&mut config);
        let path = lena.folder.path().join("altered");
        fs::write(&path, config.to_string()).unwrap();
        let args =
            ["scan", file.to_str().unwrap(), "--live", "--kubeconfig", path.to_str().unwrap()];
        Ran::of(&binary::run(&args))
    };
    altered(&|it| it["users"][0]["user"] = json!({"token": "nobody"}))
        .exits(3)
        .reports(&["does not know who podgate is"]);
    altered(&|it| it["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1"))
        .exits(3)
        .reports(&["the API server at https://127.0.0.1:1", "does not answer"]);
    altered(&|it| it["current-context"] = json!("absent")).exits(3).reports(&["absent"]);
    for (more, told) in [
        (&["--live", "--bundle", "baseline"][..], "cannot be used with"),
        (&["--live", "--policy", "x"], "cannot be used with"),
        (&["--context", "x"], "--live"),
    ] {
        Ran::of(&binary::run(&[&["scan", file.to_str().unwrap()], more].concat()))
            .exits(2)
            .reports(&[told]);
    }
}

fn a_policy_that_does_not_compile_here_fails_the_scan(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let mara = Developer::new(cluster, "mara");
    let file = mara.writes(&[workload(Kind::Deployment, pod("nginx:1.29"))]);
    // As if it was written while podgate was away, which else refuses it.
    let hook = "validatingwebhookconfigurations";
    let saved = cluster.plane.kubectl(&["get", hook, "podgate-validating", "-o", "json"]).json();
    cluster.plane.kubectl(&["delete", hook, "podgate-validating"]).ok();
    let broken = json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": "broken", "namespace": shop.name},
        "spec": {"enforcementMode": "enforce", "validations": [{"name": "a", "expression": "nonsense(", "message": "m"}]},
    });
    shop.kubectl(&["apply", "-f", "-"]).given(&broken).ok();
    let mut again = saved;
    again["metadata"] = json!({"name": "podgate-validating"});
    cluster.plane.kubectl(&["create", "-f", "-"]).given(&again).ok();
    let told = format!("DevOpsPolicy {}/broken: its newest version cannot be used", shop.name);
    let scanned = mara.scans(&file, &["-n", &shop.name, "-o", "json"]).exits(3).reports(&[&told]);
    assert_eq!(decisions(&scanned), ["deny"], "undecided, as at admission");
}
