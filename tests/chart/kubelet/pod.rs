//! A podgate pod, from its binding to a node until its object is gone.

use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::ResourceExt;
use kube::api::{Api, PatchParams};

use super::container::{self, Spec};
use super::probe::Probes;
use super::status::{State, Status};
use super::{Shared, delete, volumes};
use crate::netns::Network;

/// A kubelet looks at its containers once a second.
const LOOK: Duration = Duration::from_secs(1);
/// The first restart delay of a container; it doubles with each restart, up to five minutes.
const BACKOFF: Duration = Duration::from_secs(10);
const BACKOFF_AT_MOST: Duration = Duration::from_mins(5);
/// The grace period of a pod that was deleted without one.
const FORGOTTEN: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(20);

pub struct Pod {
    pub name: String,
    pub namespace: String,
    object: Mutex<PodObject>,
    /// The object is gone from the API server.
    forgotten: AtomicBool,
    running: Mutex<Option<Child>>,
    pub status: Mutex<Option<Status>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Pod {
    /// Starts the pod's thread.
    pub(super) fn start(shared: Arc<Shared>, object: PodObject) -> Arc<Self> {
        let pod = Arc::new(Self {
            name: object.name_any(),
            namespace: object.namespace().unwrap(),
            object: Mutex::new(object),
            forgotten: AtomicBool::new(false),
            running: Mutex::default(),
            status: Mutex::default(),
            thread: Mutex::default(),
        });
        let own = Arc::clone(&pod);
        let thread = std::thread::spawn(move || {
            Life { pod: &own, shared: &shared }.live();
            let uid = own.object.lock().unwrap().uid().unwrap();
            if !shared.ended.load(Ordering::SeqCst) {
                shared.pods.lock().unwrap().remove(&uid);
            }
        });
        *pod.thread.lock().unwrap() = Some(thread);
        pod
    }

    pub(super) fn update(&self, object: PodObject) {
        *self.object.lock().unwrap() = object;
    }

    pub(super) fn forget(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    pub(super) fn join(&self) {
        if let Some(thread) = self.thread.lock().unwrap().take() {
            let _ = thread.join();
        }
    }

    /// Kills the process, if one runs, by its id.
    pub fn kill(&self) -> bool {
        self.running.lock().unwrap().as_mut().is_some_and(|child| child.kill().is_ok())
    }

    /// The node that it is bound to.
    pub fn node(&self) -> String {
        self.object().spec.unwrap().node_name.unwrap()
    }

    pub fn is_ready(&self) -> bool {
        self.status.lock().unwrap().as_ref().is_some_and(Status::is_ready)
    }

    /// Its address on the bridge, once it has one.
    pub fn address(&self) -> Option<String> {
        self.status.lock().unwrap().as_ref().map(|it| it.address.clone())
    }

    fn object(&self) -> PodObject {
        self.object.lock().unwrap().clone()
    }

    fn is_deleted(&self) -> bool {
        let deleted = self.object.lock().unwrap().metadata.deletion_timestamp.is_some();
        deleted || self.forgotten.load(Ordering::SeqCst)
    }
}

struct Life<'a> {
    pod: &'a Pod,
    shared: &'a Shared,
}

impl Life<'_> {
    fn live(&self) {
        let object = self.pod.object();
        let spec = object.spec.as_ref().unwrap();
        assert_eq!(spec.containers.len(), 1, "this kubelet supports only one container");
        assert!(
            spec.init_containers.as_ref().is_none_or(Vec::is_empty),
            "this kubelet does not support init containers"
        );
        let node_name = spec.node_name.as_deref().unwrap();
        let node = self
            .shared
            .nodes
            .iter()
            .find(|it| it.name == node_name)
            .expect("the pod is on a node of this kubelet");
        let own;
        let network = if spec.host_network == Some(true) {
            &node.network
        } else {
            own = Network::new(self.shared.numbers.fetch_add(1, Ordering::SeqCst));
            &own
        };
        let mut status = Status {
            address: network.address.to_string(),
            node_address: node.network.address.to_string(),
            phase: "Pending",
            state: State::Waiting("ContainerCreating"),
            last: None,
            restarts: 0,
        };
        self.run(network, &mut status);
        self.report(&status);
        self.end(&mut status);
    }

    /// Runs the container, again and again, until the pod is deleted or has run to its end.
    fn run(&self, network: &Network, status: &mut Status) {
        let restart = self.pod.object().spec.unwrap().restart_policy.unwrap_or_default();
        let mut backoff = Duration::ZERO;
        loop {
            if self.wait_until(|| !self.shared.held.load(Ordering::SeqCst)) || self.start(network) {
                return;
            }
            status.phase = "Running";
            status.state = State::running();
            let code = self.watch(network, status);
            let Some(code) = code else { return };
            let ended = State::terminated(code);
            let again = restart == "Always" || (restart == "OnFailure" && code != 0);
            if !again {
                status.phase = if code == 0 { "Succeeded" } else { "Failed" };
                status.state = ended;
                self.report(status);
                self.wait_until(|| false);
                return;
            }
            status.last = Some(ended.clone());
            status.state =
                if backoff.is_zero() { ended } else { State::Waiting("CrashLoopBackOff") };
            self.report(status);
            let until = Instant::now() + backoff.max(LOOK);
            if self.wait_until(|| Instant::now() >= until) {
                return;
            }
            status.restarts += 1;
            backoff = (backoff * 2).clamp(BACKOFF, BACKOFF_AT_MOST);
        }
    }

    /// Writes the volumes and starts the process; returns whether the pod was deleted before that.
    fn start(&self, network: &Network) -> bool {
        let object = self.pod.object();
        let dir = self.shared.dir.join(object.uid().unwrap());
        let mut reported = String::new();
        let deleted = self.wait_until(|| {
            let spec = object.spec.as_ref().unwrap();
            let written = spec.volumes.iter().flatten().try_for_each(|volume| {
                let (client, dir) = (&self.shared.client, dir.join(&volume.name));
                self.shared.runtime.block_on(volumes::write(client, &object, volume, &dir))
            });
            match written {
                Ok(()) => true,
                Err(reason) => {
                    if reason != reported {
                        eprintln!("kubelet: pod {}: {reason}", self.pod.name);
                        reported = reason;
                    }
                    false
                }
            }
        });
        if !deleted {
            std::fs::create_dir_all(&dir).unwrap();
            let child = container::start(&Spec {
                pod: &object,
                network,
                binary: &self.shared.binary,
                api_server: self.shared.api_server,
                volumes: &dir,
                log: &self.log(),
            });
            *self.pod.running.lock().unwrap() = Some(child);
        }
        deleted
    }

    /// Reports the container's status until it ends by itself or because its liveness probe failed; returns the exit
    /// code, or `None` when the pod is deleted.
    fn watch(&self, network: &Network, status: &mut Status) -> Option<i32> {
        let object = self.pod.object();
        let probes = Probes::start(&object.spec.as_ref().unwrap().containers[0], network.address);
        self.report(status);
        loop {
            if self.pod.is_deleted() || self.shared.ended.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(code) = self.exited() {
                return Some(code);
            }
            let found = probes.found();
            if !found.alive {
                eprintln!(
                    "kubelet: pod {} does not answer its probe and is restarted",
                    self.pod.name
                );
                self.stop(self.grace());
                return self.exited();
            }
            if let State::Running { since, started, ready } = &status.state
                && (*started, *ready) != (found.started, found.ready)
            {
                let since = since.clone();
                status.state = State::Running { since, started: found.started, ready: found.ready };
                self.report(status);
            }
            std::thread::sleep(TICK);
        }
    }

    /// Terminates the pod: the process gets its grace period, and the object is deleted last.
    fn end(&self, status: &mut Status) {
        let object = self.pod.object();
        let lifecycle = object.spec.as_ref().unwrap().containers[0].lifecycle.as_ref();
        let sleep =
            lifecycle.and_then(|it| it.pre_stop.as_ref()?.sleep.as_ref()).map(|it| it.seconds);
        if let Some(seconds) = sleep {
            std::thread::sleep(Duration::from_secs(seconds.try_into().unwrap()));
        }
        let grace =
            if self.pod.forgotten.load(Ordering::SeqCst) { FORGOTTEN } else { self.grace() };
        self.stop(grace);
        if self.shared.ended.load(Ordering::SeqCst) || self.pod.forgotten.load(Ordering::SeqCst) {
            return;
        }
        if let Some(code) = self.exited() {
            status.phase = if code == 0 { "Succeeded" } else { "Failed" };
            status.state = State::terminated(code);
        }
        self.report(status);
        let api = Api::namespaced(self.shared.client.clone(), &self.pod.namespace);
        if let Err(error) = self.shared.runtime.block_on(delete(&api, &object)) {
            eprintln!("kubelet: pod {}: {error}", self.pod.name);
        }
    }

    fn grace(&self) -> Duration {
        let object = self.pod.object();
        let of_deletion = object.metadata.deletion_grace_period_seconds;
        let of_pod = object.spec.unwrap().termination_grace_period_seconds;
        Duration::from_secs(of_deletion.or(of_pod).unwrap_or(30).try_into().unwrap())
    }

    /// Ends the process: SIGTERM, and SIGKILL after the grace period.
    fn stop(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        if let (None, Some(child)) = (self.exited(), self.pod.running.lock().unwrap().as_ref()) {
            container::terminate(child);
        }
        while self.exited().is_none() {
            if self.pod.running.lock().unwrap().is_none() {
                return;
            }
            let (late, over) =
                (Instant::now() >= deadline, self.shared.ended.load(Ordering::SeqCst));
            if late && !over {
                eprintln!("kubelet: pod {} has not ended in {grace:?}", self.pod.name);
            }
            if late || over {
                self.pod.kill();
            }
            std::thread::sleep(TICK);
        }
    }

    fn exited(&self) -> Option<i32> {
        let mut running = self.pod.running.lock().unwrap();
        running.as_mut().and_then(|child| child.try_wait().unwrap()).map(container::exit_code)
    }

    /// Writes the status. A kubelet retries for ever; here the next status replaces a failed one.
    fn report(&self, status: &Status) {
        *self.pod.status.lock().unwrap() = Some(status.clone());
        let object = self.pod.object();
        let api: Api<PodObject> = Api::namespaced(self.shared.client.clone(), &self.pod.namespace);
        let patch = status.patch(&object);
        for _ in 0..100 {
            let params = PatchParams::default();
            let patched = api.patch_status(&self.pod.name, &params, &patch);
            match self.shared.runtime.block_on(patched) {
                Ok(_) => return,
                Err(kube::Error::Api(answer)) if [404, 409].contains(&answer.code) => return,
                Err(error) => eprintln!("kubelet: the status of {}: {error}", self.pod.name),
            }
            if self.shared.ended.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for a condition; returns whether the pod was deleted before.
    fn wait_until(&self, mut holds: impl FnMut() -> bool) -> bool {
        loop {
            if self.pod.is_deleted() || self.shared.ended.load(Ordering::SeqCst) {
                return true;
            }
            if holds() {
                return false;
            }
            std::thread::sleep(TICK);
        }
    }

    fn log(&self) -> PathBuf {
        self.shared.dir.join(format!("{}_{}.log", self.pod.namespace, self.pod.name))
    }
}
