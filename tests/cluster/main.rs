//! Part of `make test`: the suites that need the control plane of `tests/controlplane`, or the judge of CEL. They run
//! one after another, each with its own number of parallel trials; `cargo test --test cluster -- attacks::` runs one
//! suite, and the name of a trial runs that trial.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod admission;
mod adopt;
mod analysis;
mod attacks;
mod audit;
mod break_glass;
mod callers;
mod cel;
mod certificates;
mod cluster_commands;
mod fleet;
mod floor;
mod footprint;
mod gitops;
mod grace;
mod in_tree;
mod install;
mod leadership;
mod modes;
mod mutating;
mod outage;
mod pod_security;
mod preview;
mod refused;
mod remediation;
mod slipped;
#[path = "../support/support.rs"]
mod support;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use support::suite::{self, suites};

fn main() -> ExitCode {
    suite::run(
        &Arguments::from_args(),
        suites![
            admission,
            adopt,
            analysis,
            attacks,
            audit,
            break_glass,
            callers,
            cel,
            certificates,
            cluster_commands,
            fleet,
            floor,
            footprint,
            gitops,
            grace,
            in_tree,
            install,
            leadership,
            modes,
            mutating,
            outage,
            pod_security,
            preview,
            refused,
            remediation,
            slipped,
        ],
    )
}
