//! The suite's kubelet: it sets pods running and ready, according to their label [`PLAY`]. No pod is bound to a node,
//! so the API server removes deleted pods at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::api::Api;

pub const PLAY: &str = "play";
/// A pod that has a probe never becomes ready.
pub const NEVER: &str = "never";
/// A pod that has a probe crashes again and again.
pub const CRASH: &str = "crash";
/// A pod becomes ready.
pub const READY: &str = "ready";

/// Its interval.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Default)]
pub struct Kubelet {
    held: Mutex<BTreeSet<String>>,
    ended: AtomicBool,
}

impl Kubelet {
    pub fn start(api: &Arc<Api>) -> Arc<Self> {
        let kubelet = Arc::new(Self::default());
        let (api, running) = (Arc::clone(api), Arc::clone(&kubelet));
        std::thread::spawn(move || {
            let mut fails = false;
            while !running.ended.load(Ordering::SeqCst) {
                match api.try_get("/api/v1/pods?resourceVersion=0") {
                    Ok(pods) => {
                        fails = false;
                        for pod in pods["items"].as_array().into_iter().flatten() {
                            running.look_at(&api, pod);
                        }
                    }
                    Err(refused) => {
                        if !std::mem::replace(&mut fails, true) {
                            eprintln!("kubelet: cannot list pods, retrying: {refused:?}");
                        }
                    }
                }
                std::thread::sleep(LOOK);
            }
        });
        kubelet
    }

    /// From now on, new pods of a namespace stay Pending.
    pub fn hold(&self, namespace: &str) {
        self.held.lock().unwrap().insert(namespace.to_owned());
    }

    pub fn release(&self, namespace: &str) {
        self.held.lock().unwrap().remove(namespace);
    }

    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    fn look_at(&self, api: &Api, pod: &Value) {
        let metadata = &pod["metadata"];
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        let gone = !metadata["deletionTimestamp"].is_null() || pod["status"]["phase"] != "Pending";
        if gone || self.held.lock().unwrap().contains(namespace) {
            return;
        }
        let containers = || pod["spec"]["containers"].as_array().into_iter().flatten();
        let probed = containers().any(|it| !it["readinessProbe"].is_null());
        let play = text(&metadata["labels"][PLAY]);
        let ready = !probed || (play != NEVER && play != CRASH);
        let restarts = if !ready && play == CRASH { 5 } else { 0 };
        let status = if ready { "True" } else { "False" };
        let condition = |kind: &str| json!({"type": kind, "status": status, "lastTransitionTime": metadata["creationTimestamp"]});
        let of = |it: &Value| {
            json!({
                "name": it["name"], "image": it["image"], "imageID": "", "ready": ready,
                "restartCount": restarts, "state": {"running": {"startedAt": metadata["creationTimestamp"]}},
            })
        };
        let status = json!({"status": {
            "phase": "Running",
            "conditions": [condition("Ready"), condition("ContainersReady")],
            "containerStatuses": containers().map(of).collect::<Vec<_>>(),
        }});
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status");
        match api.merge(&path, &status) {
            // The pod may be gone.
            Err(refused) if refused.code != 404 => eprintln!("kubelet: {path}: {refused:?}"),
            _ => {}
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
