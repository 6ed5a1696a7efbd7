//! Policies compiled for the API server (`podgate::policy::vap`) against podgate's own webhook: equal verdicts, and
//! messages with the same findings. The judge is the API server's own plugin in process (`tests/controlplane/vapeval`),
//! which also validates and type checks the objects, and compiles them as Kubernetes 1.33 would.

mod corners;
mod door;
mod expressions;
mod fixtures;
mod floors;
pub mod generate;
mod live;
mod random;

use crate::support::suite::Suite;

pub fn suite() -> Suite {
    // The judge uses all processors.
    Suite::of(1)
        .alone(fixtures::TRIALS)
        .alone(corners::TRIALS)
        .alone(corners::REMOVALS)
        .alone(expressions::TRIALS)
        .alone(random::TRIALS)
        .alone(floors::away::TRIALS)
        .alone(floors::heard::TRIALS)
        .alone(floors::lease::TRIALS)
        .alone(floors::costs::TRIALS)
        .alone(live::TRIALS)
        .long(|it| it.alone(expressions::LONG).alone(random::LONG))
        .long(|it| it.alone(floors::away::LONG).alone(floors::heard::LONG))
}
