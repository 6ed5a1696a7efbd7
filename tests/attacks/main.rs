//! Part of `make test`: attempts to get past an `enforce`, each through the real server, and those on the whole way in
//! through a real kube-apiserver. A trial fails if the attempt succeeds, or if somebody else pays for it.
//!
//! Each module lists its trials: `TESTS` share one control plane, each in a namespace of its own; `ALONE` start what
//! they need themselves, one after another but for the beat's, because they take away what others would be waiting for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails loudly is a test"
)]

#[path = "../support/mod.rs"]
mod support;

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

use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};

use libtest_mimic::{Arguments, Trial};
use support::cluster::Cluster;

/// A trial on the shared control plane: what it shows, and how.
type Test = (&'static str, fn(&Cluster));
/// A trial that starts its own server.
type Alone = (&'static str, fn());

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(4);
    // Started by the first trial that needs it, ended by the drop below.
    let cluster = Arc::new(OnceLock::new());
    // Those of the beat wait most of their time, and load nothing.
    let [turn, turn_of_beat] = [(); 2].map(|()| Arc::new(Mutex::new(())));
    let mut trials = Vec::new();
    for (name, run) in listed() {
        let cluster = Arc::clone(&cluster);
        trials.push(Trial::test(name, move || {
            let started = cluster.get_or_init(|| std::panic::catch_unwind(Cluster::start).ok());
            run(started.as_ref().ok_or("the cluster did not start; its panic is above")?);
            Ok(())
        }));
    }
    let beat = beat::ALONE.iter().map(|it| (*it, &turn_of_beat));
    for ((name, run), turn) in beat.chain(alone().into_iter().map(|it| (it, &turn))) {
        let turn = Arc::clone(turn);
        trials.push(Trial::test(name, move || {
            // A trial that failed must not fail those after it.
            let _turn = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            run();
            Ok(())
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(cluster);
    conclusion.exit_code()
}

fn listed() -> Vec<Test> {
    [
        beat::TESTS,
        defaults::TESTS,
        expressions::TESTS,
        flood::TESTS,
        mirror::TESTS,
        objects::TESTS,
        policies::TESTS,
        repairs::TESTS,
        texts::TESTS,
        updates::TESTS,
    ]
    .concat()
}

fn alone() -> Vec<Alone> {
    [
        defaults::ALONE,
        expressions::ALONE,
        flood::ALONE,
        mirror::ALONE,
        objects::ALONE,
        policies::ALONE,
        repairs::ALONE,
        texts::ALONE,
        updates::ALONE,
    ]
    .concat()
}
