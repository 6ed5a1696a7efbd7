//! The verdict that a developer reads, under the policies of the namespace.

use podgate::policy::workload::Kind;
use serde_json::json;

use crate::admission::enforce;
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::manifests::{APPLIED, pod, probed_pod, workload};
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    audit_admits_silently_warn_with_warnings_and_enforce_denies_as_kubectl_prints_it,
    another_namespace_is_untouched,
    a_status_rule_never_denies,
    protected_namespaces_are_not_judged,
    every_policy_that_objects_is_named,
    a_violation_below_the_denied_severity_only_warns,
];

/// The one test that every kind gets, under its name.
pub fn of_each_kind() -> impl Iterator<Item = (String, impl FnOnce(&Cluster) + Send)> {
    APPLIED.into_iter().map(|kind| {
        let name = format!(
            "{}::a_{}_whose_image_floats_on_latest_is_refused_and_a_versioned_one_passes",
            module_path!(),
            kind.names().kind
        );
        (name, move |cluster: &Cluster| floating_images_are_refused(cluster, kind))
    })
}

fn floating_images_are_refused(cluster: &Cluster, kind: Kind) {
    let shop = cluster.namespace("shop");
    shop.policy(
        "baseline",
        &enforce(&json!({"forbidLatestTag": true, "requireLivenessProbe": true})),
    );
    let path = format!("{}.containers[0].image", kind.names().spec_path);
    for image in ["nginx", "nginx:latest", "registry:5000/nginx"] {
        shop.rejects(&workload(kind, probed_pod(image))).because(&[
            &format!("{} {}/web breaks 1 rule", kind.names().kind, shop.name),
            &format!("forbidLatestTag (high) · policy {}/baseline · container \"web\"", shop.name),
            &format!("{path} is \"{image}\""),
        ]);
    }
    shop.accepts(&workload(kind, probed_pod("nginx:1.29")));
}

fn audit_admits_silently_warn_with_warnings_and_enforce_denies_as_kubectl_prints_it(
    cluster: &Cluster,
) {
    let shop = cluster.namespace("shop");
    let manifest = workload(Kind::Deployment, pod("nginx")).to_string();
    let apply =
        || shop.kubectl(&["apply", "--dry-run=server", "-f", "-"]).given(&manifest).output();
    let rules = |mode: &str| json!({"enforcementMode": mode, "forbidLatestTag": true});

    shop.policy("baseline", &rules("audit"));
    let (admitted, printed) = apply();
    assert!(admitted, "{printed}");
    assert!(!printed.contains("podgate"), "{printed}");

    shop.policy("baseline", &rules("warn"));
    let (admitted, printed) = apply();
    assert!(admitted, "{printed}");
    let warning =
        "Warning: podgate: forbidLatestTag (high) web: image is \"nginx\" (no tag means :latest)";
    assert!(printed.contains(warning), "{printed}");

    shop.policy("baseline", &rules("enforce"));
    let (admitted, printed) = apply();
    assert!(!admitted, "{printed}");
    println!("a developer reads:\n{printed}");
    assert!(printed.contains("Error from server (Forbidden)"), "{printed}");
    assert!(printed.contains("pin the version that should run: nginx:VERSION"), "{printed}");
}

fn another_namespace_is_untouched(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    shop.rejects(&workload(Kind::Pod, pod("nginx")));
    cluster.namespace("lab").accepts(&workload(Kind::Pod, pod("nginx")));
}

fn a_status_rule_never_denies(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let rules = json!({"maxRestartCount": 0, "forbidPendingDuration": 0, "forbidLatestTag": true});
    shop.policy("status", &enforce(&rules));
    shop.create(&workload(Kind::Pod, pod("nginx:1.29"))).unwrap();
    shop.awaits("the pod to be Pending", Kind::Pod, "web", |pod| {
        pod.data["status"]["phase"] == "Pending"
    });
    shop.patch(Kind::Pod, "web", &json!({"metadata": {"labels": {"a": "b"}}})).unwrap();
    shop.accepts(&workload(Kind::Deployment, pod("nginx:1.29")));
}

fn protected_namespaces_are_not_judged(cluster: &Cluster) {
    let everywhere = json!({
        "apiVersion": "devops.stochastic.io/v1",
        "kind": "DevOpsPolicy",
        "metadata": {"name": "baseline", "namespace": "kube-system"},
        "spec": {"enforcementMode": "enforce", "forbidLatestTag": true},
    });
    cluster.plane.kubectl(&["apply", "-f", "-"]).given(&everywhere).ok();
    let shop = cluster.namespace("shop");
    // It is in force even if another version was published after it.
    shop.policy("baseline", &enforce(&json!({"forbidLatestTag": true})));
    let run = ["run", "web", "--image=nginx", "--dry-run=server", "-n", "kube-system"];
    eventually("a pod in kube-system", || {
        let tried = cluster.plane.kubectl(&run).run();
        assert!(!tried.stderr.contains("podgate"), "{}", tried.stderr);
        // Its ServiceAccount may not exist yet.
        if tried.code == 0 { Ok(()) } else { Err(tried.stderr) }
    });
}

fn every_policy_that_objects_is_named(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.policy("advice", &json!({"enforcementMode": "warn", "requireLivenessProbe": true}));
    shop.policy("images", &enforce(&json!({"forbidLatestTag": true})));
    shop.policy("probes", &enforce(&json!({"requireReadinessProbe": true})));
    shop.rejects(&workload(Kind::StatefulSet, pod("nginx"))).because(&[
        "breaks 2 rules",
        &format!("forbidLatestTag (high) · policy {}/images", shop.name),
        &format!("requireReadinessProbe (low) · policy {}/probes", shop.name),
    ]);
    // A CronJob needs no probes.
    shop.accepts(&workload(Kind::CronJob, pod("nginx:1.29")));
}

fn a_violation_below_the_denied_severity_only_warns(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    let rules = json!({
        "forbidLatestTag": true, "requireReadinessProbe": true, "denySeverity": "medium",
    });
    shop.policy("baseline", &enforce(&rules));
    let manifest = workload(Kind::Pod, pod("nginx:1.29")).to_string();
    let (admitted, printed) =
        shop.kubectl(&["apply", "--dry-run=server", "-f", "-"]).given(&manifest).output();
    assert!(admitted, "{printed}");
    assert!(printed.contains("Warning: podgate: requireReadinessProbe (low) web"), "{printed}");
    shop.rejects(&workload(Kind::Pod, pod("nginx"))).because(&["breaks 1 rule"]);
}

/// The API server counts no error of the webhook. Its metric covers the whole cluster, so this is checked at the end.
pub fn the_api_server_counts_no_errors_of_the_webhook(cluster: &Cluster) {
    let shop = cluster.namespace("shop");
    shop.accepts(&workload(Kind::Pod, pod("nginx:1.29")));
    let metrics = cluster.plane.kubectl(&["get", "--raw", "/metrics"]).ok();
    let failed = |line: &&str| {
        let counts = line.starts_with("apiserver_admission_webhook_fail_open_count")
            || line.starts_with("apiserver_admission_webhook_rejection_count");
        counts
            && line.contains("podgate")
            && !line.contains("error_type=\"no_error\"")
            && !line.ends_with(" 0")
    };
    let failures: Vec<_> = metrics.lines().filter(failed).collect();
    assert!(metrics.contains("apiserver_admission_webhook_request_total"), "no webhook was called");
    assert!(failures.is_empty(), "{failures:?}");
}
