//! Part of `make test`: verdicts through a real kube-apiserver, a real etcd and
//! the real controllers. One control plane serves all tests, each in its own
//! namespace; each module lists its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod bypass;
mod controllers;
mod demo_application;
mod dry_run;
mod mutation;
mod policies;
mod ratchet;
mod registration;
#[path = "../support/mod.rs"]
mod support;
mod verdicts;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use support::cluster::Cluster;

/// A test: what it shows, and how.
type Test = (&'static str, fn(&Cluster));

/// How many run at a time, unless the command line says: they mostly wait for the control plane.
const THREADS: usize = 6;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    // Started by the first test that runs, ended by the drop below.
    let cluster = Arc::new(OnceLock::new());
    let trial = |name: String, run: Box<dyn FnOnce(&Cluster) + Send>| {
        let cluster = Arc::clone(&cluster);
        Trial::test(name, move || {
            let started = cluster.get_or_init(|| std::panic::catch_unwind(Cluster::start).ok());
            run(started.as_ref().ok_or("the cluster did not start; its panic is above")?);
            Ok(())
        })
    };
    let mut trials = Vec::new();
    for (name, run) in listed() {
        trials.push(trial(name.to_owned(), Box::new(run)));
    }
    for (name, run) in verdicts::of_each_kind() {
        trials.push(trial(name, Box::new(run)));
    }
    for (name, run) in dry_run::of_each_kind() {
        trials.push(trial(name, Box::new(run)));
    }
    for (name, run) in ratchet::of_each_kind() {
        trials.push(trial(name, Box::new(run)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(Some(cluster)) = cluster.get() {
        let counted = AssertUnwindSafe(|| verdicts::no_errors(cluster));
        if std::panic::catch_unwind(counted).is_err() {
            eprintln!("the API server counts errors of the webhook; the panic is above");
            return ExitCode::FAILURE;
        }
    }
    drop(cluster);
    conclusion.exit_code()
}

/// The tests of all modules. The longest comes first, and runs beside the others.
fn listed() -> Vec<Test> {
    [
        controllers::TESTS,
        bypass::TESTS,
        demo_application::TESTS,
        dry_run::TESTS,
        mutation::TESTS,
        policies::TESTS,
        ratchet::TESTS,
        registration::TESTS,
        verdicts::TESTS,
    ]
    .concat()
}

/// A policy that denies what breaks these rules.
fn enforce(rules: &Value) -> Value {
    let mut spec = json!({"enforcementMode": "enforce"});
    spec.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    spec
}
