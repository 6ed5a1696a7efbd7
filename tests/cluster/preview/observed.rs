//! `podgate policy preview --observed` asks the real API server for the replicas' counters. Its proxy calls no address
//! of 127.0.0.0/8, where the replica of this suite listens; `tests/offline/preview.rs` has the counters.

use kube::api::{Api, Patch, PatchParams};
use podgate::policy::workload::Kind;
use serde_json::json;

use super::preview;
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::manifests::{pod, workload};

pub fn the_api_servers_reason_why_a_replica_was_not_seen_is_one_line(cluster: &Cluster) {
    let release = cluster.namespace("release");
    let args = ["--observed", "--release-namespace", &release.name, "--fail-on", "never"];
    let observed = |user: &str| preview(cluster, user, &args, "").exits(0);
    release.policy("own", &json!({"forbidLatestTag": true, "enforcementMode": "audit"}));
    let none = format!("no pod of podgate's chart runs in {}", release.name);
    observed("admin").prints(&[&none]);

    let port = cluster.podgate.metrics.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let mut replica = workload(Kind::Pod, pod("podgate:1"));
    replica["metadata"]["labels"] = json!({"app.kubernetes.io/component": "controller"});
    replica["spec"]["containers"][0]["name"] = json!("podgate");
    replica["spec"]["containers"][0]["ports"] = json!([{"name": "metrics", "containerPort": port}]);
    release.create(&replica).unwrap();
    let api: Api<k8s_openapi::api::core::v1::Pod> =
        Api::namespaced(cluster.client.clone(), &release.name);
    let ip = "127.0.0.1";
    let runs = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}});
    let params = PatchParams::default();
    cluster.wait(api.patch_status("web", &params, &Patch::Strategic(&runs))).unwrap();
    observed("admin").prints(&["the counters of web were not seen: address not allowed\n"]);

    let role = ["create", "clusterrole", "reader", "--verb=list", "--resource=*.*"];
    release.kubectl(&role).ok();
    let bind = ["create", "clusterrolebinding", "reader", "--clusterrole=reader", "--user=jane"];
    release.kubectl(&bind).ok();
    let words = format!("this needs the permission to get pods/proxy in {}", release.name);
    eventually("jane's role", || {
        let ran = preview(cluster, "jane", &args, "");
        if ran.code == 0 && ran.stdout.contains(&words) {
            Ok(())
        } else {
            Err(ran.stdout + &ran.stderr)
        }
    });
}
