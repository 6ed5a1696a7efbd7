//! `make bench`: what admission adds to a write through a real kube-apiserver.
//!
//! The benchmark creates the same compliant objects by dry run, in a namespace for each variant: without webhooks, with
//! a null webhook on podgate's own server, with podgate, with the same rules in CEL inside the API server, and with a
//! floor, asleep and awake. CPU is that of the API server. The variants take short turns, so that a slow moment of the machine affects all; comparisons are within a round. Client,
//! API server, etcd and webhooks share the machine's cores, unlike in a cluster: read the ratios.
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
mod check;
mod client;
mod expressions;
mod figures;
mod floors;
mod leases;
mod objects;
mod process;
#[path = "../servers/servers.rs"]
mod servers;
#[path = "../../tests/support/support.rs"]
mod support;
mod variants;

use std::process::Command;
use std::time::Instant;

use client::Client;
use figures::Lane;
use podgate::policy::workload::Kind;
use process::cpu_seconds;
use serde_json::json;
use servers::{NULL_SERVER, Server};
use support::binary;
use support::control_plane::{ControlPlane, text};
use variants::{Endpoints, VARIANTS};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Enough for a p99 of all rounds, and of each round.
const ROUNDS: usize = 10;
const TURNS_PER_ROUND: usize = 10;
/// About a tenth of a second, so that other load on the machine affects all variants.
const REQUESTS_PER_TURN: usize = 24;
const CLIENTS: [usize; 2] = [1, 4];

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    servers::be_null_server_if_asked();
    let plane = ControlPlane::start();
    let kubeconfig = plane.kubeconfig("admin");
    let installed =
        binary::command().args(["crd", "install", "--kubeconfig"]).arg(&kubeconfig).output();
    let installed = installed.unwrap();
    assert!(installed.status.success(), "{}", text(&installed.stderr));

    let certs = kubeconfig.with_file_name("podgate-certs");
    let podgate = Server::start(
        binary::command()
            .args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .arg("--cert-dir")
            .arg(&certs),
    );
    let null =
        Server::start(Command::new(std::env::current_exe().unwrap()).arg(NULL_SERVER).arg(&certs));
    let ca_pem = std::fs::read_to_string(certs.join("ca.crt")).unwrap();
    let endpoints =
        Endpoints { null: null.listen.clone(), podgate: podgate.listen.clone(), ca_pem };
    let mut items = floors::leases().to_vec();
    items.extend(VARIANTS.iter().flat_map(|it| it.objects(&endpoints)));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    plane.kubectl(&["create", "-f", "-"]).given(&list).ok();
    floors::beat(&kubeconfig);

    let clients: Vec<_> =
        (0..*CLIENTS.iter().max().unwrap()).map(|_| Client::new(&kubeconfig)).collect();
    for variant in &VARIANTS {
        check::decides(variant, &clients[0]);
    }
    println!(
        "{ROUNDS} rounds of {} dry-run creations for each line",
        TURNS_PER_ROUND * REQUESTS_PER_TURN
    );
    for count in CLIENTS {
        for kind in [Kind::Deployment, Kind::Pod] {
            measure(kind, &clients[..count], plane.api_server_id());
        }
    }
    drop(plane);
    leases::run();
}

/// Runs the variants in turns with one kind, and prints the results. `api_server` is its process.
fn measure(kind: Kind, clients: &[Client], api_server: u32) {
    let own = VARIANTS.iter().filter(|it| it.kinds().contains(&kind));
    let mut lanes: Vec<_> = own.map(|it| Lane::new(it, kind)).collect();
    for lane in &mut lanes {
        // A warm-up round.
        for _ in 0..TURNS_PER_ROUND {
            drive(clients, lane);
        }
        lane.start(&clients[0]);
    }
    for _ in 0..ROUNDS {
        for lane in &mut lanes {
            lane.rounds.push(Vec::new());
        }
        for _ in 0..TURNS_PER_ROUND {
            for lane in &mut lanes {
                let before = cpu_seconds(api_server);
                let times = drive(clients, lane);
                lane.cpu += (cpu_seconds(api_server) - before) * 1e3;
                lane.rounds.last_mut().unwrap().extend(times);
            }
        }
    }
    let plural = if clients.len() == 1 { "" } else { "s" };
    println!("\n{kind:?}, {} client{plural}", clients.len());
    figures::print(&lanes, &clients[0]);
}

/// One turn: the milliseconds of each request.
fn drive(clients: &[Client], lane: &Lane) -> Vec<f64> {
    let each = REQUESTS_PER_TURN / clients.len();
    std::thread::scope(|scope| {
        let requests = |client: &Client| {
            let turns = (0..each).map(|_| {
                let started = Instant::now();
                let (status, answer) = client.create(&lane.path, &lane.body);
                let took = started.elapsed();
                assert_eq!(status, 201, "{}: {answer}", lane.variant.name);
                took.as_secs_f64() * 1e3
            });
            turns.collect::<Vec<_>>()
        };
        let threads: Vec<_> =
            clients.iter().map(|client| scope.spawn(move || requests(client))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}
