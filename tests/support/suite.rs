//! The harness of the suites that share a world, such as a control plane: each trial can be run alone by its name,
//! which is the name of its function.
//!
//! ```ignore
//! pub fn suite() -> Suite {
//!     let cluster = World::new(Cluster::start);
//!     Suite::of(6).sharing(&cluster, TRIALS)
//! }
//!
//! const TRIALS: Trials<Cluster> = trials![a_pod_is_denied, a_pod_is_admitted];
//! ```

use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};

use super::control_plane::seconds;

/// Trials that share a world: their names and functions.
pub type Trials<W> = &'static [(&'static str, fn(&W))];

/// Trials that start their own processes.
pub type Alone<R = ()> = &'static [(&'static str, fn() -> R)];

/// A table of trials from the paths of their functions; each is named after its module and its function.
macro_rules! trials {
    ($($trial:path),+ $(,)?) => {
        &[$((concat!(module_path!(), "::", stringify!($trial)), $trial)),+]
    };
}
pub(crate) use trials;

/// A table of suites from the modules that have them.
macro_rules! suites {
    ($($suite:ident),+ $(,)?) => {
        &[$((stringify!($suite), $suite::suite)),+]
    };
}
pub(crate) use suites;

/// The shared world of trials: the first trial starts it, and it ends after the last.
pub struct World<W>(Arc<Shared<W>>);

struct Shared<W> {
    start: fn() -> W,
    /// Set if only one trial may use it at a time.
    turn: Option<Mutex<()>>,
    /// `None` if it did not start.
    started: OnceLock<Option<W>>,
}

impl<W> World<W> {
    pub fn new(start: fn() -> W) -> Self {
        Self(Arc::new(Shared { start, turn: None, started: OnceLock::new() }))
    }

    /// A world that only one trial uses at a time, while other trials of the suite run in parallel.
    pub fn by_turns(start: fn() -> W) -> Self {
        Self(Arc::new(Shared { start, turn: Some(Mutex::default()), started: OnceLock::new() }))
    }

    fn enter(&self) -> Result<&W, Failed> {
        let started = self.0.started.get_or_init(|| catch_unwind(self.0.start).ok());
        started
            .as_ref()
            .ok_or_else(|| "the world of the suite did not start; its panic is above".into())
    }
}

impl<W> Clone for World<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A world for trials that run one at a time; after a failure, the next trial gets a new one.
pub struct Renewed<W> {
    start: fn() -> W,
    /// Describes the world in which a trial failed.
    failed: fn(&W),
    slot: Arc<Mutex<Option<W>>>,
}

impl<W> Renewed<W> {
    pub fn new(start: fn() -> W, failed: fn(&W)) -> Self {
        Self { start, failed, slot: Arc::default() }
    }

    /// Runs a trial in the world of the previous one, or in a new one.
    fn run(&self, name: &str, run: fn(&W)) -> Result<(), Failed> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let there = slot.take().unwrap_or_else(self.start);
        println!("== {name}");
        let started = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| run(&there))).is_err() {
            (self.failed)(&there);
            return Err("the panic is above, with the state of its world".into());
        }
        println!("   took {}", seconds(started.elapsed()));
        *slot = Some(there);
        Ok(())
    }
}

impl<W> Clone for Renewed<W> {
    fn clone(&self) -> Self {
        Self { start: self.start, failed: self.failed, slot: Arc::clone(&self.slot) }
    }
}

/// The result of a trial.
pub trait Outcome {
    fn outcome(self) -> Result<(), Failed>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), Failed> {
        Ok(())
    }
}

impl Outcome for Result<(), String> {
    fn outcome(self) -> Result<(), Failed> {
        self.map_err(Into::into)
    }
}

/// Trials that run together, with a limit on parallel ones.
pub struct Suite {
    threads: usize,
    /// Whether the limit ignores the command line.
    in_order: bool,
    trials: Vec<Trial>,
    last: Vec<Box<dyn FnOnce() -> Result<(), String>>>,
}

impl Suite {
    /// Runs this number in parallel, unless the command line sets another.
    pub fn of(threads: usize) -> Self {
        Self { threads, in_order: false, trials: Vec::new(), last: Vec::new() }
    }

    /// Runs one at a time, in the order of the table, because some change the world so that earlier ones would fail in
    /// it.
    pub fn in_order() -> Self {
        Self { in_order: true, ..Self::of(1) }
    }

    pub fn sharing<W: Send + Sync + 'static>(self, world: &World<W>, trials: Trials<W>) -> Self {
        self.each(world, trials.iter().map(|(name, run)| ((*name).to_owned(), *run)))
    }

    /// Generated trials, such as one for each kind of workload; their names include their module.
    pub fn each<W: Send + Sync + 'static, F: FnOnce(&W) + Send + 'static>(
        self,
        world: &World<W>,
        trials: impl IntoIterator<Item = (String, F)>,
    ) -> Self {
        let trial = |(name, run): (String, F)| {
            let world = world.clone();
            Trial::test(called(&name), move || {
                // A trial that failed must not fail those after it.
                let turn = world.0.turn.as_ref();
                let _turn = turn.map(|it| it.lock().unwrap_or_else(PoisonError::into_inner));
                run(world.enter()?);
                Ok(())
            })
        };
        self.with(trials.into_iter().map(trial))
    }

    pub fn alone<R: Outcome + 'static>(self, trials: Alone<R>) -> Self {
        let trial = |(name, run): &(&str, fn() -> R)| {
            let run = *run;
            Trial::test(called(name), move || run().outcome())
        };
        self.with(trials.iter().map(trial))
    }

    /// Trials that share a lock run one at a time, in parallel with the others of the suite.
    pub fn by_turns(self, turn: &Arc<Mutex<()>>, trials: Alone) -> Self {
        let trial = |(name, run): &(&str, fn())| {
            let (turn, run) = (Arc::clone(turn), *run);
            Trial::test(called(name), move || {
                // A trial that failed must not fail those after it.
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                run();
                Ok(())
            })
        };
        self.with(trials.iter().map(trial))
    }

    pub fn renewing<W: Send + 'static>(self, world: &Renewed<W>, trials: Trials<W>) -> Self {
        let trial = |(name, run): &(&'static str, fn(&W))| {
            let (world, run, name) = (world.clone(), *run, called(name));
            Trial::test(name, move || world.run(name, run))
        };
        self.with(trials.iter().map(trial))
    }

    /// Adds trials that are too slow for every change: `--include-ignored` runs them too.
    pub fn long(mut self, add: impl FnOnce(Self) -> Self) -> Self {
        let before = self.trials.len();
        self = add(self);
        let long = self.trials.split_off(before).into_iter();
        self.trials.extend(long.map(|it| it.with_ignored_flag(true)));
        self
    }

    /// A check of the world after the last trial, if it was started.
    pub fn last<W: 'static>(mut self, world: &World<W>, check: fn(&W)) -> Self {
        let world = world.clone();
        self.last.push(Box::new(move || {
            let Some(Some(started)) = world.0.started.get() else { return Ok(()) };
            let checked = catch_unwind(AssertUnwindSafe(|| check(started)));
            checked.map_err(|_| {
                "what is checked after the last trial failed; its panic is above".to_owned()
            })
        }));
        self
    }

    fn with(mut self, trials: impl Iterator<Item = Trial>) -> Self {
        self.trials.extend(trials);
        self
    }
}

/// The name of a trial without the name of the test binary, as in libtest.
fn called(path: &str) -> &str {
    path.split_once("::").map_or(path, |(_, name)| name)
}

/// A suite's name, and the function that creates it.
pub type Named = (&'static str, fn() -> Suite);

/// Set in a process that runs one suite of several: its name.
const SUITE: &str = "PODGATE_TEST_SUITE";
/// Many suites mostly wait, for a Lease or a timeout, so two at a time use the machine well.
const AT_ONCE: usize = 2;

/// Runs each suite in a process of its own, two at a time, if the command line asks for several; each line of output
/// names its suite. `None` where this process is to [`run`] the one that is asked for.
pub fn run_each(arguments: &Arguments, suites: &[Named]) -> Option<ExitCode> {
    if arguments.list || std::env::var_os(SUITE).is_some() {
        return None;
    }
    let names: Vec<_> = asked(arguments, suites).into_iter().map(|(name, _)| name).collect();
    if names.len() < 2 {
        return None;
    }
    let queue = Mutex::new(names.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(name) = next() {
                    let started = Instant::now();
                    let passed = run_apart(name);
                    let took = seconds(started.elapsed());
                    println!(
                        "suite {name} {} {took}",
                        if passed { "took" } else { "FAILED after" }
                    );
                    if !passed {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                    }
                }
            });
        }
    });
    Some(ended(&failed.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Runs this program again for one suite; whether it passed.
fn run_apart(name: &str) -> bool {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(std::env::args_os().skip(1)).env(SUITE, name).stdin(Stdio::null());
    let spawned = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn();
    // It holds the writing ends, so that the pipe would not end with the process.
    drop(command);
    for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
        println!("{name} | {}", String::from_utf8_lossy(&line));
    }
    spawned.unwrap().wait().unwrap().success()
}

/// Runs the suites that the command line asks for, one after another.
pub fn run(arguments: &Arguments, suites: &[Named]) -> ExitCode {
    if arguments.list {
        let trials = suites.iter().flat_map(|(_, suite)| suite().trials).collect();
        return libtest_mimic::run(arguments, trials).exit_code();
    }
    let asked = asked(arguments, suites);
    if asked.is_empty() {
        println!("no trial has this name; --list shows all");
    }
    let mut failed = Vec::new();
    for (name, suite) in asked {
        println!("\nsuite {name}");
        let mut arguments = arguments.clone();
        if suite.in_order {
            arguments.test_threads = Some(1);
        }
        arguments.test_threads.get_or_insert(suite.threads);
        if libtest_mimic::run(&arguments, suite.trials).has_failed() {
            failed.push(name);
        }
        for check in suite.last {
            if let Err(why) = check() {
                eprintln!("suite {name}: {why}");
                failed.push(name);
            }
        }
    }
    failed.dedup();
    ended(&failed)
}

/// The suites with a trial that the command line asks for.
fn asked(arguments: &Arguments, suites: &[Named]) -> Vec<(&'static str, Suite)> {
    let only = std::env::var(SUITE).ok();
    let suites = suites.iter().filter(|(name, _)| only.as_deref().is_none_or(|it| it == *name));
    let asked = suites.map(|(name, suite)| (*name, suite()));
    asked.filter(|(_, it)| !it.trials.iter().all(|it| arguments.is_filtered_out(it))).collect()
}

fn ended(failed: &[&str]) -> ExitCode {
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("failed suites: {}", failed.join(", "));
    ExitCode::FAILURE
}
