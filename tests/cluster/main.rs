//! Part of `make test`: the suites that need the control plane of `tests/controlplane`, or the judge of CEL. Each runs
//! in a process of its own, two at a time, with its own number of parallel trials; `cargo test --test cluster --
//! attacks::` runs one suite, and the name of a trial runs that trial.
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
mod developer;
mod encodings;
mod fleet;
mod floor;
mod footprint;
mod gitops;
mod grace;
mod in_tree;
mod install;
mod leadership;
mod live;
mod modes;
mod mutating;
#[path = "../chart/netns.rs"]
mod netns;
mod outage;
mod pod_security;
mod preview;
mod refused;
mod remediation;
mod slipped;
#[path = "../support/support.rs"]
mod support;
mod tools;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use support::suite::{self, Named, suites};

/// Those that take long come first, so that none of them is left alone at the end.
const SUITES: &[Named] = suites![
    attacks,
    floor,
    footprint,
    remediation,
    modes,
    leadership,
    certificates,
    grace,
    fleet,
    admission,
    adopt,
    analysis,
    audit,
    break_glass,
    callers,
    cel,
    cluster_commands,
    developer,
    encodings,
    gitops,
    in_tree,
    install,
    live,
    mutating,
    outage,
    pod_security,
    preview,
    refused,
    slipped,
    tools,
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    suite::run_each(&arguments, SUITES).unwrap_or_else(|| suite::run(&arguments, SUITES))
}
