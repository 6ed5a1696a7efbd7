//! Part of `make test`: what already runs, on a real API server with the real controllers. One control plane and one
//! `podgate reconcile` serve all tests, each in its own namespace. What took how long is printed, never asserted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod audited;
mod follow;
mod running;
#[path = "../support/mod.rs"]
mod support;
mod told;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use audited::Audited;
use libtest_mimic::{Arguments, Trial};

/// A test: what it shows, and how.
type Test = (&'static str, fn(&Audited));

/// How many run at a time, unless the command line says: they mostly wait for the control plane.
const THREADS: usize = 4;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let audited = Arc::new(OnceLock::new());
    let trials =
        [follow::TESTS, running::TESTS, told::TESTS].concat().into_iter().map(|(name, run)| {
            let audited = Arc::clone(&audited);
            Trial::test(name, move || {
                let started = audited.get_or_init(|| std::panic::catch_unwind(Audited::start).ok());
                run(started.as_ref().ok_or("nothing is audited; the panic is above")?);
                Ok(())
            })
        });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    drop(audited);
    conclusion.exit_code()
}
