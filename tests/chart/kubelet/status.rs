//! The status that a kubelet writes to its pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::Patch;
use serde_json::{Value, json};

/// The time as the API writes it, to the microsecond.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// To the second, as in most fields.
fn second() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The state of a container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    Waiting(&'static str),
    Running { since: String, started: bool, ready: bool },
    Terminated { code: i32, since: String },
}

impl State {
    pub fn running() -> Self {
        Self::Running { since: second(), started: false, ready: false }
    }

    pub fn terminated(code: i32) -> Self {
        Self::Terminated { code, since: second() }
    }

    fn written(&self) -> Value {
        match self {
            Self::Waiting(reason) => json!({"waiting": {"reason": reason}}),
            Self::Running { since, .. } => json!({"running": {"startedAt": since}}),
            Self::Terminated { code, since } => {
                let reason = if *code == 0 { "Completed" } else { "Error" };
                json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": since, "finishedAt": since}})
            }
        }
    }
}

/// The container of a pod, and the pod's addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    pub address: String,
    pub node_address: String,
    pub phase: &'static str,
    pub state: State,
    pub last: Option<State>,
    pub restarts: u32,
}

impl Status {
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Running { ready: true, .. })
    }

    /// The patch with this status. Conditions are merged by type, so that those of other writers stay.
    pub fn patch(&self, pod: &Pod) -> Patch<Value> {
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let ready = self.is_ready();
        let started = matches!(self.state, State::Running { started: true, .. });
        let last = self.last.as_ref().map_or_else(|| json!({}), State::written);
        Patch::Strategic(json!({"metadata": {"uid": pod.uid()}, "status": {
            "phase": self.phase,
            "hostIP": self.node_address,
            "hostIPs": [{"ip": self.node_address}],
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": pod.creation_timestamp(),
            "conditions": conditions(pod, ready),
            "containerStatuses": [{
                "name": container.name,
                "image": container.image,
                "imageID": "",
                "ready": ready,
                "started": started,
                "restartCount": self.restarts,
                "state": self.state.written(),
                "lastState": last,
            }],
        }}))
    }
}

/// The conditions of a pod; an unchanged condition keeps its transition time.
fn conditions(pod: &Pod, ready: bool) -> Value {
    let before = pod.status.as_ref().and_then(|it| it.conditions.as_ref());
    let condition = |kind: &str, holds: bool| {
        let status = if holds { "True" } else { "False" };
        let same =
            before.and_then(|all| all.iter().find(|it| it.type_ == kind && it.status == status));
        let since = same.and_then(|it| it.last_transition_time.clone());
        json!({"type": kind, "status": status, "lastTransitionTime": since.map_or_else(|| json!(second()), |it| json!(it))})
    };
    json!([
        condition("PodReadyToStartContainers", true),
        condition("Initialized", true),
        condition("ContainersReady", ready),
        condition("Ready", ready),
    ])
}

/// The status of a running pod, for a pod without a process.
pub fn running_hollow(pod: &Pod) -> Patch<Value> {
    let containers = pod.spec.as_ref().unwrap().containers.iter();
    let statuses: Vec<_> = containers
        .map(|it| {
            json!({"name": it.name, "image": it.image, "imageID": "", "ready": true, "started": true,
                "restartCount": 0, "state": {"running": {"startedAt": second()}}})
        })
        .collect();
    Patch::Strategic(json!({"metadata": {"uid": pod.uid()}, "status": {
        "phase": "Running",
        "startTime": pod.creation_timestamp(),
        "conditions": conditions(pod, true),
        "containerStatuses": statuses,
    }}))
}
