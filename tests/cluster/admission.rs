//! Part of `make test`: verdicts through a real kube-apiserver, a real etcd and
//! the real controllers. One control plane serves all tests, each in its own
//! namespace; each module lists its own.

mod bypass;
mod controllers;
mod demo_application;
mod dry_run;
mod mutation;
mod policies;
mod ratchet;
mod registration;
mod verdicts;

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::suite::{Suite, World};

pub fn suite() -> Suite {
    let cluster = World::new(Cluster::start);
    // The tests mostly wait for the control plane. The longest comes first, and runs in parallel with the others.
    Suite::of(6)
        .sharing(&cluster, controllers::TRIALS)
        .sharing(&cluster, bypass::TRIALS)
        .sharing(&cluster, demo_application::TRIALS)
        .sharing(&cluster, dry_run::TRIALS)
        .sharing(&cluster, mutation::TRIALS)
        .sharing(&cluster, policies::TRIALS)
        .sharing(&cluster, ratchet::TRIALS)
        .sharing(&cluster, registration::TRIALS)
        .sharing(&cluster, verdicts::TRIALS)
        .each(&cluster, verdicts::of_each_kind())
        .each(&cluster, dry_run::of_each_kind())
        .each(&cluster, ratchet::of_each_kind())
        .last(&cluster, verdicts::the_api_server_counts_no_errors_of_the_webhook)
}

/// A policy that denies what breaks these rules.
fn enforce(rules: &Value) -> Value {
    let mut spec = json!({"enforcementMode": "enforce"});
    spec.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
    spec
}
