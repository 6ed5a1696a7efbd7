//! A kubelet whose containers are processes. It simulates the nodes of a cluster: each podgate pod on them runs the
//! real binary with the pod's arguments, environment, volumes and token, in a network of its own, and is probed,
//! restarted and terminated as by a kubelet. Other pods only get the status of a running pod.
//!
//! The way in is [`Kubelet::start`]. Each pod of podgate is a thread ([`pod::live`]).

mod container;
mod node;
mod pod;
mod probe;
mod status;
mod volumes;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use tokio::runtime::Runtime;

use super::netns;
use crate::support::binary;
use crate::support::cluster::client;
use crate::support::control_plane::ControlPlane;
use node::Node;
pub use pod::Pod;
pub use status::now;

/// The label of podgate's pods.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "podgate");

/// The nodes of a cluster; they and their processes end when this value is dropped.
pub struct Kubelet {
    shared: Arc<Shared>,
    runtime: Runtime,
}

/// The shared state of the pods' threads.
struct Shared {
    client: Client,
    runtime: tokio::runtime::Handle,
    api_server: std::net::SocketAddrV4,
    binary: PathBuf,
    dir: PathBuf,
    nodes: Vec<Node>,
    /// The pods by uid.
    pods: Mutex<BTreeMap<String, Arc<Pod>>>,
    numbers: AtomicU16,
    /// Set while no process may be started.
    held: AtomicBool,
    ended: AtomicBool,
}

impl Kubelet {
    /// Registers this number of nodes and waits until pods can be bound to them.
    pub fn start(plane: &ControlPlane, nodes: u16) -> Self {
        let runtime = Runtime::new().unwrap();
        let kubeconfig = plane.kubeconfig_for("kubelet");
        let client = runtime.block_on(client(&kubeconfig));
        let dir = kubeconfig.with_file_name("pods");
        fs::create_dir_all(&dir).unwrap();
        let shared = Arc::new(Shared {
            client: client.clone(),
            runtime: runtime.handle().clone(),
            api_server: plane.address(),
            binary: netns::share(&binary::path(), "podgate"),
            dir,
            nodes: (1..=nodes).map(Node::new).collect(),
            pods: Mutex::default(),
            numbers: AtomicU16::new(256),
            held: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        for node in &shared.nodes {
            runtime.block_on(node.register(&client));
            runtime.spawn(node.heartbeat(client.clone()));
        }
        runtime.spawn(watch(Arc::clone(&shared)));
        for node in &shared.nodes {
            node.wait_until_schedulable(&runtime, &client);
        }
        Self { shared, runtime }
    }

    /// podgate's pods, including terminating ones.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.shared.pods.lock().unwrap().values().cloned().collect()
    }

    /// Kills all of podgate's processes at once (SIGKILL, by their ids); they are restarted as by a kubelet.
    pub fn kill_all(&self) -> usize {
        self.pods().iter().filter(|pod| pod.kill()).count()
    }

    /// From now on no process is started, until [`Self::release`].
    pub fn hold(&self) {
        self.shared.held.store(true, Ordering::SeqCst);
    }

    pub fn release(&self) {
        self.shared.held.store(false, Ordering::SeqCst);
    }

    /// The number of Lease renewals of all nodes, and of failed ones.
    pub fn heartbeats(&self) -> (u64, u64) {
        let counts = self.shared.nodes.iter().map(Node::heartbeats);
        counts.fold((0, 0), |(done, failed), (d, f)| (done + d, failed + f))
    }

    /// The folder of the pods' logs, including deleted pods.
    pub fn logs(&self) -> &Path {
        &self.shared.dir
    }

    /// The last lines of each pod's log, to explain a failed test.
    pub fn print_logs(&self, lines: usize) {
        let mut logs: Vec<_> =
            fs::read_dir(self.logs()).unwrap().map(|it| it.unwrap().path()).collect();
        logs.retain(|path| path.extension().is_some_and(|it| it == "log"));
        logs.sort();
        for log in logs {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let all: Vec<_> = text.lines().collect();
            let end = all.len().saturating_sub(lines);
            println!("--- {}\n{}", log.display(), all[end..].join("\n"));
        }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for pod in self.pods() {
            pod.kill();
            pod.join();
        }
        // Threads that still wait for the API server stop waiting.
        let spare = tokio::runtime::Builder::new_current_thread().build().unwrap();
        std::mem::replace(&mut self.runtime, spare).shutdown_background();
    }
}

/// Follows the pods that are bound to a node.
async fn watch(shared: Arc<Shared>) {
    let api: Api<PodObject> = Api::all(shared.client.clone());
    let config = watcher::Config::default().fields("spec.nodeName!=");
    let mut events = watcher::watcher(api, config).default_backoff().boxed();
    let mut listed = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(pod)) => {
                listed.push(pod.uid().unwrap());
                apply(&shared, pod);
            }
            Ok(Event::Apply(pod)) => apply(&shared, pod),
            Ok(Event::Delete(pod)) => gone(&shared, |uid| *uid == pod.uid().unwrap()),
            Ok(Event::InitDone) => gone(&shared, |uid| !listed.contains(uid)),
            Err(error) => eprintln!("kubelet: the watch of pods failed: {error}"),
        }
    }
}

fn apply(shared: &Arc<Shared>, object: PodObject) {
    if object.labels().get(LABEL.0).is_none_or(|name| name != LABEL.1) {
        shared.runtime.spawn(hollow(shared.client.clone(), object));
        return;
    }
    let mut pods = shared.pods.lock().unwrap();
    let uid = object.uid().unwrap();
    match pods.get(&uid) {
        Some(pod) => pod.update(object),
        None if shared.ended.load(Ordering::SeqCst) => {}
        None => {
            pods.insert(uid, Pod::start(Arc::clone(shared), object));
        }
    }
}

/// Marks these pods as gone from the API server.
fn gone(shared: &Shared, which: impl Fn(&String) -> bool) {
    for (uid, pod) in shared.pods.lock().unwrap().iter() {
        if which(uid) {
            pod.forget();
        }
    }
}

/// Sets the status of a pod that runs no process: running, or ended.
async fn hollow(client: Client, pod: PodObject) {
    let api: Api<PodObject> = Api::namespaced(client, &pod.namespace().unwrap());
    let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
    let done = if pod.metadata.deletion_timestamp.is_some() {
        delete(&api, &pod).await
    } else if phase == Some("Pending") {
        let status = status::running_hollow(&pod);
        api.patch_status(&pod.name_any(), &kube::api::PatchParams::default(), &status)
            .await
            .map(drop)
    } else {
        Ok(())
    };
    match done {
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
        Err(error) => eprintln!("kubelet: pod {}: {error}", pod.name_any()),
        Ok(()) => {}
    }
}

/// Deletes an ended pod from the API server.
async fn delete(api: &Api<PodObject>, pod: &PodObject) -> kube::Result<()> {
    let preconditions = Some(Preconditions { uid: pod.uid(), resource_version: None });
    let params = DeleteParams { preconditions, ..DeleteParams::default().grace_period(0) };
    api.delete(&pod.name_any(), &params).await.map(drop)
}
