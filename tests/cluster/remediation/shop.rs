//! A namespace with its policies and workloads, and the waits for their expected states.

use std::sync::atomic::{AtomicU32, Ordering};

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use super::arena::Arena;
use super::kubelet::{PLAY, READY};
use crate::support::control_plane::seconds;
use crate::support::eventually;

/// The annotation and the label of `src/policy/record.rs`.
pub const MARK: &str = "devops.stochastic.io/remediation";

pub struct Shop<'a> {
    pub arena: &'a Arena,
    pub name: String,
}

/// A policy that requires what a workload of [`Shop::deployment`] lacks, with all mutations.
pub fn wants(remediation: &Value) -> Value {
    let mut all = json!({"mode": "apply", "cooldownSeconds": 0, "rolloutTimeoutSeconds": 60});
    all.as_object_mut().unwrap().extend(remediation.as_object().unwrap().clone());
    json!({
        "requireResourceLimits": ["memory"], "requireReadinessProbe": true,
        "defaultResources": {"memoryLimit": "64Mi"}, "defaultProbe": {"tcpPort": 80},
        "remediation": all,
    })
}

/// A workload of this kind, with these replicas, whose pods behave as `play` says.
pub fn workload(kind: Kind, name: &str, play: &str, replicas: u32) -> Value {
    let names = kind.names();
    let labels = json!({"app": name, PLAY: play});
    let container = json!({"name": "web", "image": "nginx:1.29", "ports": [{"containerPort": 80}]});
    let mut object = json!({
        "apiVersion": names.api_version(), "kind": names.kind, "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    if kind != Kind::DaemonSet {
        object["spec"]["replicas"] = json!(replicas);
    }
    if kind == Kind::StatefulSet {
        object["spec"]["serviceName"] = json!(name);
    }
    object
}

impl Shop<'_> {
    /// The path of a kind's objects, or of one object.
    pub fn path(&self, kind: Kind, name: &str) -> String {
        let names = kind.names();
        let root = if names.group.is_empty() { "/api" } else { "/apis" };
        let (version, resource) = (names.api_version(), names.resource);
        let slash = if name.is_empty() { "" } else { "/" };
        format!("{root}/{version}/namespaces/{}/{resource}{slash}{name}", self.name)
    }

    fn policies(&self, name: &str) -> String {
        format!(
            "/apis/devops.stochastic.io/v1/namespaces/{}/devopspolicies{}{name}",
            self.name,
            if name.is_empty() { "" } else { "/" }
        )
    }

    pub fn policy(&self, name: &str, spec: &Value) {
        let object = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": name, "namespace": self.name}, "spec": spec,
        });
        self.arena.api.post(&self.policies(""), &object);
    }

    /// Merges a change into a policy's spec.
    pub fn edit_policy(&self, name: &str, spec: &Value) {
        self.arena.api.merge(&self.policies(name), &json!({ "spec": spec })).unwrap();
    }

    pub fn delete_policy(&self, name: &str) {
        self.arena.api.delete(&self.policies(name));
    }

    /// The current policy; null if it is gone.
    pub fn get_policy(&self, name: &str) -> Value {
        self.arena.api.try_get(&self.policies(name)).unwrap_or_default()
    }

    pub fn create(&self, kind: Kind, object: &Value) {
        self.arena.api.post(&self.path(kind, ""), object);
    }

    /// Creates a workload and waits until all its pods are ready; returns the object.
    pub fn runs(&self, kind: Kind, object: &Value) -> Value {
        self.create(kind, object);
        let name = object["metadata"]["name"].as_str().unwrap();
        self.is_available(kind, name)
    }

    pub fn is_available(&self, kind: Kind, name: &str) -> Value {
        let available = |object: &Value| {
            let status = &object["status"];
            let (wanted, found) = match kind {
                Kind::DaemonSet => (&json!(1), &status["numberAvailable"]),
                _ => (&object["spec"]["replicas"], &status["availableReplicas"]),
            };
            wanted == found
        };
        self.awaits(kind, name, "to be available", available)
    }

    /// A Deployment `web` of two pods.
    pub fn deployment(&self, play: &str) -> Value {
        self.runs(Kind::Deployment, &workload(Kind::Deployment, "web", play, 2))
    }

    pub fn ready_deployment(&self, name: &str) -> Value {
        self.runs(Kind::Deployment, &workload(Kind::Deployment, name, READY, 1))
    }

    pub fn get(&self, kind: Kind, name: &str) -> Value {
        self.arena.api.get(&self.path(kind, name))
    }

    pub fn awaits(
        &self,
        kind: Kind,
        name: &str,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        let what = format!("{kind:?} {}/{name} {what}", self.name);
        let (object, _) = eventually(&what, || {
            let object = self.get(kind, name);
            if is_so(&object) { Ok(object) } else { Err(self.all_about(&object)) }
        });
        object
    }

    /// Waits until the policy's status meets a condition; returns the status.
    pub fn wait_for_status(
        &self,
        what: &str,
        policy: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        let (status, after) = eventually(&format!("{}: {what}", self.name), || {
            let status = self.get_policy(policy)["status"].clone();
            if is_so(&status) { Ok(status) } else { Err(status.to_string()) }
        });
        println!("{}: {what}: after {}", self.name, seconds(after));
        status
    }

    /// Waits until the policy's status has this state for a workload (`KIND/NAME`); returns the workload's entry.
    pub fn wait_for_state(&self, policy: &str, workload: &str, state: &str) -> Value {
        let entry = |status: &Value| workload_status(status, &self.label(workload));
        let what = format!("{workload} {state}");
        let status = self.wait_for_status(&what, policy, |status| entry(status)["state"] == state);
        entry(&status)
    }

    fn label(&self, workload: &str) -> String {
        let (kind, name) = workload.split_once('/').unwrap();
        format!("{kind}/{}/{name}", self.name)
    }

    /// Waits until podgate has read a workload twice more, and so has finished its work on the current object.
    pub fn wait_for_two_reads(&self, kind: Kind, name: &str) {
        self.arena.is_read(&self.path(kind, name), 2);
    }

    /// Waits until the leader has finished a whole round of repairs: it reads a new policy at the start of a round, and
    /// another new one at the start of the next.
    pub fn wait_for_a_round(&self) {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        for _ in 0..2 {
            let name = format!("unknown-{}", COUNT.fetch_add(1, Ordering::Relaxed));
            // No workload here breaks it.
            let plans = json!({"forbidLatestTag": true, "remediation": {"mode": "plan"}});
            self.policy(&name, &plans);
            self.arena.is_read(&self.policies(&name), 1);
        }
    }

    /// The number of templates that a workload has had: the `ReplicaSet`s of a Deployment, the revisions of another
    /// kind.
    pub fn templates(&self, kind: Kind, name: &str) -> usize {
        let path = match kind {
            Kind::Deployment => self.path(Kind::ReplicaSet, ""),
            _ => format!("/apis/apps/v1/namespaces/{}/controllerrevisions", self.name),
        };
        let all = self.arena.api.list(&path);
        all.iter().filter(|it| it["metadata"]["ownerReferences"][0]["name"] == name).count()
    }

    /// Waits for an Event of this reason on an object of this kind.
    pub fn event(&self, reason: &str, kind: &str) -> Value {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.name);
        let what = format!("{}: an Event {reason} on a {kind}", self.name);
        let (event, _) = eventually(&what, || {
            let events = self.arena.api.list(&path);
            let of = |it: &&Value| it["reason"] == reason && it["regarding"]["kind"] == kind;
            events.iter().find(of).cloned().ok_or_else(|| json!(events).to_string())
        });
        event
    }

    fn all_about(&self, object: &Value) -> String {
        let pods = self.arena.api.list(&self.path(Kind::Pod, ""));
        let pods: Vec<_> = pods
            .iter()
            .map(|it| {
                json!([
                    it["metadata"]["name"],
                    it["metadata"]["labels"],
                    it["status"]["conditions"]
                ])
            })
            .collect();
        let mut object = object.clone();
        object["metadata"]["managedFields"] = Value::Null;
        format!("{object}\npods: {}", json!(pods))
    }
}

/// A workload's entry in a policy's status.
pub fn workload_status(status: &Value, workload: &str) -> Value {
    let mut workloads = status["remediation"]["workloads"].as_array().into_iter().flatten();
    workloads.find(|it| it["workload"] == workload).cloned().unwrap_or_default()
}

/// A condition's status, such as `True`.
pub fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions
        .filter(|it| it["type"] == kind)
        .map(|it| it["status"].clone())
        .next()
        .unwrap_or_default()
}

/// The record on a workload; null if there is none.
pub fn record(object: &Value) -> Value {
    let text = object["metadata"]["annotations"][MARK].as_str().unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}
