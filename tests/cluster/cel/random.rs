//! Random policies on random pods, evaluated by the judge and podgate; differences are shrunk.

use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::cel::compare::{Difference, Kind, Tally, compare};
use crate::cel::generate::{Case, Generator};
use crate::cel::judge::{Judge, Request, Unit};
use crate::cel::podgate::{MEMORY, World};
use crate::cel::trials::{Report, confirmed, declared, prepare};
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone<Result<(), String>> =
    trials![random_policies_on_random_pods_evaluate_as_in_the_api_server];
/// The trials that take long.
pub const LONG: Alone<Result<(), String>> =
    trials![a_hundred_thousand_random_policies_evaluate_as_in_the_api_server];

/// The most choices of a policy; most need fewer.
const ROW: usize = 400;
/// Steps of shrinking one policy.
const STEPS: usize = 400;
/// The number of differing policies at which the test stops.
const ENOUGH: usize = 40;

/// The seed of the random numbers, fixed so that a failure can be reproduced.
const SEED: u64 = 17;

fn random_policies_on_random_pods_evaluate_as_in_the_api_server() -> Result<(), String> {
    run(2_000)
}

fn a_hundred_thousand_random_policies_evaluate_as_in_the_api_server() -> Result<(), String> {
    run(100_000)
}

/// The judge, and the generator of its cases.
struct Sides {
    judge: Judge,
    namespaces: Vec<serde_json::Value>,
    generator: Generator,
}

/// A case that was evaluated.
struct Asked {
    unit: Unit,
    differences: Vec<(Difference, Option<String>)>,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|it| it.parse().unwrap_or_else(|_| panic!("{name} is no number: {it}")))
}

fn run(cases: u64) -> Result<(), String> {
    let cases = setting("CEL_CASES").unwrap_or(cases);
    let seed = setting("CEL_SEED").unwrap_or(SEED);
    let (mut judge, world) = prepare();
    let generator =
        Generator::new(&declared(&mut judge), crate::cel::corpus::pods(), world.namespaces.len());
    let mut sides = Sides { judge, namespaces: world.namespaces, generator };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let rows = vec(any::<u16>(), 0..ROW);
    let mut report = Report::default();
    let started = Instant::now();
    for asked in 0..cases {
        let mut row = rows.new_tree(&mut runner).unwrap();
        let first = sides.ask(&row.current(), &mut report.tally);
        if let Some((difference, _)) = first.differences.first() {
            let kind = difference.kind;
            let shrunk = sides.shrink(&mut row, first, kind);
            let (difference, pod) =
                shrunk.differences.into_iter().find(|(it, _)| it.kind == kind).unwrap();
            report.add(with_variables(&shrunk.unit, difference), pod);
        }
        if report.len() >= ENOUGH {
            println!("enough differences after {} policies", asked + 1);
            break;
        }
    }
    println!("{cases} random policies from seed {seed} in {} s", started.elapsed().as_secs());
    report.finish()
}

impl Sides {
    fn ask(&mut self, row: &[u16], tally: &mut Tally) -> Asked {
        let Case { mut unit, pods } = self.generator.case(row);
        let loaded = self.judge.ask(&Request { pods: Some(&pods), ..Request::default() }).pods;
        let pods: Vec<_> =
            loaded.into_iter().filter(|it| it.refused.is_empty()).map(|it| it.object).collect();
        unit.pods = None;
        let answer =
            self.judge.ask(&Request { units: std::slice::from_ref(&unit), ..Request::default() });
        let world =
            World { pods, namespaces: std::mem::take(&mut self.namespaces), memory: MEMORY };
        let ours = world.answer(&unit);
        let differences = compare(&unit, &answer.units[0], &ours, tally);
        let differences = confirmed(&mut self.judge, &unit, &ours, differences);
        let with_pod = |it: Difference| {
            let pod = it.pod.map(|at| world.pods[at].to_string());
            (it, pod)
        };
        let differences = differences.into_iter().map(with_pod).collect();
        self.namespaces = world.namespaces;
        Asked { unit, differences }
    }

    /// The smallest row that differs in the same way.
    fn shrink(
        &mut self,
        row: &mut dyn ValueTree<Value = Vec<u16>>,
        first: Asked,
        kind: Kind,
    ) -> Asked {
        let mut smallest = first;
        for _ in 0..STEPS {
            if !row.simplify() {
                break;
            }
            loop {
                let asked = self.ask(&row.current(), &mut Tally::default());
                if asked.differences.iter().any(|(it, _)| it.kind == kind) {
                    smallest = asked;
                    break;
                }
                if !row.complicate() {
                    return smallest;
                }
            }
        }
        smallest
    }
}

fn with_variables(unit: &Unit, mut difference: Difference) -> Difference {
    for variable in unit.variables.iter().rev() {
        let line = format!("variables.{} = {}", variable.name, variable.expression);
        if !difference.expression.starts_with(&line) {
            difference.expression = format!("{line}\n{}", difference.expression);
        }
    }
    difference
}
