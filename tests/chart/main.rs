//! Part of `make test-chart`: podgate installed by Helm from its chart, in a real control plane whose nodes run the
//! real binary. `cargo test --test chart` runs it; plain `cargo test` does not. Each suite makes a network of its own
//! (`netns`), in which one control plane serves the tests, one after the other; after a failed test, the next one gets
//! a new one. Each cleans up by uninstalling. Times are printed, never asserted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod beat;
mod certificates;
mod floor;
mod harness;
mod helm;
mod install;
mod kubelet;
mod load;
mod netns;
mod outage;
mod permissions;
mod prometheus;
mod provoke;
mod release;
mod remediation;
mod rollout;
#[path = "../support/support.rs"]
mod support;
mod trust;
mod world;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use support::suite::{self, Named, Renewed, Suite, Trials};
use world::World;

/// The number of log lines that are printed for each pod when a trial fails.
const LOG_LINES: usize = 40;

/// Each has its own world, and those that take long come first. `make soak` also runs the long trials.
const SUITES: &[Named] = &[
    ("certificates", || one_world(certificates::TRIALS, &[])),
    ("install", || one_world(install::TRIALS, &[])),
    ("floor", || one_world(floor::TRIALS, floor::LONG)),
    ("prometheus", || one_world(prometheus::TRIALS, &[])),
    ("rollout", || one_world(rollout::TRIALS, rollout::LONG)),
    ("beat", || one_world(beat::TRIALS, &[])),
    ("outage", || one_world(outage::TRIALS, &[])),
    ("permissions", || one_world(permissions::TRIALS, permissions::LONG)),
    ("harness", || one_world(harness::TRIALS, &[])),
    ("remediation", || one_world(remediation::TRIALS, &[])),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Some(ended) = suite::run_each(&arguments, SUITES) {
        return ended;
    }
    if !arguments.list
        && let Some(ended) = netns::enter()
    {
        return ended;
    }
    suite::run(&arguments, SUITES)
}

fn one_world(trials: Trials<World>, long: Trials<World>) -> Suite {
    let world = Renewed::new(World::start, |world| world.kubelet.print_logs(LOG_LINES));
    Suite::in_order().renewing(&world, trials).long(|it| it.renewing(&world, long))
}
