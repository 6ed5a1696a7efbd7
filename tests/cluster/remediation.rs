//! Part of `make test`: repairs of running workloads, on a real API server with the real controllers; the suite plays
//! the kubelet. One control plane and one `podgate reconcile` serve most tests, each in its own namespace; those that
//! kill the leader have their own. Durations are printed, never asserted.

mod allowed;
pub mod api;
pub mod arena;
mod finalizer;
mod foreign;
mod killed;
pub mod kubelet;
mod paced;
mod proposed;
mod repaired;
mod rolled_back;
pub mod shop;
mod undone;
mod webhook;

use crate::support::binary::Podgate;
use crate::support::suite::{Suite, Trials, World};
use arena::Arena;

/// The cluster that most trials share, with a leading podgate.
struct Repaired {
    _podgate: Podgate,
    arena: Arena,
}

impl Repaired {
    fn start() -> Self {
        let arena = Arena::start();
        Self { _podgate: arena.podgate("all-policies"), arena }
    }

    fn podgate_was_forbidden_nothing(&self) {
        let forbidden = self.arena.forbidden();
        assert!(forbidden.is_empty(), "podgate was forbidden: {forbidden:#?}");
    }
}

pub fn suite() -> Suite {
    let repaired = World::new(Repaired::start);
    // The trials mostly wait. The longest come first.
    let mut suite = Suite::of(32).alone(killed::ALONE).alone(allowed::ALONE);
    let sharing: [Trials<Arena>; 7] = [
        rolled_back::TRIALS,
        undone::TRIALS,
        finalizer::TRIALS,
        paced::TRIALS,
        foreign::TRIALS,
        proposed::TRIALS,
        repaired::TRIALS,
    ];
    for (name, run) in sharing.concat() {
        suite = suite.each(&repaired, [(name.to_owned(), move |it: &Repaired| run(&it.arena))]);
    }
    suite.last(&repaired, Repaired::podgate_was_forbidden_nothing)
}
