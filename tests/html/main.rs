//! Part of `make test-html`: the pages of `-o html` in a real, headless Chromium, with axe-core as the judge of
//! accessibility. `cargo test --test html` runs it; plain `cargo test` does not. `UPDATE=1` writes the pictures of
//! `docs/images`. Times are printed, never asserted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod behaviour;
mod browser;
mod clusters;
mod facts;
mod shown;
#[path = "../support/support.rs"]
mod support;
mod world;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use support::suite::{self, Named, Suite, World as Shared};
use world::World;

/// One browser and one set of pages for all.
const SUITES: &[Named] = &[("html", || {
    let world = Shared::by_turns(World::start);
    Suite::of(1).sharing(&world, facts::TRIALS).sharing(&world, behaviour::TRIALS)
})];

fn main() -> ExitCode {
    suite::run(&Arguments::from_args(), SUITES)
}
