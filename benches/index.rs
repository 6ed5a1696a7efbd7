//! `make bench`: what the audit's index keeps and costs, without an API server: the bytes of heap of each structure, and
//! the time of a pod's event, with the pods and policies of the audit's bench.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails loudly is one"
)]

#[allow(dead_code, reason = "the other bench uses the rest")]
#[path = "api_server/objects.rs"]
mod objects;
#[path = "audit/policies.rs"]
mod policies;

use std::alloc::System;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use podgate::audit::index::{AuditIndex, Remembered};
use podgate::audit::pod::ObservedPod;
use podgate::policy::compile::Policy;
use podgate::policy::made_pod::{MAKERS, made_pod};
use podgate::policy::policy_set::{NamespaceMetadata, PolicySet};
use podgate::policy::scope::{Scope, Selection};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NAMESPACES: usize = 50;
const WORKLOADS: usize = 3000;
const EVENTS: usize = 20_000;
/// The fastest of so many rounds counts.
const ROUNDS: usize = 5;

fn main() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    heap(now);
    events(now);
}

/// Prints the bytes that an index grows by for one more of each structure.
fn heap(now: Timestamp) {
    let bytes = |load: Load| {
        let region = Region::new(ALLOCATOR);
        let index = load.index(now);
        let change = region.change();
        drop(index);
        (change.bytes_allocated - change.bytes_deallocated) as f64
    };
    let half = Load { workloads: WORKLOADS / 2, pods: 10, breaks: false };
    let kept = Load { workloads: WORKLOADS, ..half };
    let [half, small, large] = [half, kept, Load { pods: 20, ..kept }].map(bytes);
    let broken = bytes(Load { breaks: true, ..kept });
    let pod = (large - small) / (10 * WORKLOADS) as f64;
    let workload = (small - half) / (WORKLOADS / 2) as f64 - 10.0 * pod;
    let violations = (broken - small) / WORKLOADS as f64;
    println!("heap of the index, in bytes");
    println!("{pod:>8.0}  a pod of a workload that has others alike");
    println!("{workload:>8.0}  a workload: its template, and its first pod's texts");
    println!("{violations:>8.0}  a workload's violations of four policies");
}

/// What an index is filled with: so many workloads of so many pods, which keep the policies, or of which each breaks
/// two rules of four policies.
#[derive(Clone, Copy)]
struct Load {
    workloads: usize,
    pods: usize,
    breaks: bool,
}

impl Load {
    fn index(self, now: Timestamp) -> AuditIndex {
        let mut index = AuditIndex::new(Remembered::default());
        let _ = index.policies(policy_set(), now);
        index.list_begins(Kind::Pod);
        for kind in MAKERS {
            index.list_begins(kind);
        }
        let image = if self.breaks { "ghcr.io/example/checkout:latest" } else { "nginx:1.29" };
        for workload in 0..self.workloads {
            let (namespace, name) = (namespace(workload), format!("w{workload}"));
            let deployment = deployment(workload, image);
            let made = made_pod(Kind::Deployment, &deployment.to_string()).unwrap();
            index.workload(Kind::Deployment, (&namespace, &name), made.as_ref(), now);
            for number in 0..self.pods {
                index.pod(&observed(&pod(workload, number, image, 0)), now);
            }
        }
        for kind in MAKERS {
            index.list_ends(kind, now);
        }
        index.list_ends(Kind::Pod, now);
        publish(&mut index, now);
        index
    }
}

/// Prints the time that a pod's event takes after it was decoded.
fn events(now: Timestamp) {
    let load = Load { workloads: 1000, pods: 10, breaks: false };
    let mut index = load.index(now);
    let image = |event: usize| ["nginx:1.29", "ghcr.io/example/checkout:latest"][event % 2];
    let mut print = |what: &str, pods: &[ObservedPod<false>]| {
        let round = || {
            let started = Instant::now();
            for event in 0..EVENTS {
                index.pod(&pods[event % pods.len()], now);
            }
            let each = started.elapsed().as_secs_f64() * 1e6 / EVENTS as f64;
            publish(&mut index, now);
            each
        };
        let best = std::iter::repeat_with(round).take(ROUNDS).fold(f64::INFINITY, f64::min);
        println!("{best:>8.1}  {what}");
    };
    println!("a pod's event in the index, in µs");
    print("nothing that a rule reads changed", &[observed(&pod(0, 0, image(0), 0))]);
    print(
        "it becomes what another pod was, and back",
        &[0, 1].map(|event| observed(&pod(0, 0, image(event), 0))),
    );
    let fresh: Vec<_> = (0..EVENTS)
        .map(|event| observed(&pod(0, 0, image(event), u32::try_from(event).unwrap())))
        .collect();
    print("it becomes what no pod was", &fresh);
}

/// Takes what the audit publishes at each tick.
fn publish(index: &mut AuditIndex, now: Timestamp) {
    drop(index.take_scores());
    drop(index.take_changes());
    drop(index.take_policies(now));
    drop(index.take_namespaces());
}

fn policy_set() -> Arc<PolicySet> {
    let policies = policies::specs().enumerate().map(|(number, spec)| {
        let spec = serde_json::from_value(spec).unwrap();
        let scope = Scope::Cluster(Selection::default());
        Arc::new(Policy::compile(scope, policies::name(number), &spec).unwrap())
    });
    let known = (0..NAMESPACES).map(|number| (namespace(number), NamespaceMetadata::default()));
    Arc::new(PolicySet::new(policies, Arc::new(known.collect())))
}

fn namespace(workload: usize) -> String {
    format!("load-{}", workload % NAMESPACES)
}

fn template(workload: usize, image: &str) -> Value {
    let mut template = objects::compliant();
    template["metadata"]["labels"]["workload"] = format!("w{workload}").into();
    template["spec"]["containers"][0]["image"] = image.into();
    template
}

fn deployment(workload: usize, image: &str) -> Value {
    json!({
        "metadata": {"name": format!("w{workload}"), "namespace": namespace(workload)},
        "spec": {"replicas": 10, "template": template(workload, image)},
    })
}

fn pod(workload: usize, number: usize, image: &str, restarts: u32) -> Value {
    let mut pod = template(workload, image);
    let name = format!("w{workload}");
    let metadata = &mut pod["metadata"];
    metadata["name"] = format!("{name}-5d4f8c7b9d-{number:05}").into();
    metadata["namespace"] = namespace(workload).into();
    metadata["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    metadata["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "controller": true}]);
    let started = json!([{"name": "checkout", "restartCount": restarts}]);
    pod["status"] = json!({"phase": "Running", "containerStatuses": started});
    pod
}

fn observed(pod: &Value) -> ObservedPod<false> {
    serde_json::from_str(&pod.to_string()).unwrap()
}
