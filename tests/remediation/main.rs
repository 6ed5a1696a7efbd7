//! Part of `make test`: repairs of what runs, on a real API server with the real controllers; the suite plays the
//! kubelet. One control plane and one `podgate reconcile` serve most tests, each in its own namespace; those that kill
//! the leader have their own. What took how long is printed, never asserted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod allowed;
mod api;
mod arena;
mod finalizer;
mod foreign;
mod killed;
mod kubelet;
mod paced;
mod proposed;
mod repaired;
mod rolled_back;
mod shop;
#[path = "../support/mod.rs"]
mod support;
mod undone;
mod webhook;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use arena::Arena;
use libtest_mimic::{Arguments, Trial};
use support::binary::Podgate;

/// A test: what it shows, and how.
type Test = (&'static str, fn(&Arena));

/// How many run at a time, unless the command line says: they mostly wait.
const THREADS: usize = 32;

/// What most tests share.
fn start() -> (Podgate, Arena) {
    let arena = Arena::start();
    (arena.podgate("all-policies"), arena)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let shared = Arc::new(OnceLock::new());
    // Those that take longest come first.
    let alone: [(_, fn()); 2] = [
        (
            "whoever_leads_next_ends_what_a_killed_leader_began",
            killed::whoever_leads_next_ends_what_a_killed_leader_began,
        ),
        ("only_what_is_allowed_writes", allowed::only_what_is_allowed_writes),
    ];
    let alone = alone.map(|(name, run)| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    });
    let sharing = [
        rolled_back::TESTS,
        undone::TESTS,
        finalizer::TESTS,
        paced::TESTS,
        foreign::TESTS,
        proposed::TESTS,
        repaired::TESTS,
    ];
    let sharing = sharing.concat().into_iter().map(|(name, run)| {
        let shared = Arc::clone(&shared);
        Trial::test(name, move || {
            let started = shared.get_or_init(|| std::panic::catch_unwind(start).ok());
            let (_, arena) = started.as_ref().ok_or("nothing is repaired; the panic is above")?;
            run(arena);
            Ok(())
        })
    });
    let trials = alone.into_iter().chain(sharing).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(Some((_, arena))) = shared.get() {
        let forbidden = arena.forbidden();
        if !forbidden.is_empty() {
            eprintln!("podgate was forbidden: {forbidden:#?}");
            return ExitCode::FAILURE;
        }
    }
    drop(shared);
    conclusion.exit_code()
}
