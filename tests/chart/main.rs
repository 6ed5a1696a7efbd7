//! Part of `make test-chart`: podgate as its chart installs it, by Helm, into a real control plane whose nodes run the
//! real binary. `cargo test --test chart` runs it; plain `cargo test` does not. It makes a network of its own
//! (`netns`), in which one control plane serves the tests, one after the other; a test that fails leaves the next a new
//! one. Each cleans up by uninstalling. Times are printed, never asserted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod beat;
mod certificates;
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
#[path = "../support/mod.rs"]
mod support;
mod trust;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use support::control_plane::seconds;
use world::World;

/// A test: what it shows, and how.
type Test = (&'static str, fn(&World));

/// All tests, the ones that show most first.
const SUITES: &[(&str, &[Test])] = &[
    ("harness", harness::TESTS),
    ("install", install::TESTS),
    ("rollout", rollout::TESTS),
    ("beat", beat::TESTS),
    ("outage", outage::TESTS),
    ("certificates", certificates::TESTS),
    ("permissions", permissions::TESTS),
    ("remediation", remediation::TESTS),
    // Nobody waits until its thousand namespaces are gone.
    ("prometheus", prometheus::TESTS),
];

/// What takes longer than a change should wait for: `make soak` runs them too.
const LONG: &[&str] = &[
    "rollouts_lose_no_review_while_endpoints_are_a_second_late",
    "rollouts_lose_no_review_while_endpoints_are_three_seconds_late",
    "each_rule_of_the_roles_is_needed",
];

/// How much of each pod's log is printed when a test fails.
const LOG_LINES: usize = 40;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if !arguments.list
        && let Some(ended) = netns::enter()
    {
        return ended;
    }
    arguments.test_threads = Some(1);
    let world = Arc::new(Mutex::new(None));
    let trials =
        SUITES.iter().flat_map(|(suite, tests)| tests.iter().map(move |test| (suite, test)));
    let trials = trials.map(|(suite, (name, run))| {
        let (world, name, run) = (Arc::clone(&world), format!("{suite}::{name}"), *run);
        let long = LONG.iter().any(|it| name.ends_with(it));
        Trial::test(name.clone(), move || in_world(&world, &name, run)).with_ignored_flag(long)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    world.lock().unwrap().take();
    conclusion.exit_code()
}

/// Runs a test in the world that the last one left, or in a new one.
fn in_world(world: &Mutex<Option<World>>, name: &str, run: fn(&World)) -> Result<(), Failed> {
    let mut slot = world.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let there = slot.take().unwrap_or_else(World::start);
    println!("== {name}");
    let started = Instant::now();
    if catch_unwind(AssertUnwindSafe(|| run(&there))).is_err() {
        there.kubelet.print_logs(LOG_LINES);
        return Err("its panic is above, with the pods' logs".into());
    }
    println!("   took {}", seconds(started.elapsed()));
    *slot = Some(there);
    Ok(())
}
