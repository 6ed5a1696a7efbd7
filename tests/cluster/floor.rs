//! Part of `make test`: the floor, on real API servers. podgate is away, and the policies that it compiled into the API
//! server judge instead; it comes back, and they sleep. `make soak` runs all that can keep podgate away.
//!
//! Worlds run in parallel, because most of their time is the half minute until a floor wakes. In some of them podgate's
//! clock is an hour off, which changes nothing.

mod asked;
mod awake;
mod glass;
mod harms;
mod lease;
mod several;

use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use jiff::{SignedDuration, Timestamp};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{self, Podgate};
use crate::support::control_plane::{ControlPlane, seconds, text};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::manifests::{pod, probed_pod, workload};
use crate::support::ran::Ran;
use crate::support::registered::NAMESPACE;
use crate::support::suite::{Suite, World};
use asked::Asked;

/// The trials of a world wait for their turns, each in a thread.
const THREADS: usize = 24;

pub fn suite() -> Suite {
    let (first, ahead, behind) = (
        World::by_turns(Floor::start),
        World::by_turns(|| Floor::start_at(Some("+1h"))),
        World::by_turns(|| Floor::start_at(Some("-1h"))),
    );
    Suite::of(THREADS)
        .sharing(&first, awake::TRIALS)
        .sharing(&first, lease::TRIALS)
        .sharing(&ahead, harms::TRIALS)
        .sharing(&behind, glass::TRIALS)
        .alone(several::ALONE)
        .long(|it| it.sharing(&ahead, harms::LONG).alone(several::LONG))
}

/// The age of the last beat while podgate is heard.
const NEW_SECONDS: i64 = 15;
const SHOP: &str = "shop";
const WEBHOOK: &str =
    "admission webhook \"validate.podgate.devops.stochastic.io\" denied the request";
const FLOOR: &str = "ValidatingAdmissionPolicy 'podgate-floor-in-shop-deny'";
const BINDINGS: &str = "validatingadmissionpolicybindings";
const VALIDATING: &str = "validatingwebhookconfiguration/podgate-validating";
const LEASE: &str = "lease/podgate-alive";
const OURS: &str = "devops.stochastic.io/floor=podgate";

/// A control plane whose podgate keeps a floor, and comes and goes.
struct Floor {
    plane: ControlPlane,
    certs: tempfile::TempDir,
    user: String,
    /// How far podgate's clock is off, as libfaketime reads it.
    clock: Option<&'static str>,
    /// `None` while it is killed.
    podgate: Mutex<Option<Podgate>>,
}

impl Floor {
    fn start() -> Self {
        Self::start_at(None)
    }

    fn start_at(clock: Option<&'static str>) -> Self {
        let plane = ControlPlane::start();
        prepare(&plane);
        let user = plane.kubeconfig_for("podgate").to_str().unwrap().to_owned();
        let certs = tempfile::tempdir().unwrap();
        let floor = Self { plane, certs, user, clock, podgate: Mutex::new(None) };
        floor.serves();
        judges(&floor.plane);
        floor
    }

    /// Starts podgate, unless it runs.
    fn serves(&self) {
        let mut podgate = self.podgate.lock().unwrap_or_else(PoisonError::into_inner);
        if podgate.is_none() {
            let mut command = binary::command();
            if let Some(clock) = self.clock {
                command.env("LD_PRELOAD", fake_time()).env("FAKETIME", clock);
                // No machine's clock of what has passed jumps.
                command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            }
            let args = [
                "--register",
                "--floor",
                "--kubeconfig",
                &self.user,
                "--lease-namespace",
                NAMESPACE,
            ];
            *podgate = Some(Podgate::serve_by(command, &args, self.certs.path()));
        }
    }

    /// Starts podgate, unless it runs, and waits until it judges and the floor is ready.
    fn heard(&self) {
        self.serves();
        self.has("FloorReady", "True Kept");
        self.has("FloorComplete", "True AllCompiled");
        self.beats();
    }

    /// Waits until podgate check prints this.
    fn checks(&self, expected: &str) {
        let admin = self.plane.kubeconfig("admin");
        let check = ["check", "-n", NAMESPACE, "--kubeconfig", admin.to_str().unwrap()];
        eventually(expected, || match Ran::of(&binary::run(&check)).stdout {
            found if found.contains(expected) => Ok(()),
            other => Err(other),
        });
    }

    /// Waits until the policy has a condition: `STATUS REASON: MESSAGE`.
    fn has(&self, type_: &str, expected: &str) {
        let what = format!("{type_} {expected}");
        let ((), after) = eventually(&what, || {
            let status = self.status();
            match condition(&status, type_) {
                Some(found) if found.contains(expected) => Ok(()),
                _ => Err(status.to_string() + &self.log()),
            }
        });
        println!("   {what} after {}", seconds(after));
    }

    fn log(&self) -> String {
        let podgate = self.podgate.lock().unwrap_or_else(PoisonError::into_inner);
        podgate.as_ref().map(Podgate::whole_log).unwrap_or_default()
    }

    fn kill(&self) {
        drop(self.podgate.lock().unwrap().take());
    }

    fn signal(&self, name: &str) {
        self.podgate.lock().unwrap().as_ref().unwrap().signal(name);
    }

    fn metric(&self, series: &str) -> Option<f64> {
        self.podgate.lock().unwrap().as_ref()?.metric(series)
    }
}

impl Asked for Floor {
    fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.plane.kubectl(args).within(SHOP)
    }
}

/// Installs what podgate needs, and what was in the cluster before its policy.
fn prepare(plane: &ControlPlane) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let admin = plane.kubeconfig("admin");
    let installed = binary::run(&["crd", "install", "--kubeconfig", admin.to_str().unwrap()]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    plane.kubectl(&["create", "namespace", NAMESPACE]).ok();
    plane.kubectl(&["create", "namespace", SHOP]).ok();
    eventually("the default ServiceAccount", || {
        plane.kubectl(&["get", "serviceaccount", "default", "-n", SHOP]).result()
    });
    for kind in [Kind::Deployment, Kind::Pod] {
        plane.kubectl(&["create", "-f", "-"]).within(SHOP).given(&old(kind)).ok();
    }
}

/// Creates the policy.
fn judges(plane: &ControlPlane) {
    let policy = json!({
        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
        "metadata": {"name": "own", "namespace": SHOP},
        "spec": {
            "forbidLatestTag": true, "requireLivenessProbe": true, "requireResourceLimits": ["memory"],
            "enforcementMode": "enforce",
        },
    });
    plane.kubectl(&["apply", "-f", "-"]).given(&policy).ok();
}

/// The library that shifts a program's clock. Worlds start side by side, and only one may install it.
fn fake_time() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(install_fake_time)
}

fn install_fake_time() -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/debian.sh");
    let found = Command::new(script).args(["faketime", "faketime"]).output().unwrap();
    assert!(found.status.success(), "{}", text(&found.stderr));
    let shown = Command::new(text(&found.stdout).trim())
        .args(["-f", "+0", "printenv", "LD_PRELOAD"])
        .output()
        .unwrap();
    text(&shown.stdout).trim().to_owned()
}

fn condition(status: &Value, type_: &str) -> Option<String> {
    let found = status["conditions"].as_array()?.iter().find(|it| it["type"] == type_)?;
    let [status, reason, message] = ["status", "reason", "message"].map(|it| found[it].as_str());
    Some(format!("{} {}: {}", status?, reason?, message?))
}

/// An object that was there before the policy, and violates it.
fn old(kind: Kind) -> Value {
    let mut object = workload(kind, pod("nginx"));
    object["metadata"]["name"] = json!("old");
    if kind == Kind::Deployment {
        object["spec"]["replicas"] = json!(0);
    }
    object
}

fn violating() -> Value {
    workload(Kind::Pod, pod("nginx"))
}

fn compliant() -> Value {
    workload(Kind::Pod, compliant_pod("nginx:1.29"))
}

fn compliant_pod(image: &str) -> Value {
    let mut pod = probed_pod(image);
    pod["containers"][0]["resources"] = memory("64Mi");
    pod
}

/// Resources with this limit of memory. A request of CPU keeps the class of the pod, which a resize may not change.
fn memory(amount: &str) -> Value {
    json!({"limits": {"memory": amount}, "requests": {"cpu": "10m", "memory": amount}})
}

/// A Deployment without pods.
fn deployment(name: &str) -> Value {
    let mut object = workload(Kind::Deployment, compliant_pod("nginx:1.29"));
    object["metadata"]["name"] = json!(name);
    object["spec"]["replicas"] = json!(0);
    object
}

fn named(name: &str, mut object: Value) -> Value {
    object["metadata"]["name"] = json!(name);
    object
}

/// The container of a Deployment.
fn container(deployment: &mut Value) -> &mut Value {
    &mut deployment["spec"]["template"]["spec"]["containers"][0]
}

fn without_probe(deployment: &Value) -> Value {
    let mut changed = deployment.clone();
    container(&mut changed).as_object_mut().unwrap().remove("livenessProbe");
    changed
}

/// The age of the last beat, in seconds.
fn age(renewed: &str) -> Option<i64> {
    let age: SignedDuration = Timestamp::now().duration_since(renewed.parse().ok()?);
    Some(age.as_secs())
}
