//! podgate's CEL against the API server's own evaluator (`tests/controlplane/vapeval`): which expressions compile, what
//! they come to on which pods, and what they cost. The expressions are a corpus (`corpus/`, `policies/`, on `pods/`) and
//! random ones (`generate`); nothing that is expected is stored, the judge is asked each time.
//!
//! A difference is told with expression, pod and both answers. `CEL_DIFFERENCES` names a file for all of them, `CEL_CASES`
//! how many random policies are asked about, `CEL_SEED` where they begin.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

mod compare;
mod corpus;
mod generate;
mod hostile;
mod judge;
mod podgate;
mod random;
mod render;
mod trials;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The judge takes all processors there are.
    arguments.test_threads.get_or_insert(1);
    let trial = |(name, run): (&'static str, fn() -> Result<(), String>)| {
        Trial::test(name, move || run().map_err(Into::into))
    };
    let long = trials::LONG.map(trial).map(|it| it.with_ignored_flag(true));
    let trials = trials::TRIALS.map(trial).into_iter().chain(long).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
