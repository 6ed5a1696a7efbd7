//! podgate's CEL against the API server's own evaluator (`tests/controlplane/vapeval`): which expressions compile,
//! their results on pods, and their costs. The expressions are a corpus (`corpus/`, `policies/`, on `pods/`) and random
//! ones (`generate`); no expected result is stored, the judge is asked each time.
//!
//! A difference is printed with its expression, its pod and both answers. `CEL_DIFFERENCES` names a file for all of
//! them, `CEL_CASES` sets the number of random policies, `CEL_SEED` their seed.

mod compare;
pub mod corpus;
mod generate;
mod hostile;
pub mod judge;
mod podgate;
mod random;
mod render;
mod trials;

use crate::support::suite::Suite;

pub fn suite() -> Suite {
    // The judge uses all processors.
    Suite::of(1)
        .alone(trials::TRIALS)
        .alone(hostile::TRIALS)
        .alone(random::TRIALS)
        .long(|it| it.alone(random::LONG))
}
