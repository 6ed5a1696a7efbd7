//! `make bench`: the cost of the audit, on a real kube-apiserver with real pods of about 9 KB: memory, the time to the
//! first full audit against bare LISTs in the same run (paged JSON, decoded; the same, not decoded; protobuf at once,
//! not decoded), `podgate analyze` against `kubectl get pods -A -o json`, and the CPU time of one event of a pod and of
//! a Deployment, each at several numbers of pods, in several rounds. `PODS=1000,10000` sets other numbers. `CHURN=600`
//! measures only memory, while pods are replaced for so many seconds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails loudly is one"
)]

#[path = "../budgets/budgets.rs"]
mod budgets;
mod churn;
#[allow(dead_code, reason = "the other bench uses the rest")]
#[path = "../api_server/objects.rs"]
mod objects;
mod policies;
#[allow(dead_code, reason = "the other bench uses the rest")]
#[path = "../api_server/process.rs"]
mod process;
#[path = "../../tests/support/support.rs"]
mod support;

use std::fmt::Debug;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use podgate::api::ClusterDevOpsPolicy;
use process::memory_mib;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::binary::{self, Podgate};
use support::control_plane::{ControlPlane, text};
use support::{eventually_within, load};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PODS: &str = "0,1000,10000,50000";
const NAMESPACES: usize = 50;
const EVENTS: usize = 1000;
const ROUNDS: usize = 3;
/// With more pods, kubectl takes minutes.
const KUBECTL: usize = 10_000;
const PATIENCE: Duration = Duration::from_mins(5);

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sizes = std::env::var("PODS").unwrap_or_else(|_| PODS.to_owned());
    let sizes: Vec<usize> = sizes.split(',').map(|it| it.parse().unwrap()).collect();
    let plane = ControlPlane::start();
    let kubeconfig = plane.kubeconfig("admin");
    let installed = binary::run(&["crd", "install", "--kubeconfig", kubeconfig.to_str().unwrap()]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(async {
        let client = support::cluster::client(&kubeconfig).await;
        prepare(&client, &sizes).await;
        client
    });
    println!(
        "{} policies for all namespaces, {} pods a workload; half of the workloads break two rules",
        policies::POLICIES,
        load::PODS_OF_A_WORKLOAD
    );
    println!("median of {ROUNDS} rounds, and range; events and lists have the same rounds");
    let mut made = 0;
    let mut empty = None;
    for pods in sizes {
        runtime.block_on(load::pods(&client, NAMESPACES, made..pods, pod));
        made = pods;
        println!("\n{pods} pods");
        if let Some(seconds) = churn::asked() {
            let (podgate, _) = audit(&kubeconfig, pods, 0);
            runtime.block_on(churn::replace(&client, &podgate, 0..pods, seconds));
            return;
        }
        let rounds: Vec<Vec<Figure>> =
            (0..ROUNDS).map(|round| measure(&runtime, &client, &plane, pods, round)).collect();
        for (place, figure) in rounds[0].iter().enumerate() {
            let values: Vec<_> = rounds.iter().map(|round| round[place].value).collect();
            println!("{:<44} {}", figure.name, budgets::beside(&values, figure.budget));
        }
        let resident = rounds[0][0].value;
        let each = (resident - *empty.get_or_insert(resident)) * 1024.0 * 1024.0 / pods as f64;
        if each.is_finite() {
            println!("{:<44} {each:.0}", "resident bytes a pod, of the first round");
        }
    }
}

/// The pod of a workload; those of every second workload violate.
fn pod(workload: usize) -> Value {
    let mut pod = objects::compliant();
    if workload % 2 == 1 {
        pod["spec"]["containers"][0]["image"] = "ghcr.io/example/checkout:latest".into();
    }
    pod
}

/// Starts podgate's audit, and waits for its first full picture, which took so many seconds.
fn audit(kubeconfig: &Path, pods: usize, round: usize) -> (Podgate, f64) {
    let mut podgate = binary::as_in_the_chart();
    podgate
        .arg("reconcile")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--lease-namespace", &lease_namespace(pods, round)])
        .args(["--metrics-listen", "127.0.0.1:0"])
        .stdout(Stdio::null());
    let podgate = Podgate::start_by(podgate, "serving");
    let (audited, _) = eventually_within(PATIENCE, "a full audit", || {
        podgate.logged("every pod is audited").ok_or_else(|| "not yet".to_owned())
    });
    (podgate, audited["seconds"].as_f64().unwrap())
}

struct Figure {
    name: &'static str,
    value: f64,
    budget: Option<f64>,
}

/// The figures of a round. The first is the resident memory.
fn measure(
    runtime: &tokio::runtime::Runtime,
    client: &Client,
    plane: &ControlPlane,
    pods: usize,
    round: usize,
) -> Vec<Figure> {
    let kubeconfig = plane.kubeconfig("admin");
    // Lists before and after, so that a slow moment of the machine affects both.
    let before = runtime.block_on(list(client));
    let raw_list = runtime.block_on(raw_list(client));
    let protobuf_list = runtime.block_on(protobuf_list(client));
    let (analyze, analyze_peak) = analyze(&kubeconfig);
    let (podgate, picture) = audit(&kubeconfig, pods, round);
    let list = before.midpoint(runtime.block_on(list(client)));
    eventually_within(PATIENCE, "every status", || {
        let reconciled = podgate.metric("devopspolicy_reconcile_total").unwrap_or(0.0);
        if reconciled >= policies::POLICIES as f64 { Ok(()) } else { Err(reconciled.to_string()) }
    });
    let counted = podgate.metric("podgate_audit_pods");
    assert_eq!(counted, Some(pods as f64));
    let figure = |name, value, budget| Figure { name, value, budget };
    let of = |sizes: [usize; 3], budgets: [f64; 3]| {
        sizes.iter().position(|it| *it == pods).map(|place| budgets[place])
    };
    let ten_thousand = |budget| (pods == 10_000).then_some(budget);
    let budget = of([0, 10_000, 50_000], [15.0, 25.0, 45.0]);
    let mut figures = vec![
        figure("resident, MiB", memory_mib(podgate.id(), "VmRSS:").unwrap(), budget),
        figure("  of it, pages of the binary", memory_mib(podgate.id(), "RssFile:").unwrap(), None),
        figure("peak, MiB", memory_mib(podgate.id(), "VmHWM:").unwrap(), None),
    ];
    if pods == 0 {
        return figures;
    }
    figures.extend([
        figure("first full picture, s", picture, None),
        figure("  ÷ JSON LIST, decoded", picture / list, ten_thousand(0.5)),
        figure("  ÷ JSON LIST, not decoded", picture / raw_list, ten_thousand(0.5)),
        figure("  ÷ protobuf LIST, not decoded", picture / protobuf_list, None),
        figure("JSON LIST, not decoded, s", raw_list, None),
        figure("protobuf LIST, not decoded, s", protobuf_list, None),
        figure("podgate analyze, s", analyze, ten_thousand(1.2)),
        figure("podgate analyze, peak MiB", analyze_peak, ten_thousand(40.0)),
    ]);
    if pods <= KUBECTL {
        let kubectl = timed(|| {
            plane.kubectl(&["get", "pods", "--all-namespaces", "--output=json"]).ok();
        });
        figures.push(figure("kubectl get pods -A -o json, s", kubectl, None));
    }
    let image =
        |image: &str| json!({"spec": {"containers": [{"name": container(), "image": image}]}});
    let pod_event = cost_of_an_event::<Pod>(client, &podgate, "p0", "pod_events_total", image);
    let pod_event = runtime.block_on(pod_event) * 1e6;
    let workload_event = cost_of_an_event::<Deployment>(
        client,
        &podgate,
        "w0",
        "podgate_workload_events_total",
        |tag| json!({"spec": {"template": image(tag)}}),
    );
    let workload_event = runtime.block_on(workload_event) * 1e6;
    figures.push(figure("a pod's event, CPU µs", pod_event, Some(100.0)));
    figures.push(figure("a Deployment's event, CPU µs", workload_event, None));
    figures
}

/// The Lease of each process is in a namespace of its own, so that none waits for another's to expire.
fn lease_namespace(pods: usize, round: usize) -> String {
    format!("bench-{pods}-{round}")
}

/// The seconds and the peak memory in MiB of `podgate analyze`.
fn analyze(kubeconfig: &Path) -> (f64, f64) {
    let started = Instant::now();
    let mut child = binary::as_in_the_chart()
        .args(["analyze", "-o", "json", "--fail-on", "never", "--kubeconfig"])
        .arg(kubeconfig)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0.0;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "podgate analyze ended with {status}");
            return (started.elapsed().as_secs_f64(), peak);
        }
        // A process that has just ended has no memory.
        peak = memory_mib(child.id(), "VmHWM:").unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Changes the image of a pod or template repeatedly, to one that violates a rule and back; returns the CPU seconds of
/// one change. `metric` counts the changes that podgate has seen.
async fn cost_of_an_event<K>(
    client: &Client,
    podgate: &Podgate,
    name: &str,
    metric: &str,
    patch: impl Fn(&str) -> Value,
) -> f64
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), "load-0");
    let seen = || podgate.metric(metric).unwrap_or(0.0);
    let (events, cpu) = (seen(), cpu_seconds(podgate));
    for change in 0..EVENTS {
        let tag = if change % 2 == 0 { "latest" } else { "1.0" };
        let patch = patch(&format!("ghcr.io/example/checkout:{tag}"));
        api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    }
    let all = events + EVENTS as f64;
    eventually_within(PATIENCE, "every event", || {
        if seen() >= all { Ok(()) } else { Err(seen().to_string()) }
    });
    (cpu_seconds(podgate) - cpu) / EVENTS as f64
}

fn container() -> String {
    objects::compliant()["spec"]["containers"][0]["name"].as_str().unwrap().to_owned()
}

/// User and system time, in hundredths of a second, the kernel's unit.
fn cpu_seconds(podgate: &Podgate) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", podgate.id())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// Lists all pods in pages and decodes them.
async fn list(client: &Client) -> f64 {
    let api: Api<Pod> = Api::all(client.clone());
    let started = Instant::now();
    let mut params = ListParams::default().limit(500);
    loop {
        let page = api.list(&params).await.unwrap();
        match page.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return started.elapsed().as_secs_f64(),
        }
    }
}

/// The same, but decodes only the end of each page.
async fn raw_list(client: &Client) -> f64 {
    let started = Instant::now();
    let mut continued = String::new();
    loop {
        let uri = format!("/api/v1/pods?limit=500&continue={continued}");
        let request = axum::http::Request::get(uri).body(Vec::new()).unwrap();
        let page = client.request_text(request).await.unwrap();
        let token = page.split_once("\"continue\":\"").and_then(|(_, rest)| rest.split_once('"'));
        match token.map(|(token, _)| token.to_owned()).filter(|it| !it.is_empty()) {
            Some(token) => continued = token,
            None => return started.elapsed().as_secs_f64(),
        }
    }
}

/// Reads all pods as protobuf, at once, and decodes nothing.
async fn protobuf_list(client: &Client) -> f64 {
    let request = axum::http::Request::get("/api/v1/pods");
    let request = request.header("Accept", "application/vnd.kubernetes.protobuf");
    let started = Instant::now();
    let answer = client.send(request.body(Vec::new().into()).unwrap()).await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.into_body().collect().await.unwrap();
    started.elapsed().as_secs_f64()
}

fn timed(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64()
}

async fn prepare(client: &Client, sizes: &[usize]) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for (pods, round) in sizes.iter().flat_map(|pods| (0..ROUNDS).map(move |it| (*pods, it))) {
        let name = lease_namespace(pods, round);
        let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        namespaces.create(&PostParams::default(), &object).await.unwrap();
    }
    load::namespaces(client, NAMESPACES).await;
    let api: Api<ClusterDevOpsPolicy> = Api::all(client.clone());
    for (number, spec) in policies::specs().enumerate() {
        let policy = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "ClusterDevOpsPolicy",
            "metadata": {"name": policies::name(number)}, "spec": spec,
        });
        let policy = serde_json::from_value(policy).unwrap();
        api.create(&PostParams::default(), &policy).await.unwrap();
    }
}
