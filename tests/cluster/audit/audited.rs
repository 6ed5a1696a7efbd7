//! A control plane that podgate audits.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::binary::{Podgate, run};
use crate::support::control_plane::{ControlPlane, seconds, text};
use crate::support::eventually;
use crate::support::kubectl::Kubectl;
use crate::support::role::grant;

pub struct Audited {
    podgate: Podgate,
    pub plane: ControlPlane,
}

impl Audited {
    pub fn start() -> Self {
        let plane = ControlPlane::audited();
        let admin = plane.kubeconfig("admin");
        let admin = admin.to_str().unwrap();
        let installed = run(&["crd", "install", "--reports", "--kubeconfig", admin]);
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        grant(&plane, "jane");
        let podgate = start(&plane);
        Self { podgate, plane }
    }

    /// The value of one of podgate's metrics.
    pub fn metric(&self, series: &str) -> Option<f64> {
        self.podgate.metric(series)
    }

    /// A new namespace, whose name starts with this one.
    pub fn namespace(&self, prefix: &str) -> Namespace<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name]).ok();
        eventually("the default ServiceAccount", || {
            self.kubectl(&["-n", &name, "get", "serviceaccount", "default"]).result()
        });
        Namespace { audited: self, name }
    }

    pub fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.plane.kubectl(args)
    }

    pub fn apply(&self, object: &Value) {
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"])
            .given(&object)
            .ok();
    }

    pub fn get(&self, args: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], args].concat()).ok();
        serde_json::from_str(&text).unwrap()
    }
}

fn start(plane: &ControlPlane) -> Podgate {
    let kubeconfig = plane.kubeconfig("jane");
    let kubeconfig = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let rest = ["--lease-namespace", "default", "--metrics-listen", "127.0.0.1:0"];
    let podgate = Podgate::start("reconcile", &[&kubeconfig[..], &rest].concat(), "serving");
    podgate.logs("every pod is audited");
    podgate
}

pub struct Namespace<'a> {
    pub audited: &'a Audited,
    pub name: String,
}

impl Namespace<'_> {
    pub fn policy(&self, name: &str, spec: &Value) {
        self.audited.apply(&json!({
            "apiVersion": "devops.stochastic.io/v1",
            "kind": "DevOpsPolicy",
            "metadata": {"name": name, "namespace": self.name},
            "spec": spec,
        }));
    }

    /// A Deployment `name` of one container `web`. It replaces its pods at once: no kubelet makes a new one ready.
    pub fn deployment(&self, name: &str, image: &str, replicas: u32) {
        let labels = json!({"app": name});
        self.audited.apply(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {"replicas": replicas, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": image}]},
            }},
        }));
    }

    pub fn kubectl(&self, args: &[&str]) -> Kubectl {
        self.audited.kubectl(args).within(&self.name)
    }

    pub fn get(&self, args: &[&str]) -> Value {
        self.audited.get(&[&["-n", &self.name], args].concat())
    }

    pub fn status(&self, policy: &str) -> Value {
        self.get(&["devopspolicy", policy])["status"].clone()
    }

    /// Waits for a policy's status, and prints how long it took.
    pub fn wait_for_status(
        &self,
        what: &str,
        policy: &str,
        expected: impl Fn(&Value) -> bool,
    ) -> Value {
        let (status, after) = eventually(what, || {
            let status = self.status(policy);
            if expected(&status) { Ok(status) } else { Err(status.to_string()) }
        });
        println!("{what}: after {}", seconds(after));
        status
    }

    /// The pods of an app, by name.
    pub fn pods(&self, app: &str) -> Vec<String> {
        let pods = self.get(&["pods", "-l", &format!("app={app}")]);
        let names = pods["items"].as_array().unwrap().iter();
        names.map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Sets a pod's status, as its kubelet would.
    pub fn set_status(&self, pod: &str, status: &Value) {
        let patch = json!({ "status": status }).to_string();
        self.kubectl(&["patch", "pod", pod, "--subresource=status", "--type=merge", "-p", &patch])
            .ok();
    }

    /// The value of one of podgate's metrics.
    pub fn metric(&self, series: &str) -> Option<f64> {
        self.audited.metric(series)
    }
}
