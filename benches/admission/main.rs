//! `make bench`: the cost of a review, against a null webhook on the same stack.
//!
//! The null webhook is podgate's own server with a handler that reads the body and answers `allowed`. Each set of
//! policies has its own podgate process. The client sends a review that was recorded from a kube-apiserver
//! (`reviews/pod.json`) over several TLS keep-alive connections: first one at a time, as in most clusters, so that each
//! review wakes the server up; then as fast as the server can, so that the work itself dominates. The processes take
//! turns, round by round, so that a slow moment of the machine affects all; ratios are within a round. CPU is the
//! kernel's user and system time of the server process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::fs;
use std::path::Path;

use server::{Ask, Figure, REVIEWS_PER_ROUND, Target, pinned};
use servers::NULL_SERVER;

#[path = "../budgets/budgets.rs"]
mod budgets;
mod server;
#[path = "../servers/servers.rs"]
mod servers;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 15;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    servers::be_null_server_if_asked();
    let dir = tempfile::tempdir().unwrap();
    let certs = dir.path().join("certs");
    let serve = |name: &str, spec: &str, own: usize, foreign: usize| {
        let policies = dir.path().join(name);
        fs::create_dir(&policies).unwrap();
        for number in 0..own + foreign {
            let namespace = if number < own { "default" } else { "elsewhere" };
            let text = policy(&format!("policy-{number}"), namespace, spec);
            fs::write(policies.join(format!("{number}.yaml")), text).unwrap();
        }
        podgate(&policies, &certs)
    };
    let [one, ten, hundred] = [1, 10, 100].map(|own| serve(&format!("{own}"), RULES, own, 0));
    let among = serve("10-of-100", RULES, 10, 90);
    let mutate = serve("mutate", DEFAULTS, 10, 0);
    let validations = serve("validations", VALIDATIONS, 1, 0);
    let null = Target::start(
        pinned(std::env::current_exe().unwrap()).arg(NULL_SERVER).arg(&certs),
        &certs,
    );
    let cases = [
        ("null webhook", &null, allowed()),
        ("allowed by 1", &one, allowed()),
        ("allowed by 10", &ten, allowed()),
        ("allowed by 10 of 100", &among, allowed()),
        ("allowed by 100", &hundred, allowed()),
        ("5 validations", &validations, allowed()),
        ("denied by 1", &one, denied()),
        ("denied by 10", &ten, denied()),
        ("denied by 100", &hundred, denied()),
        ("mutate, nothing", &mutate, unchanged()),
        ("mutate, a limit", &mutate, changed()),
    ];
    let bytes = REVIEW.len();
    println!(
        "{ROUNDS} rounds of {REVIEWS_PER_ROUND} reviews of {bytes} bytes, by so many policies"
    );
    for (clients, load) in [(1, "one review at a time"), (4, "as fast as the server can")] {
        println!("\n{load}");
        let mut figures = vec![Vec::new(); cases.len()];
        for round in 0..=ROUNDS {
            for ((_, server, ask), figures) in cases.iter().zip(&mut figures) {
                let figure = server.drive(clients, ask);
                // The first round warms up.
                if round > 0 {
                    figures.push(figure);
                }
            }
        }
        print_table(&cases.each_ref().map(|(name, ..)| *name), &figures);
    }
}

/// The rules of the policies; the recorded pod passes.
const RULES: &str =
    "forbidLatestTag: true, requireLivenessProbe: true, requireReadinessProbe: true,
  maxRestartCount: 3, forbidPendingDuration: 300";
/// Five ordinary validations; the recorded pod passes.
const VALIDATIONS: &str = r#"validations: [
  {name: a, message: a, expression: "object.spec.containers.all(it, !it.image.endsWith(':latest'))"},
  {name: b, message: b, expression: "object.spec.containers.all(it, it.image.startsWith('ghcr.io/'))"},
  {name: c, message: c, expression: "object.spec.containers.all(it, !it.?securityContext.privileged.orValue(false))"},
  {name: d, message: d, expression: "object.spec.containers.all(it, has(it.resources.limits.memory))"},
  {name: e, message: e, expression: "has(object.metadata.labels) && object.metadata.labels.size() > 0"}]"#;
const DEFAULTS: &str =
    "mutate: true, requireResourceLimits: [memory], defaultResources: {memoryLimit: 1Gi}";

const REVIEW: &str = include_str!("../reviews/pod.json");
const VALIDATE: &str = "/validate";
const MUTATE: &str = "/mutate";

fn allowed() -> Ask {
    Ask { path: VALIDATE, review: REVIEW.to_owned(), expected: "\"allowed\":true" }
}

fn denied() -> Ask {
    let review = without(":3.2.0");
    Ask { path: VALIDATE, review, expected: "\"allowed\":false" }
}

fn unchanged() -> Ask {
    Ask { path: MUTATE, review: REVIEW.to_owned(), expected: "\"allowed\":true}}" }
}

fn changed() -> Ask {
    let review = without(r#""limits":{"memory":"512Mi"},"#);
    Ask { path: MUTATE, review, expected: "\"patchType\":\"JSONPatch\"" }
}

/// The recorded review without this part of it.
fn without(piece: &str) -> String {
    let at = REVIEW.rfind(piece).expect("the piece");
    let mut review = REVIEW.to_owned();
    review.replace_range(at..at + piece.len(), "");
    review
}

fn policy(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: devops.stochastic.io/v1
kind: DevOpsPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{enforcementMode: enforce, {spec}}}
"
    )
}

fn podgate(policies: &Path, certs: &Path) -> Target {
    Target::start(
        pinned(env!("CARGO_BIN_EXE_podgate"))
            .args(["serve", "--standalone", "--listen", "127.0.0.1:0"])
            .args(["--metrics-listen", "127.0.0.1:0", "--policy"])
            .arg(policies)
            .arg("--cert-dir")
            .arg(certs),
        certs,
    )
}

/// The most CPU that a review may cost, divided by that of the null webhook under the same load.
fn budget(name: &str) -> Option<f64> {
    match name {
        "allowed by 10" => Some(1.25),
        "denied by 10" => Some(2.0),
        "5 validations" => Some(2.5),
        _ => None,
    }
}

fn print_table(names: &[&str], figures: &[Vec<Figure>]) {
    println!(
        "{:<20} {:>13} {:>8} {:>8}   CPU ÷ null (min–max)",
        "", "CPU µs/review", "p50 µs", "p99 µs"
    );
    for (name, own) in names.iter().zip(figures) {
        let ratios = own.iter().zip(&figures[0]).map(|(own, null)| own.cpu / null.cpu);
        let median =
            |of: fn(&Figure) -> f64| budgets::median(&own.iter().map(of).collect::<Vec<_>>());
        println!(
            "{name:<20} {:>13.1} {:>8.0} {:>8.0}   {}",
            median(|it| it.cpu),
            median(|it| it.p50),
            median(|it| it.p99),
            budgets::beside(&ratios.collect::<Vec<_>>(), budget(name)),
        );
    }
}
