//! `scan --live` against `kubectl apply --dry-run=server`: the same decision for the same object.

use podgate::admission::registration::{VALIDATE_WEBHOOK, VALIDATING};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::{Developer, GUARDED, decisions};
use crate::support::cluster::{Cluster, Namespace};
use crate::support::eventually;
use crate::support::manifests::{APPLIED, pod, probed_pod, workload};
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    every_kind_gets_the_decision_of_a_dry_run_by_policies_of_a_namespace_and_of_the_cluster,
    a_grace_and_its_end_are_those_of_a_dry_run,
    what_policies_complete_is_completed,
    a_protected_namespace_is_judged_by_neither,
];

/// What the API server and podgate do with an object: `deny`, `warn` or nothing.
fn dry_run(shop: &Namespace<'_>, object: &Value) -> &'static str {
    let args = ["apply", "--dry-run=server", "-f", "-"];
    let (admitted, printed) = shop.kubectl(&args).given(object).output();
    match (admitted, printed.contains("Warning: podgate: ")) {
        (true, false) => "allow",
        (true, true) => "warn",
        (false, _) => {
            assert!(printed.contains("denied the request"), "{printed}");
            "deny"
        }
    }
}

fn admin(cluster: &Cluster) -> Developer<'_> {
    Developer { kubeconfig: cluster.plane.kubeconfig("admin"), ..Developer::new(cluster, "nora") }
}

/// Asserts that the scan decides as a dry run, and with its exit code.
fn agree(
    nora: &Developer<'_>,
    shop: &Namespace<'_>,
    object: &Value,
    more: &[&str],
) -> &'static str {
    let by_api_server = dry_run(shop, object);
    assert_eq!(scanned(nora, shop, object, more), by_api_server, "{} in {}", object, shop.name);
    by_api_server
}

fn scanned(
    nora: &Developer<'_>,
    shop: &Namespace<'_>,
    object: &Value,
    more: &[&str],
) -> &'static str {
    let file = nora.writes(std::slice::from_ref(object));
    let flags = ["-n", &shop.name, "-o", "json", "--fail-on", "denied"];
    let scanned = nora.scans(&file, &[&flags[..], more].concat());
    assert_eq!(scanned.json()["faults"], json!([]), "{}", scanned.stdout);
    let all = decisions(&scanned);
    let decided = match all.first().map(String::as_str) {
        Some("deny") => "deny",
        Some("warn" | "grace") => "warn",
        _ => "allow",
    };
    assert_eq!(scanned.code, i32::from(decided == "deny"), "{all:?}: {}", scanned.stderr);
    decided
}

/// Waits until the webhook decides about an object in this way.
fn decides(shop: &Namespace<'_>, object: &Value, expected: &str) {
    eventually("the policies to be in force", || {
        let found = dry_run(shop, object);
        if found == expected { Ok(()) } else { Err(found.to_owned()) }
    });
}

fn every_kind_gets_the_decision_of_a_dry_run_by_policies_of_a_namespace_and_of_the_cluster(
    cluster: &Cluster,
) {
    let nora = admin(cluster);
    let strict = cluster.labelled_namespace("strict", &json!({"tier": "strict"}));
    let loose = cluster.labelled_namespace("loose", &json!({"tier": "loose"}));
    let own = cluster.labelled_namespace("own", &json!({"tier": "strict"}));
    let every_tier = json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["strict", "loose"]}]});
    cluster.cluster_policy("tier-strict", &json!({
        "enforcementMode": "enforce", "forbidLatestTag": true,
        "namespaceSelector": {"matchLabels": {"tier": "strict"}},
        "exemptions": [{"rules": ["forbidLatestTag"], "kinds": ["Deployment"], "names": ["web"], "namespaces": [own.name],
                        "owner": "o", "reason": "r"}],
    }));
    cluster.cluster_policy("tier-warn", &json!({
        "enforcementMode": "warn", "requireLivenessProbe": true, "namespaceSelector": every_tier,
    }));
    cluster.cluster_policy("tier-cel", &json!({
        "enforcementMode": "enforce", "namespaceSelector": every_tier,
        "validations": [{"name": "loose", "message": "m",
            "expression": "namespaceObject.metadata.labels.tier == 'strict' || object.spec.containers.all(c, c.image != 'odd:1')"}],
    }));
    own.policy("probes", &json!({"enforcementMode": "enforce", "requireReadinessProbe": true}));
    decides(&strict, &workload(Kind::Deployment, probed_pod("nginx")), "deny");
    decides(&loose, &workload(Kind::Deployment, pod("nginx")), "warn");
    decides(&loose, &workload(Kind::Deployment, probed_pod("odd:1")), "deny");

    let mut decided = std::collections::BTreeMap::<&str, u32>::new();
    for kind in APPLIED {
        for shop in [&strict, &loose, &own] {
            for spec in [
                pod("nginx"),
                pod("nginx:1"),
                probed_pod("nginx"),
                probed_pod("nginx:1"),
                probed_pod("odd:1"),
            ] {
                *decided.entry(agree(&nora, shop, &workload(kind, spec), &[])).or_default() += 1;
            }
        }
    }
    println!("   {decided:?}");
    assert!(decided.len() == 3 && decided.values().all(|it| *it >= 10), "{decided:?}");
    for name in ["tier-strict", "tier-warn", "tier-cel"] {
        cluster.plane.kubectl(&["delete", "clusterdevopspolicy", name]).ok();
    }
}

fn a_grace_and_its_end_are_those_of_a_dry_run(cluster: &Cluster) {
    let nora = admin(cluster);
    for (until, of_controller) in
        [("2999-01-01T00:00:00Z", "warn"), ("2020-01-01T00:00:00Z", "deny")]
    {
        let shop = cluster.namespace("grace");
        shop.policy(
            "tags",
            &json!({"enforcementMode": "enforce", "forbidLatestTag": true, "graceUntil": until}),
        );
        assert_eq!(agree(&nora, &shop, &workload(Kind::Deployment, pod("nginx")), &[]), "deny");
        let mut made = workload(Kind::Pod, pod("nginx"));
        made["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": true,
        }]);
        assert_eq!(agree(&nora, &shop, &made, &[]), "deny");
        let create =
            ["create", "--dry-run=server", "-f", "-", "--as=system:kube-controller-manager"];
        let create = [&create[..], &["--as-group=system:masters"]].concat();
        let (admitted, printed) = shop.kubectl(&create).given(&made).output();
        assert_eq!(admitted, of_controller == "warn", "{printed}");
        assert_eq!(scanned(&nora, &shop, &made, &["--as", "controller"]), of_controller);
    }
}

fn what_policies_complete_is_completed(cluster: &Cluster) {
    let nora = admin(cluster);
    let shop = cluster.namespace("mutate");
    shop.policy("complete", &json!({
        "enforcementMode": "enforce", "mutate": true, "requireLivenessProbe": true, "requireResourceLimits": ["memory"],
        "defaultProbe": {"tcpPort": 80}, "defaultResources": {"memoryLimit": "64Mi"},
    }));
    for kind in [Kind::Pod, Kind::Deployment] {
        let mut served = pod("nginx:1");
        served["containers"][0]["ports"] = json!([{"containerPort": 80}]);
        assert_eq!(agree(&nora, &shop, &workload(kind, served), &[]), "allow");
        assert_eq!(agree(&nora, &shop, &workload(kind, pod("nginx:1")), &[]), "deny");
    }
}

fn a_protected_namespace_is_judged_by_neither(cluster: &Cluster) {
    let nora = admin(cluster);
    let mut guarded = cluster.namespace(GUARDED);
    cluster.plane.kubectl(&["create", "namespace", GUARDED]).ok();
    eventually("the default ServiceAccount", || {
        cluster.plane.kubectl(&["get", "serviceaccount", "default", "-n", GUARDED]).result()
    });
    GUARDED.clone_into(&mut guarded.name);
    // As the chart has it; --register leaves out the namespaces of the cluster itself only.
    let left_out = json!({"matchExpressions": [{
        "key": "kubernetes.io/metadata.name", "operator": "NotIn",
        "values": ["kube-system", "kube-node-lease", "kube-public", GUARDED],
    }]});
    let patch = json!({"webhooks": [{"name": VALIDATE_WEBHOOK, "namespaceSelector": left_out}]})
        .to_string();
    cluster
        .plane
        .kubectl(&["patch", "validatingwebhookconfiguration", VALIDATING, "-p", &patch])
        .ok();
    let system = Namespace { cluster, name: "kube-system".to_owned() };
    let judged = cluster.namespace("judged");
    cluster.cluster_policy(
        "everywhere",
        &json!({"enforcementMode": "enforce", "forbidLatestTag": true}),
    );
    let object = workload(Kind::Deployment, pod("nginx"));
    decides(&judged, &object, "deny");
    for (shop, expected) in [(&judged, "deny"), (&guarded, "allow"), (&system, "allow")] {
        assert_eq!(agree(&nora, shop, &object, &[]), expected, "{}", shop.name);
    }
    // Who may not read the webhook's configuration is told so, and can name it.
    let oscar = Developer::new(cluster, "oscar");
    let file = oscar.writes(std::slice::from_ref(&object));
    let flags = ["-n", GUARDED, "--fail-on", "denied"];
    oscar.scans(&file, &flags).exits(1).reports(&["--protected-namespace"]);
    oscar.scans(&file, &[&flags[..], &["--protected-namespace", GUARDED]].concat()).exits(0);
    cluster.plane.kubectl(&["delete", "clusterdevopspolicy", "everywhere"]).ok();
}
