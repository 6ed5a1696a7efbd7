//! Connections and bytes that compete with the API server's reviews: each flood against a server without a cluster, and
//! with a kube-apiserver as the victim. The floods come from another loopback address than the victim's calls.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{Podgate, Standalone, as_in_the_chart};
use crate::support::cluster::{Cluster, Namespace};
use crate::support::flood::{Attack, Flood};
use crate::support::manifests::{pod, probed_pod, workload};
use crate::support::suite::{Alone, trials};
use crate::support::wire::{Run, Write};
use crate::support::{eventually, raw, review};

pub const ALONE: Alone = trials![
    silent_connections_keep_no_review_out,
    half_open_handshakes_keep_no_review_out,
    handshakes_without_a_request_keep_no_review_out,
    incomplete_headers_keep_no_review_out,
    connections_that_are_idle_after_healthz_keep_no_review_out,
    announced_bodies_keep_no_review_out,
    slow_bodies_keep_no_review_out,
    large_bodies_that_do_not_end_keep_no_review_out_and_a_large_one_gets_its_turn,
    large_bodies_keep_no_review_out_and_another_one_gets_its_turn,
    reviews_at_full_speed_keep_no_review_out,
    requests_for_healthz_at_full_speed_keep_no_review_out,
    rubbish_at_full_speed_keeps_no_review_out,
    many_addresses_at_once_keep_no_known_api_server_out,
    no_flood_gets_a_violating_pod_past_a_kube_apiserver_nor_a_compliant_one_refused,
    no_flood_that_began_before_podgate_gets_a_violating_pod_past_nor_a_compliant_one_refused,
];

/// The source address of floods; the victims call from 127.0.0.1.
const FLOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The chart's memory limit, in KiB.
const MAX_MEMORY: u64 = 128 * 1024;
/// The least duration of a victim's calls, and their least number.
const SPELL: Duration = Duration::from_secs(1);
const CALLS: usize = 20;
/// The most lines in a second that tell of reviews that could not be judged.
const LINES: u64 = 10;

fn policy() -> Value {
    json!({"enforcementMode": "enforce", "forbidLatestTag": true})
}

/// Waits until a flood has all the connections that it gets.
fn arrived(flood: &Flood, attack: Attack) {
    let enough = if attack.clients() > 1000 { 1000 } else { attack.clients() };
    eventually("the flood", || match flood.connected() {
        connected if connected >= enough => Ok(()),
        connected => Err(format!("{connected} connected")),
    });
}

/// The percentiles of the durations.
fn describe(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    format!("{} calls, p50 {half:?}, p99 {most:?}", took.len())
}

fn silent_connections_keep_no_review_out() {
    floods(Attack::Connects);
}

fn half_open_handshakes_keep_no_review_out() {
    floods(Attack::HalfOpen);
}

fn handshakes_without_a_request_keep_no_review_out() {
    floods(Attack::Handshakes);
}

fn incomplete_headers_keep_no_review_out() {
    floods(Attack::HalfHeads);
}

fn connections_that_are_idle_after_healthz_keep_no_review_out() {
    floods(Attack::IdleAfterHealth);
}

fn announced_bodies_keep_no_review_out() {
    floods(Attack::HeadersOnly);
}

fn slow_bodies_keep_no_review_out() {
    floods(Attack::SlowBodies);
}

fn large_bodies_that_do_not_end_keep_no_review_out_and_a_large_one_gets_its_turn() {
    floods(Attack::LargeBodiesWithoutEnd);
}

fn large_bodies_keep_no_review_out_and_another_one_gets_its_turn() {
    floods(Attack::LargeBodies);
}

fn reviews_at_full_speed_keep_no_review_out() {
    floods(Attack::Reviews);
}

fn requests_for_healthz_at_full_speed_keep_no_review_out() {
    floods(Attack::Health);
}

fn rubbish_at_full_speed_keeps_no_review_out() {
    floods(Attack::Rubbish);
}

/// Floods a server without a cluster, which must keep answering other clients.
fn floods(attack: Attack) {
    let spec = policy().to_string();
    let server = Standalone::with(&format!(
        "apiVersion: devops.stochastic.io/v1\nkind: DevOpsPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
    ));
    let flooded = Instant::now();
    let flood = Flood::begin(attack, &[FLOOD], &server.podgate.listen, &server.certs());
    arrived(&flood, attack);
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < SPELL || took.len() < CALLS {
        for (image, allowed) in [("nginx", false), ("nginx:1.29", true)] {
            let review = review::create("shop", &workload(Kind::Pod, probed_pod(image)));
            let sent = Instant::now();
            // One call after another on the same connection, and one on a new connection.
            let path = "/validate?timeout=30s";
            let body = review.to_string();
            let kept = server.podgate.post_to(path, "application/json", body.as_bytes());
            let fresh = raw::post(&mut server.connect(), path, &body);
            took.push(sent.elapsed() / 2);
            let verdict = format!("\"allowed\":{allowed}");
            assert!(kept.0 == 200 && kept.1.contains(&verdict), "{attack:?}: {kept:?}");
            assert!(fresh.starts_with("HTTP/1.1 200"), "{attack:?}: {fresh}");
            assert!(fresh.contains(&verdict), "{attack:?}: {fresh}");
        }
        assert_eq!(server.podgate.get("/healthz"), (200, "ok\n".to_owned()), "the kubelet's probe");
    }
    if matches!(attack, Attack::LargeBodies | Attack::LargeBodiesWithoutEnd) {
        a_large_review_gets_its_turn(&server);
    }
    let (connected, peak) = (flood.connected(), server.podgate.peak_memory());
    println!("{attack:?}: {connected} connections; {}; VmHWM {peak} KiB", describe(took));
    assert!(peak < MAX_MEMORY, "{attack:?}: {peak} KiB");
    let lines = server.podgate.count_logged("a review could not be judged");
    let most = LINES * (2 + flooded.elapsed().as_secs());
    assert!(lines as u64 <= most, "{attack:?}: {lines} lines in the log");
}

fn a_large_review_gets_its_turn(server: &Standalone) {
    let mut object = workload(Kind::Pod, pod("nginx"));
    object["metadata"]["annotations"] = json!({"notes": "x".repeat(19 * 1024 * 1024)});
    let body = review::create("shop", &object).to_string();
    let sent = Instant::now();
    // On a loaded machine, a review may be shed while its body arrives slowly; the API server would retry, too.
    eventually("a large review to be answered", || {
        let path = "/validate?timeout=30s";
        match server.podgate.try_post_to(path, "application/json", body.as_bytes()) {
            Ok((200, answer)) => {
                assert!(answer.contains("\"allowed\":false"), "{answer}");
                Ok(())
            }
            Ok((429 | 408, answer)) => Err(answer),
            Ok(other) => panic!("{other:?}"),
            // podgate closed the connection before the whole body arrived, as it does with slow clients.
            Err(error) => Err(error.to_string()),
        }
    });
    println!("a review of 19 MiB took {:?}", sent.elapsed());
}

/// An API server that creates pods, each of which must get the right verdict.
struct Victim<'c> {
    shop: Namespace<'c>,
    number: Mutex<usize>,
}

impl<'c> Victim<'c> {
    fn of(cluster: &'c Cluster) -> Self {
        let shop = cluster.namespace("shop");
        shop.policy("baseline", &policy());
        Self { shop, number: Mutex::new(0) }
    }

    /// Creates pods for a while; returns the durations and the wrong verdicts.
    fn creates(&self) -> (Vec<Duration>, Vec<String>) {
        let (took, wrong) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while began.elapsed() < SPELL || took.lock().unwrap().len() < CALLS {
                        self.create(&took, &wrong);
                    }
                });
            }
        });
        (took.into_inner().unwrap(), wrong.into_inner().unwrap())
    }

    fn create(&self, took: &Mutex<Vec<Duration>>, wrong: &Mutex<Vec<String>>) {
        let number = {
            let mut number = self.number.lock().unwrap();
            *number += 1;
            *number
        };
        let good = number % 2 == 0;
        let mut object = workload(Kind::Pod, probed_pod(if good { "nginx:1.29" } else { "nginx" }));
        object["metadata"]["name"] = json!(format!("pod-{number}"));
        let sent = Instant::now();
        let reply = self.shop.write(Run::Real, Write::Post, Kind::Pod, "", &object);
        took.lock().unwrap().push(sent.elapsed());
        let denied = reply.code == 403 && reply.message().contains("forbidLatestTag");
        if reply.admitted() != good || (!good && !denied) {
            let words = format!("{} {}", reply.code, reply.message());
            wrong.lock().unwrap().push(format!("{}: {words}", if good { "good" } else { "bad" }));
        }
    }
}

/// Reports the failures of all floods together, with what the API server says of its calls.
fn none(wrong: &[String], cluster: &Cluster) {
    let calls = || cluster.plane.failed_calls().join("\n");
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), calls());
}

fn no_flood_gets_a_violating_pod_past_a_kube_apiserver_nor_a_compliant_one_refused() {
    let cluster = Cluster::start();
    let victim = Victim::of(&cluster);
    let certs = cluster.plane.kubeconfig("admin").with_file_name("podgate-certs");
    let mut wrong = Vec::new();
    for failure_policy in ["Ignore", "Fail"] {
        cluster.set_failure_policy(failure_policy, 10);
        for attack in Attack::ALL {
            let flood = Flood::begin(attack, &[FLOOD], &cluster.podgate.listen, &certs);
            arrived(&flood, attack);
            let (took, faults) = victim.creates();
            let peak = cluster.podgate.peak_memory();
            println!("{failure_policy}, {attack:?}: {}; VmHWM {peak} KiB", describe(took));
            wrong.extend(faults.iter().map(|it| format!("{failure_policy}, {attack:?}: {it}")));
        }
    }
    none(&wrong, &cluster);
    let peak = cluster.podgate.peak_memory();
    assert!(peak < MAX_MEMORY, "{peak} KiB");
}

/// A podgate on the port of one that was killed. It registers nothing, so it knows no API server.
fn again(cluster: &Cluster, certs: &Path) -> Podgate {
    let mut podgate = as_in_the_chart();
    podgate.args(["serve", "--listen", &cluster.podgate.listen, "--metrics-listen", "127.0.0.1:0"]);
    podgate.args(["--kubeconfig", cluster.plane.kubeconfig("admin").to_str().unwrap()]);
    podgate.arg("--cert-dir").arg(certs);
    Podgate::start_by(podgate, "serving")
}

fn no_flood_that_began_before_podgate_gets_a_violating_pod_past_nor_a_compliant_one_refused() {
    let mut cluster = Cluster::start();
    cluster.set_failure_policy("Ignore", 10);
    let certs = cluster.plane.kubeconfig("admin").with_file_name("podgate-certs");
    let mut wrong = Vec::new();
    for attack in Attack::ALL {
        cluster.podgate.signal("KILL");
        cluster.podgate.ended();
        let flood = Flood::begin(attack, &[FLOOD], &cluster.podgate.listen, &certs);
        cluster.podgate = again(&cluster, &certs);
        let victim = Victim { shop: cluster.namespace("shop"), number: Mutex::new(0) };
        let object = json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": "baseline"}, "spec": policy(),
        });
        let (applied, text) = victim.shop.kubectl(&["apply", "-f", "-"]).given(&object).output();
        assert!(applied, "{text}");
        in_force(&victim.shop);
        arrived(&flood, attack);
        let (took, faults) = victim.creates();
        let peak = cluster.podgate.peak_memory();
        println!("{attack:?}, begun before: {}; VmHWM {peak} KiB", describe(took));
        wrong.extend(faults.iter().map(|it| format!("{attack:?}: {it}")));
        if peak >= MAX_MEMORY {
            wrong.push(format!("{attack:?}: {peak} KiB"));
        }
    }
    none(&wrong, &cluster);
}

/// Waits until a policy of a namespace is in force at the API server.
fn in_force(shop: &Namespace<'_>) {
    let bad = workload(Kind::Pod, probed_pod("nginx"));
    eventually("the policy to be in force", || {
        let reply = shop.write(Run::Dry, Write::Post, Kind::Pod, "", &bad);
        if reply.admitted() { Err("admitted".to_owned()) } else { Ok(()) }
    });
}

/// A thousand addresses, each with as many connections as one address may have.
fn many_addresses_at_once_keep_no_known_api_server_out() {
    let cluster = Cluster::start();
    let victim = Victim::of(&cluster);
    cluster.set_failure_policy("Ignore", 10);
    let certs = cluster.plane.kubeconfig("admin").with_file_name("podgate-certs");
    let addresses: Vec<_> = (0..1200_u32).map(|it| Ipv4Addr::from(0x7f01_0000 + it + 1)).collect();
    let mut wrong = Vec::new();
    for attack in Attack::ALL {
        eventually("podgate to know the API server", || {
            match cluster.podgate.metric("podgate_known_callers") {
                Some(known) if known > 0.0 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        let flood = Flood::begin(attack, &addresses, &cluster.podgate.listen, &certs);
        arrived(&flood, attack);
        let (took, faults) = victim.creates();
        println!("{attack:?}, from many: {}", describe(took));
        wrong.extend(faults.iter().map(|it| format!("{attack:?}: {it}")));
    }
    none(&wrong, &cluster);
}
