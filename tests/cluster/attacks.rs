//! Part of `make test`: attempts to get past `enforcementMode: enforce`, each against the real server, most of them
//! through a real kube-apiserver. A trial fails if the attempt succeeds or harms other users.
//!
//! Each module lists its trials: `TRIALS` share one control plane, each in a namespace of its own; `ALONE` start their
//! own processes, one after another except for the beat's, because they take resources that others wait for.

mod beat;
mod defaults;
mod expressions;
mod flood;
mod mirror;
mod objects;
mod policies;
mod repairs;
mod texts;
mod updates;

use std::sync::{Arc, Mutex};

use crate::support::cluster::Cluster;
use crate::support::suite::{Suite, World};

pub fn suite() -> Suite {
    let cluster = World::new(Cluster::start);
    // The trials of the beat mostly wait, and cause no load.
    let [turn, turn_of_beat] = [(); 2].map(|()| Arc::new(Mutex::new(())));
    Suite::of(4)
        .sharing(&cluster, defaults::TRIALS)
        .sharing(&cluster, mirror::TRIALS)
        .sharing(&cluster, objects::TRIALS)
        .sharing(&cluster, texts::TRIALS)
        .sharing(&cluster, updates::TRIALS)
        .by_turns(&turn_of_beat, beat::ALONE)
        .by_turns(&turn, defaults::ALONE)
        .by_turns(&turn, expressions::ALONE)
        .by_turns(&turn, flood::ALONE)
        .by_turns(&turn, policies::ALONE)
        .by_turns(&turn, repairs::ALONE)
        .by_turns(&turn, texts::ALONE)
}
