//! What Leases as a parameter cost the API server: it then watches all of them, those of nodes too.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::client::{Client, LEASES};
use crate::floors;
use crate::process::{cpu_seconds, resident_mib};
use crate::support::control_plane::ControlPlane;
use crate::support::eventually;

const NODES: usize = 5_000;
/// Renewals of all nodes together; 5 000 nodes make 500, which is too much for two cores.
const RENEWALS_PER_SECOND: u32 = 100;
const ROUNDS: usize = 5;
const RENEWALS_PER_ROUND: usize = 1_000;
const CLIENTS: usize = 4;
const NAMESPACE: &str = "kube-node-lease";

/// The measurements of one API server.
struct Cost {
    /// CPU seconds for 1 000 renewals, by round.
    cpu: Vec<f64>,
    resident: f64,
    /// In MiB: what was alive after the last garbage collection.
    alive: f64,
}

/// Runs an API server without and with such a parameter, and prints both.
pub fn run() {
    println!(
        "\nLeases of {NODES} nodes, {RENEWALS_PER_SECOND} renewals a second, {ROUNDS} rounds of {RENEWALS_PER_ROUND}"
    );
    println!(
        "{:<18} {:>22} {:>13} {:>10}",
        "API server", "CPU s a 1000 renewals", "resident MiB", "heap MiB"
    );
    for (name, floored) in [("no parameter", false), ("Lease as parameter", true)] {
        let Cost { mut cpu, resident, alive } = measure(floored);
        cpu.sort_by(f64::total_cmp);
        let range = format!("{:.2} ({:.2}–{:.2})", cpu[ROUNDS / 2], cpu[0], cpu[ROUNDS - 1]);
        println!("{name:<18} {range:>22} {resident:>13.0} {alive:>10.0}");
    }
}

fn measure(floored: bool) -> Cost {
    let plane = ControlPlane::start();
    let kubeconfig = plane.kubeconfig("admin");
    let clients: Vec<_> = (0..CLIENTS).map(|_| Client::new(&kubeconfig)).collect();
    eventually("the namespace of node leases", || {
        match clients[0].get(&format!("/api/v1/namespaces/{NAMESPACE}")) {
            (200, _) => Ok(()),
            (_, other) => Err(other),
        }
    });
    if floored {
        let spec = json!({"enforcementMode": "enforce", "forbidLatestTag": true});
        let [asleep, _] = floors::leases();
        let mut items = vec![asleep];
        items.extend(floors::objects(floors::Floored::Asleep, "default", 1, &spec));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        plane.kubectl(&["create", "-f", "-"]).given(&list).ok();
    }
    let mut leases = create(&clients);
    let pid = plane.api_server_id();
    let rounds = (0..ROUNDS).map(|_| {
        let before = cpu_seconds(pid);
        renew(&clients, &mut leases);
        cpu_seconds(pid) - before
    });
    let cpu = rounds.collect();
    let alive = clients[0].metric("go_memstats_next_gc_bytes") / 2.0 / f64::from(1 << 20);
    Cost { cpu, resident: resident_mib(pid), alive }
}

/// The Leases of all nodes, a list for each client.
fn create(clients: &[Client]) -> Vec<Vec<Value>> {
    let of = |client: &Client, first: usize| -> Vec<Value> {
        let numbers = (first..NODES).step_by(CLIENTS);
        numbers
            .map(|number| {
                let name = format!("ip-10-0-{}-{}.eu-central-1.compute.internal", number / 250, number % 250);
                let lease = json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    // No owner: there are no nodes, so the garbage collector would delete the Lease.
                    "metadata": {"name": name, "namespace": NAMESPACE},
                    "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now()},
                });
                let path = format!("{LEASES}/{NAMESPACE}/leases");
                let (status, answer) = client.create(&path, &lease.to_string());
                assert_eq!(status, 201, "{answer}");
                serde_json::from_str(&answer).unwrap()
            })
            .collect()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .iter()
            .enumerate()
            .map(|(first, client)| scope.spawn(move || of(client, first)))
            .collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

/// Renews some Leases at the rate, as kubelets do: by PUT, with the version of the last answer.
fn renew(clients: &[Client], leases: &mut [Vec<Value>]) {
    let pause = Duration::from_secs(1) * u32::try_from(CLIENTS).unwrap() / RENEWALS_PER_SECOND;
    std::thread::scope(|scope| {
        for (client, own) in clients.iter().zip(leases) {
            scope.spawn(move || {
                let started = Instant::now();
                own.rotate_left(RENEWALS_PER_ROUND / CLIENTS);
                for (number, lease) in own.iter_mut().take(RENEWALS_PER_ROUND / CLIENTS).enumerate()
                {
                    let due = pause * u32::try_from(number).unwrap();
                    std::thread::sleep(due.saturating_sub(started.elapsed()));
                    lease["spec"]["renewTime"] = now();
                    let name = lease["metadata"]["name"].as_str().unwrap();
                    let path = format!("{LEASES}/{NAMESPACE}/leases/{name}");
                    let (status, answer) = client.put(&path, &lease.to_string());
                    assert_eq!(status, 200, "{answer}");
                    *lease = serde_json::from_str(&answer).unwrap();
                }
            });
        }
    });
}

fn now() -> Value {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into()
}
