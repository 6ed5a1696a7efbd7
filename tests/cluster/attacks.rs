//! Part of `make test`: attempts to get past an `enforce`, each through the real server, and those on the whole way in
//! through a real kube-apiserver. A trial fails if the attempt succeeds, or if somebody else pays for it.
//!
//! Each module lists its trials: `TRIALS` share one control plane, each in a namespace of its own; `ALONE` start what
//! they need themselves, one after another but for the beat's, because they take away what others would be waiting for.

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
    // Those of the beat wait most of their time, and load nothing.
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
