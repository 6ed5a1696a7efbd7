//! Part of `make test-chart`: podgate installed by Helm from its chart, in a real control plane whose nodes run the
//! real binary. `cargo test --test chart` runs it; plain `cargo test` does not. It makes a network of its own
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

use support::suite::{self, Renewed, Suite};
use world::World;

/// The number of log lines that are printed for each pod when a trial fails.
const LOG_LINES: usize = 40;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if !arguments.list
        && let Some(ended) = netns::enter()
    {
        return ended;
    }
    suite::run(&arguments, &[("chart", suite)])
}

/// All trials, the most important first. `make soak` also runs the long ones.
fn suite() -> Suite {
    let world = Renewed::new(World::start, |world| world.kubelet.print_logs(LOG_LINES));
    Suite::in_order()
        .renewing(&world, harness::TRIALS)
        .renewing(&world, install::TRIALS)
        .renewing(&world, rollout::TRIALS)
        .long(|it| it.renewing(&world, rollout::LONG))
        .renewing(&world, beat::TRIALS)
        .renewing(&world, outage::TRIALS)
        .renewing(&world, floor::TRIALS)
        .long(|it| it.renewing(&world, floor::LONG))
        .renewing(&world, certificates::TRIALS)
        .renewing(&world, permissions::TRIALS)
        .long(|it| it.renewing(&world, permissions::LONG))
        .renewing(&world, remediation::TRIALS)
        // It comes last because its thousand namespaces take long to delete.
        .renewing(&world, prometheus::TRIALS)
}
