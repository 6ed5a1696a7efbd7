//! A cluster to install podgate into: a real control plane on the bridge, and nodes whose podgate pods are processes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::Client;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::kubelet::Kubelet;
use super::netns;
use crate::support::cluster::client;
use crate::support::control_plane::{ControlPlane, Options};
use crate::support::{audit, eventually, eventually_within};

/// The namespace of podgate.
pub const NAMESPACE: &str = "podgate-system";
/// Above the duration of a rollout, in which replicas drain one after the other for at most two minutes each.
pub const ROLLOUT: Duration = Duration::from_mins(8);
const NODES: u16 = 3;
/// The audit policy: each of podgate's own requests with its response code.
const AUDIT: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
omitManagedFields: true
rules:
- level: Metadata
  userGroups: ['system:serviceaccounts:podgate-system']
- level: None
";

pub struct World {
    pub kubelet: Kubelet,
    pub plane: ControlPlane,
    pub client: Client,
    runtime: Runtime,
    /// The number of refusals that were expected.
    excused: AtomicUsize,
}

impl World {
    pub fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plane = ControlPlane::start_with(Options {
            address: netns::HOST,
            audit: Some(AUDIT),
            scheduler: true,
            endpoint_lag: Duration::ZERO,
        });
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(client(&plane.kubeconfig("admin")));
        let kubelet = Kubelet::start(&plane, NODES);
        Self { kubelet, plane, client, runtime, excused: AtomicUsize::new(0) }
    }

    /// Runs a call to the API server.
    pub fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// Runs kubectl as the admin, which must succeed; returns its stdout.
    pub fn kubectl(&self, args: &[&str]) -> String {
        self.plane.kubectl(args).ok()
    }

    pub fn apply(&self, manifest: &str) {
        self.plane.kubectl(&["apply", "-f", "-"]).given(&manifest).ok();
    }

    /// An object, if it exists.
    pub fn get(&self, args: &[&str]) -> Option<Value> {
        let all = [&["get", "-o", "json", "--ignore-not-found"], args].concat();
        serde_json::from_str(&self.kubectl(&all)).ok()
    }

    /// Creates a namespace in which pods can be created.
    pub fn namespace(&self, name: &str) {
        self.kubectl(&["create", "namespace", name]);
        eventually("the default ServiceAccount", || {
            self.plane.kubectl(&["get", "serviceaccount", "default", "-n", name]).result()
        });
    }

    /// Waits until exactly this number of podgate's pods exists and is ready; returns the duration.
    pub fn runs(&self, replicas: usize) -> Duration {
        let what = format!("{replicas} ready pods");
        let ((), after) = eventually_within(ROLLOUT, &what, || {
            let pods = self.kubelet.pods();
            let ready = pods.iter().filter(|pod| pod.is_ready()).count();
            if ready == replicas && pods.len() == replicas {
                Ok(())
            } else {
                Err(format!("{ready} of {} pods are ready", pods.len()))
            }
        });
        after
    }

    /// The unexpected refusals of the API server to podgate, as sentences.
    pub fn forbidden(&self) -> Vec<String> {
        let sentence =
            |it: &Value| format!("{} {} {}", audit::user(it), it["verb"], it["requestURI"]);
        self.refused().iter().map(sentence).collect()
    }

    /// The same as audit events.
    pub fn refused(&self) -> Vec<Value> {
        self.refusals().split_off(self.excused.load(Ordering::SeqCst))
    }

    /// Marks all refusals so far as expected: an uninstall removes podgate's rights before its pods have ended.
    pub fn excuse(&self) {
        self.excused.store(self.refusals().len(), Ordering::SeqCst);
    }

    /// The audit events of all of podgate's requests, including reads.
    fn refusals(&self) -> Vec<Value> {
        let mut events = self.plane.requests_about("\"code\":403");
        events.retain(|it| it["responseStatus"]["code"] == 403);
        events
    }

    /// Whether the audit log contains an answered list request of podgate: only then it would show refused reads.
    pub fn sees_reads(&self) -> bool {
        let lists = self.plane.requests_about("\"verb\":\"list\"");
        let own = format!("system:serviceaccount:{NAMESPACE}:");
        lists.iter().any(|it| audit::user(it).starts_with(&own) && audit::is_success(it))
    }
}
