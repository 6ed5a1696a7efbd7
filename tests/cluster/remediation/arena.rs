//! A control plane whose workloads podgate repairs, and whose kubelet the suite plays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::api::Api;
use super::kubelet::Kubelet;
use super::shop::Shop;
use crate::support::binary::{Podgate, run};
use crate::support::control_plane::{ControlPlane, text};
use crate::support::role::grant;
use crate::support::{audit, eventually, eventually_within};

/// podgate's user, who has exactly the permissions that `podgate check` lists.
pub const USER: &str = "jane";

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/podgate";

/// Far above the time of two reads: a workload without a repair in flight is read every half minute.
const READS: Duration = Duration::from_mins(5);

pub struct Arena {
    pub api: Arc<Api>,
    pub kubelet: Arc<Kubelet>,
    pub plane: ControlPlane,
}

impl Arena {
    /// An arena with a node, for `DaemonSet`s.
    pub fn start() -> Self {
        let plane = ControlPlane::audited();
        let admin = plane.kubeconfig("admin");
        let installed = run(&["crd", "install", "--kubeconfig", admin.to_str().unwrap()]);
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        grant(&plane, USER);
        let api = Arc::new(Api::new(&admin));
        add_node(&api);
        let kubelet = Kubelet::start(&api);
        Self { api, kubelet, plane }
    }

    /// A leading podgate that repairs for these policies.
    pub fn podgate(&self, remediation: &str) -> Podgate {
        let podgate = self.podgate_that_serves(remediation);
        podgate.logs("every pod is audited");
        podgate
    }

    /// The same, before it leads.
    pub fn podgate_that_serves(&self, remediation: &str) -> Podgate {
        // The former leader is dead, so its Lease is deleted; tests/cluster/leadership.rs covers the wait for its
        // expiry.
        self.api.delete(LEASE);
        self.podgate_that_waits(remediation)
    }

    /// The same, but it leads only when the Lease of the former leader has expired.
    pub fn podgate_that_waits(&self, remediation: &str) -> Podgate {
        let kubeconfig = self.plane.kubeconfig(USER);
        let args = [
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--lease-namespace",
            "default",
            "--metrics-listen",
            "127.0.0.1:0",
            "--remediation",
            remediation,
        ];
        Podgate::start("reconcile", &args, "serving")
    }

    /// The leader's Lease; null if there is none.
    pub fn lease(&self) -> Value {
        self.api.try_get(LEASE).unwrap_or_default()
    }

    /// Waits until podgate has read the object at this path this many times more. At the second read, it has finished its
    /// work from the first.
    pub fn is_read(&self, path: &str, times: usize) {
        let is_a_read = |it: &Value| {
            audit::user(it) == USER
                && it["verb"] == "get"
                && audit::is_received(it)
                && it["requestURI"].as_str().and_then(|it| it.split('?').next()) == Some(path)
        };
        let mut added = self.plane.further_requests();
        let mut reads = 0;
        eventually_within(READS, &format!("{path} to be read {times} more times"), || {
            reads += added.about(path).iter().filter(|it| is_a_read(it)).count();
            if reads >= times { Ok(()) } else { Err(format!("it was read {reads} times")) }
        });
    }

    /// A new namespace, whose name starts with this one.
    pub fn shop(&self, prefix: &str) -> Shop<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let labels = json!({"shop": name});
        self.api.post("/api/v1/namespaces", &json!({"metadata": {"name": name, "labels": labels}}));
        eventually("the default ServiceAccount", || {
            let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
            self.api.try_get(&account).map_err(|refused| refused.message)
        });
        Shop { arena: self, name }
    }

    /// The requests that were forbidden to podgate so far: verb and resource.
    pub fn forbidden(&self) -> BTreeSet<String> {
        let asked = self.plane.requests().into_iter();
        let forbidden = asked
            .filter(|it| audit::user(it) == USER && it["responseStatus"]["code"] == json!(403));
        forbidden.map(|it| format!("{} {}", it["verb"], it["requestURI"])).collect()
    }

    /// podgate's successful writes to workloads of a namespace: paths and patches.
    pub fn repairs(&self, namespace: &str) -> Vec<Value> {
        let writes = self.plane.writes().into_iter();
        let ours = |it: &Value| {
            audit::user(it) == USER
                && it["objectRef"]["apiGroup"] == "apps"
                && audit::namespace(it) == namespace
                && audit::is_success(it)
        };
        writes.filter(ours).collect()
    }

    /// The writes of [`Self::repairs`] that change a template and are no dry run.
    pub fn template_patches(&self, namespace: &str) -> Vec<Value> {
        let changes = |it: &Value| {
            let operations = it["requestObject"].as_array().into_iter().flatten();
            let mut changing = operations.filter(|it| it["op"] != "test");
            changing.any(|it| it["path"].as_str().is_some_and(|it| it.starts_with("/spec")))
        };
        let dry = |it: &Value| it["requestURI"].as_str().is_some_and(|it| it.contains("dryRun"));
        self.repairs(namespace).into_iter().filter(|it| changes(it) && !dry(it)).collect()
    }
}

/// A ready node for the pods of a `DaemonSet`; it lives as long as the control plane.
fn add_node(api: &Api) {
    api.post("/api/v1/nodes", &json!({"metadata": {"name": "node"}}));
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady",
        "lastHeartbeatTime": now, "lastTransitionTime": now});
    let status = json!({"status": {"conditions": [ready]}});
    api.merge("/api/v1/nodes/node/status", &status).unwrap();
    eventually("the node to accept pods", || {
        let node = api.get("/api/v1/nodes/node");
        if node["spec"]["taints"].is_null() { Ok(()) } else { Err(node.to_string()) }
    });
}

impl Drop for Arena {
    fn drop(&mut self) {
        self.kubelet.end();
    }
}
