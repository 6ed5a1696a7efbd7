//! Part of `make test`: podgate's footprint in a cluster, with a hundred policies and ten thousand pods that break
//! every one of them: the size of podgate's objects in etcd, and its writes in a quiet minute.
#![allow(clippy::cast_precision_loss, reason = "counts are small")]

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, PostParams};
use podgate::api::DevOpsPolicy;
use serde_json::json;

use crate::support::binary::{Podgate, run};
use crate::support::control_plane::{ControlPlane, seconds, text};
use crate::support::suite::{Alone, Suite, trials};
use crate::support::{audit, eventually_within, load};

pub fn suite() -> Suite {
    Suite::of(1).alone(TRIALS)
}

const TRIALS: Alone = trials![a_hundred_policies_broken_by_ten_thousand_pods_take_less_than_a_mebibyte_and_no_write_in_a_quiet_minute];

const NAMESPACES: usize = 10;
const POLICIES: usize = 100;
const PODS: usize = 10_000;
const MIB: usize = 1024 * 1024;
const QUIET: Duration = Duration::from_mins(1);
/// After this number of Lease renewals without another write, all is written.
const RENEWALS: usize = 8;

fn a_hundred_policies_broken_by_ten_thousand_pods_take_less_than_a_mebibyte_and_no_write_in_a_quiet_minute()
 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plane = ControlPlane::audited();
    let admin = plane.kubeconfig("admin");
    let installed = run(&["crd", "install", "--reports", "--kubeconfig", admin.to_str().unwrap()]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(crate::support::cluster::client(&admin));
    runtime.block_on(async {
        load::namespaces(&client, NAMESPACES).await;
        for number in 0..POLICIES {
            let namespace = load::namespace(number, NAMESPACES);
            let api: Api<DevOpsPolicy> = Api::namespaced(client.clone(), &namespace);
            let policy = json!({
                "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
                "metadata": {"name": format!("policy-{number}")},
                "spec": {"forbidLatestTag": true, "requireLivenessProbe": true, "requireReadinessProbe": true},
            });
            api.create(&PostParams::default(), &serde_json::from_value(policy).unwrap()).await.unwrap();
        }
        load::pods(&client, NAMESPACES, 0..PODS, |_| {
            json!({"metadata": {}, "spec": {"containers": [{"name": "web", "image": "registry.example/team/application"}]}})
        })
        .await;
    });
    let kubeconfig = plane.kubeconfig_for("podgate");
    let podgate = Podgate::start(
        "reconcile",
        &[
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--lease-namespace",
            "default",
            "--metrics-listen",
            "127.0.0.1:0",
        ],
        "serving",
    );
    let etcd = plane.etcd();
    let patience = Duration::from_mins(3);
    let ((), after) = eventually_within(patience, "every status and report", || {
        let reconciled = podgate.metric("devopspolicy_reconcile_total").unwrap_or(0.0);
        let reports = etcd.count_below("/registry/openreports.io/reports/");
        let all = reconciled >= POLICIES as f64 && reports == POLICIES;
        if all { Ok(()) } else { Err(format!("{reconciled} statuses, {reports} reports")) }
    });
    let open =
        "devopspolicy_open_violations{namespace=\"load-0\",policy=\"policy-0\",severity=\"high\"}";
    // Each namespace has a tenth of the workloads.
    assert_eq!(podgate.metric(open), Some((PODS / load::PODS_OF_A_WORKLOAD / NAMESPACES) as f64));
    let policies = etcd.bytes_below("/registry/devops.stochastic.io/");
    let reports = etcd.bytes_below("/registry/openreports.io/");
    println!(
        "all status and reports written after {}; {policies} bytes of policies, {reports} of reports",
        seconds(after)
    );
    assert!(policies + reports < MIB, "{policies} + {reports} bytes");

    // The number of writes by resource, and separately of the Lease.
    let written = || {
        let mut writes = BTreeMap::new();
        let by_podgate = plane.requests_about("\"username\":\"podgate\"").into_iter();
        for event in by_podgate.filter(|it| audit::is_write(it) && audit::is_received(it)) {
            *writes.entry(audit::resource(&event).to_owned()).or_insert(0) += 1;
        }
        let renewals = writes.remove("leases").unwrap_or(0);
        (writes, renewals)
    };
    let mut settled = written();
    let ((), after) = eventually_within(patience, "all writes to be done", || {
        let (writes, renewals) = written();
        if writes != settled.0 {
            settled = (writes, renewals);
        }
        let since = renewals - settled.1;
        if since >= RENEWALS {
            Ok(())
        } else {
            Err(format!("{:?}, {since} renewals ago", settled.0))
        }
    });
    println!("all writes were done {} later", seconds(after));
    // Nothing changes in this minute.
    let (before, renewed) = written();
    std::thread::sleep(QUIET);
    let (after, renewals) = written();
    assert_eq!(after, before, "something was written in a quiet minute");
    println!("a quiet minute: {} renewals of the Lease and nothing else", renewals - renewed);
    assert!(renewals > renewed);
}
