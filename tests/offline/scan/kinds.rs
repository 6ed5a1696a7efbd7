//! What is not judged is told, and never counts as passing; and what a finding does at admission.

use serde_json::{Value, json};

use super::{EVERYWHERE, Folder, deployment, policy};

fn object(api_version: &str, kind: &str, name: &str) -> String {
    format!("---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}}}\n")
}

fn printed(folder: &Folder, args: &[&str]) -> String {
    String::from_utf8(folder.run(args, "").stdout).unwrap()
}

#[test]
fn kinds_that_run_no_pods_are_named_with_counts_and_without_workloads_there_is_no_score() {
    let mut text =
        object("v1", "ConfigMap", "a") + &object("batch.volcano.sh/v1alpha1", "Job", "b");
    for name in ["c", "d"] {
        text += &object("helm.toolkit.fluxcd.io/v2", "HelmRelease", name);
    }
    let folder = Folder::with(&[("k.yaml", &text)]);
    let answer = folder.scan(&["k.yaml"]);
    assert_eq!((answer.code, answer.count("skipped")), (0, 4), "{}", answer.stderr);
    assert_eq!(answer.report["summary"]["score"], Value::Null);
    let kinds = json!({"ConfigMap": 1, "HelmRelease": 2, "Job.batch.volcano.sh": 1});
    assert_eq!(answer.report["unjudged"]["kinds"], kinds);
    let line =
        "skipped, since they run no pods: 2 HelmRelease, 1 ConfigMap, 1 Job.batch.volcano.sh\n";
    for format in ["table", "wide", "markdown"] {
        let text = printed(&folder, &["k.yaml", "-o", format]);
        assert!(text.contains("nothing to judge: no workload found (4 documents"), "{text}");
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn a_workload_in_a_protected_or_an_uncovered_namespace_is_told_and_does_not_pass() {
    let text = ["kube-system", "platform", "lab", "shop"]
        .map(|namespace| format!("---\n{}", deployment("web", namespace)))
        .concat()
        .replace("image: nginx", "image: nginx:1.29");
    let shop = policy("p", ", namespace: shop", "DevOpsPolicy", "");
    let folder = Folder::with(&[("all.yaml", &text), ("p/p.yaml", &shop)]);
    let args = ["all.yaml", "--policy", "p", "--protected-namespace", "platform"];
    let answer = folder.scan(&args);
    assert_eq!((answer.code, answer.count("workloads")), (0, 1), "{}", answer.stderr);
    let unjudged = &answer.report["unjudged"];
    assert_eq!(unjudged["protected"], json!({"kube-system": 1, "platform": 1}));
    assert_eq!(unjudged["uncovered"], 1);
    let text = printed(&folder, &args);
    insta::assert_snapshot!(text, @r"
    the only workload passes (4 documents); score 100
    not judged: 1 workload in the protected namespace kube-system, 1 workload in the protected namespace platform, 1 workload in namespaces that no policy covers
    ");
}

#[test]
fn a_kind_that_no_kubernetes_serves_is_a_fault_and_its_cure_is_named() {
    let old = [
        object("extensions/v1beta1", "Deployment", "a"),
        object("apps/v1beta2", "StatefulSet", "b"),
        object("v1", "CronJob", "c"),
    ];
    let folder = Folder::with(&[("old.yaml", &old.concat())]);
    let answer = folder.scan(&["."]);
    assert_eq!((answer.code, answer.count("workloads")), (2, 0));
    insta::assert_snapshot!(answer.stderr, @"
    old.yaml:2:1: no Kubernetes serves extensions/v1beta1 Deployment; write apiVersion: apps/v1
    old.yaml:6:1: apps/v1beta2 StatefulSet is not a version podgate reads; it reads apps/v1
    old.yaml:10:1: no Kubernetes serves v1 CronJob; write apiVersion: batch/v1
    podgate: the input has 3 faults; everything else was read
    ");
    let faults = answer.report["faults"].as_array().unwrap();
    assert_eq!(faults[0]["place"], "old.yaml:2:1");
    for format in ["sarif", "junit", "markdown", "github"] {
        let text = printed(&folder, &[".", "-o", format]);
        for cure in ["write apiVersion: apps/v1", "write apiVersion: batch/v1"] {
            assert!(text.contains(cure), "{format}: {text}");
        }
    }
}

#[test]
fn every_format_says_what_a_finding_does_and_denied_fails_by_it() {
    let deny = policy("strict", "", "ClusterDevOpsPolicy", ", enforcementMode: enforce");
    let folder = Folder::with(&[
        ("a.yaml", &deployment("cart", "shop")),
        ("audit/p.yaml", EVERYWHERE),
        ("deny/p.yaml", &deny),
    ]);
    for (policies, code) in [("audit", 0), ("deny", 1)] {
        let output = folder.run(&["a.yaml", "--policy", policies, "--fail-on", "denied"], "");
        assert_eq!(output.status.code(), Some(code), "{policies}");
    }
    for format in ["table", "wide", "json", "yaml", "sarif", "junit", "github", "markdown"] {
        let text = printed(&folder, &["a.yaml", "--policy", "deny", "-o", format]);
        assert!(text.contains("deny"), "{format}: {text}");
    }
}
