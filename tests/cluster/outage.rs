//! Part of `make test`: the audit while the API server is killed, its history compacted and its watches cut. Afterwards
//! its counts must equal those of another program (`tests/count`) from `kubectl get -o json`.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::support::binary::{Podgate, run};
use crate::support::control_plane::{ControlPlane, seconds, text};
use crate::support::kubectl::Kubectl;
use crate::support::proxy::Proxy;
use crate::support::suite::{Suite, Trials, World, trials};
use crate::support::{PATIENCE, eventually, eventually_within};

pub fn suite() -> Suite {
    Suite::in_order().sharing(&World::new(Fixture::start), TRIALS)
}

const TRIALS: Trials<Fixture> = trials![
    a_first_audit_reaches_an_independent_count,
    an_audit_whose_watches_were_cut_reaches_the_right_count,
    an_audit_whose_history_was_compacted_reaches_the_right_count,
    an_audit_reaches_the_right_count_after_each_kill_of_the_api_server,
    the_next_leader_takes_the_start_of_violations_from_the_reports,
];

const NAMESPACES: [&str; 3] = ["alpha", "beta", "gamma"];

/// A podgate whose connection to the API server can be cut, and the control plane that it audits.
struct Fixture {
    podgate: Mutex<Podgate>,
    proxy: Proxy,
    plane: ControlPlane,
}

impl Fixture {
    fn start() -> Self {
        let plane = ControlPlane::start();
        let admin = plane.kubeconfig("admin");
        let installed =
            run(&["crd", "install", "--reports", "--kubeconfig", admin.to_str().unwrap()]);
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        let proxy = plane.proxy();
        for namespace in NAMESPACES {
            plane.kubectl(&["create", "namespace", namespace]).ok();
            apply(
                &plane,
                &json!({
                    "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
                    "metadata": {"name": "own", "namespace": namespace},
                    "spec": {"forbidLatestTag": true, "requireLivenessProbe": true},
                }),
            );
        }
        let podgate = Mutex::new(reconcile(&plane, &proxy));
        let fixture = Self { podgate, proxy, plane };
        fixture.deployment("alpha", "cart", "nginx", 3);
        fixture.deployment("alpha", "api", "nginx:1.29", 2);
        fixture.deployment("beta", "cart", "registry:5000/cart", 2);
        fixture
    }

    fn podgate(&self) -> MutexGuard<'_, Podgate> {
        self.podgate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.plane.kubectl(args)
    }

    /// Creates a Deployment with one container, and waits until its controller has created the pods.
    fn deployment(&self, namespace: &str, name: &str, image: &str, replicas: usize) {
        let labels = json!({"app": name});
        apply(
            &self.plane,
            &json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"replicas": replicas, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}}},
            }),
        );
        eventually("the pods", || {
            let selector = format!("app={name}");
            let wanted = format!(
                "jsonpath={{.items[?(@.spec.containers[0].image==\"{image}\")].metadata.name}}"
            );
            let pods = self
                .kubectl(&["-n", namespace, "get", "pods", "-l", &selector, "-o", &wanted])
                .ok();
            let count = pods.split_whitespace().count();
            if count == replicas { Ok(()) } else { Err(format!("{count} pods")) }
        });
    }

    /// The violations by namespace, counted by another program.
    fn counted(&self) -> BTreeMap<String, u64> {
        let pods = self.kubectl(&["get", "pods", "--all-namespaces", "-o", "json"]).ok();
        let mut program = Command::new("go")
            .args(["run", "."])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/count"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        program.stdin.take().unwrap().write_all(pods.as_bytes()).unwrap();
        let output = program.wait_with_output().unwrap();
        assert!(output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The violations by namespace in the statuses of the policies.
    fn reported(&self) -> BTreeMap<String, u64> {
        let policies =
            self.kubectl(&["get", "devopspolicies", "--all-namespaces", "-o", "json"]).ok();
        let policies: Value = serde_json::from_str(&policies).unwrap();
        let reported = policies["items"].as_array().unwrap().iter().filter_map(|policy| {
            let violations = policy["status"]["violations"].as_u64().filter(|it| *it > 0)?;
            Some((policy["metadata"]["namespace"].as_str()?.to_owned(), violations))
        });
        reported.collect()
    }

    /// The start times of the violations of a Deployment in alpha, from its report.
    fn began(&self, deployment: &str) -> Vec<Value> {
        let reports =
            self.kubectl(&["-n", "alpha", "get", "reports.openreports.io", "-o", "json"]).ok();
        let reports: Value = serde_json::from_str(&reports).unwrap();
        let results = reports["items"][0]["results"].as_array().into_iter().flatten();
        let own = results.filter(|it| it["resources"][0]["name"] == deployment);
        own.map(|it| it["timestamp"].clone()).collect()
    }

    fn converges(&self, after: &str) {
        let started = std::time::Instant::now();
        // The controllers keep working, so both are compared until they agree twice.
        let ((), _) = eventually_within(PATIENCE, after, || {
            let (reported, counted) = (self.reported(), self.counted());
            let agree = reported == counted && counted == self.counted();
            agree.then_some(()).ok_or_else(|| format!("reported {reported:?}, counted {counted:?}"))
        });
        println!(
            "{after}: agrees after {} (the count itself takes a part of it)",
            seconds(started.elapsed())
        );
        assert!(!self.podgate().whole_log().contains("panicked"));
    }
}

fn apply(plane: &ControlPlane, object: &Value) {
    let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    plane.kubectl(&args).given(object).ok();
}

fn reconcile(plane: &ControlPlane, proxy: &Proxy) -> Podgate {
    let through = plane.kubeconfig_through(proxy, "podgate");
    let kubeconfig = ["--kubeconfig", through.to_str().unwrap()];
    let rest = ["--lease-namespace", "default", "--metrics-listen", "127.0.0.1:0"];
    Podgate::start("reconcile", &[&kubeconfig[..], &rest].concat(), "serving")
}

fn a_first_audit_reaches_an_independent_count(fixture: &Fixture) {
    fixture.converges("from nothing");
}

fn an_audit_whose_watches_were_cut_reaches_the_right_count(fixture: &Fixture) {
    fixture.proxy.cut();
    fixture.deployment("gamma", "cart", "nginx", 2);
    fixture.converges("watches cut");
}

fn an_audit_whose_history_was_compacted_reaches_the_right_count(fixture: &Fixture) {
    fixture.converges("before the outage");
    // Nothing arrives for a while. Meanwhile the history from which podgate would resume is lost: compacted in etcd,
    // and not in the cache of the restarted API server.
    fixture.proxy.pause();
    fixture.proxy.cut();
    fixture.deployment("beta", "cart", "registry:5000/cart:1", 2);
    fixture.kubectl(&["-n", "alpha", "delete", "deployment", "cart"]).ok();
    fixture.plane.etcd().compact();
    fixture.plane.kill_api_server();
    assert_eq!(fixture.podgate().get("/healthz").0, 200, "podgate is alive");
    fixture.plane.restart_api_server();
    fixture.proxy.resume();
    fixture.converges("history compacted, API server killed and restarted");
}

fn an_audit_reaches_the_right_count_after_each_kill_of_the_api_server(fixture: &Fixture) {
    // The garbage collector may be late, and would take away what a round adds.
    eventually("the deleted Deployment's pods to go", || {
        let pods = fixture.kubectl(&["-n", "alpha", "get", "pods", "-l", "app=cart", "-o", "name"]);
        let pods = pods.ok();
        if pods.is_empty() { Ok(()) } else { Err(pods) }
    });
    fixture.converges("before the outages");
    for round in 1..=3 {
        let before = fixture.reported();
        fixture.plane.kill_api_server();
        fixture.plane.restart_api_server();
        // A new name, because a workload counts once, whatever its size.
        fixture.deployment("alpha", &format!("late-{round}"), "nginx", round);
        fixture.converges("API server killed and restarted");
        assert_ne!(fixture.reported(), before, "nothing was counted in round {round}");
    }
}

fn the_next_leader_takes_the_start_of_violations_from_the_reports(fixture: &Fixture) {
    let reported = |deployment: &str| {
        eventually("the report", || {
            let began = fixture.began(deployment);
            if began.is_empty() { Err(format!("{deployment} has no violation")) } else { Ok(began) }
        })
        .0
    };
    fixture.deployment("alpha", "early", "nginx", 1);
    let began = reported("early");
    {
        let mut podgate = fixture.podgate();
        podgate.signal("TERM");
        let (status, took) = podgate.ended();
        assert!(status.success());
        println!("ended after {}", seconds(took));
    }
    eventually("the Lease to be released", || {
        let lease = fixture
            .kubectl(&["get", "lease", "podgate", "-o", "jsonpath={.spec.holderIdentity}"])
            .ok();
        if lease.is_empty() { Ok(()) } else { Err(lease) }
    });

    *fixture.podgate() = reconcile(&fixture.plane, &fixture.proxy);
    fixture.podgate().logs("every pod is audited");
    fixture.deployment("alpha", "later", "nginx", 1);
    reported("later");
    assert_eq!(fixture.began("early"), began);
}
