//! Part of `make test`: the audit of running workloads, on a real API server with the real controllers. One control
//! plane and one `podgate reconcile` serve all tests, each in its own namespace. Durations are printed, never asserted.

mod audited;
mod follow;
mod reports;
mod running;

use crate::support::suite::{Suite, World};
use audited::Audited;

pub fn suite() -> Suite {
    let audited = World::new(Audited::start);
    // The tests mostly wait for the control plane.
    Suite::of(4)
        .sharing(&audited, follow::TRIALS)
        .sharing(&audited, running::TRIALS)
        .sharing(&audited, reports::TRIALS)
}
