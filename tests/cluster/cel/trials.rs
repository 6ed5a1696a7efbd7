//! The comparison of the judge and podgate, and the report of differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::cel::compare::{Difference, Tally, compare};
use crate::cel::corpus;
use crate::cel::judge::{ExpressionAnswer, Functions, Judge, Request, Unit, UnitAnswer};
use crate::cel::podgate::{MEMORY, World, environment};
use crate::cel::render;
use crate::support::suite::{Alone, trials};

pub const TRIALS: Alone<Result<(), String>> = trials![
    each_function_is_declared_with_the_overloads_of_the_api_server,
    the_corpus_calls_every_overload_and_every_macro_there_is,
    each_expression_of_the_corpus_compiles_evaluates_and_costs_as_in_the_api_server,
    each_policy_of_the_corpus_evaluates_as_in_the_api_server,
];

/// Units of one request.
const BATCH: usize = 200;
/// The most differences that are printed.
const PRINTED: usize = 40;

/// The judge with the pods and namespaces of the corpus, and podgate with the same objects as the judge reads them.
pub fn prepare() -> (Judge, World) {
    let mut judge = Judge::start();
    let (pods, namespaces) = (corpus::pods(), corpus::namespaces());
    let request =
        Request { pods: Some(&pods), namespaces: Some(&namespaces), ..Request::default() };
    let answer = judge.ask(&request);
    let object = |(loaded, raw): (crate::cel::judge::Loaded, &Value)| {
        assert!(loaded.refused.is_empty(), "{}: {raw}", loaded.refused);
        loaded.object
    };
    let pods = answer.pods.into_iter().zip(&pods).map(object).collect();
    let namespaces = answer.namespaces.into_iter().zip(&namespaces).map(object).collect();
    (judge, World { pods, namespaces, memory: MEMORY })
}

fn each_expression_of_the_corpus_compiles_evaluates_and_costs_as_in_the_api_server()
-> Result<(), String> {
    let (mut judge, world) = prepare();
    assert!(world.pods.len() >= 60, "only {} pods", world.pods.len());
    let expressions = corpus::expressions();
    assert!(expressions.len() >= 600, "only {} expressions", expressions.len());
    let unit = |expression: String| {
        let pods = (!expression.contains("object")).then(|| vec![0]);
        Unit { validations: vec![expression], pods, runs: 3, values: true, ..Unit::default() }
    };
    let units: Vec<_> = expressions.into_iter().map(|(_, expression)| unit(expression)).collect();
    let mut probes = Vec::new();
    let mut report = Report::default();
    ask(&mut judge, &world, &units, &mut report, &mut |asked, answer| {
        let asked_again = |(expression, answer): (&String, &ExpressionAnswer)| {
            Some(format!("[{expression}\n].map(it, {})", render::probe(&answer.of)?))
        };
        probes.extend(
            asked.validations.iter().zip(&answer.validations).filter_map(asked_again).map(unit),
        );
    });
    ask(&mut judge, &world, &probes, &mut report, &mut |_, _| {});
    report.finish()
}

fn each_policy_of_the_corpus_evaluates_as_in_the_api_server() -> Result<(), String> {
    let (mut judge, world) = prepare();
    let units: Vec<_> =
        corpus::policies().iter().flat_map(|it| it.units(world.namespaces.len())).collect();
    let mut report = Report::default();
    ask(&mut judge, &world, &units, &mut report, &mut |_, _| {});
    // Evaluates the expressions that are refused only because of their type.
    let values: Vec<_> = units.into_iter().map(|it| Unit { values: true, ..it }).collect();
    ask(&mut judge, &world, &values, &mut report, &mut |_, _| {});
    report.finish()
}

/// Whether an overload exists only for the authorizer, or under an old name that no expression can call.
fn is_out_of_reach(overload: &str) -> bool {
    ["authorizer_", "groupcheck_", "resourcecheck_", "pathcheck_", "decision_"]
        .iter()
        .any(|prefix| overload.starts_with(prefix))
        || overload == "__not_strictly_false__"
}

pub fn declared(judge: &mut Judge) -> Functions {
    let answer = judge.ask(&Request { functions: true, ..Request::default() });
    answer.functions.expect("the judge sends its functions on request")
}

fn each_function_is_declared_with_the_overloads_of_the_api_server() -> Result<(), String> {
    let functions = declared(&mut Judge::start());
    let mut faults = String::new();
    let mut compared = 0;
    for (name, overloads) in &functions.overloads {
        // Old names of operators and helpers, which no expression can call.
        if ["__not_strictly_false__", "_in_", "in"].contains(&name.as_str()) {
            continue;
        }
        let theirs: Vec<_> = overloads.iter().map(|it| it.id.as_str()).collect();
        let ours = environment().function(name).unwrap_or_default();
        let ours: Vec<_> = ours.iter().map(|it| it.id).collect();
        if theirs != ours {
            let _ = writeln!(faults, "{name}\n  judge:   {theirs:?}\n  podgate: {ours:?}");
        }
        compared += theirs.len();
    }
    let more =
        environment().function_names().filter(|name| !functions.overloads.contains_key(*name));
    for name in more {
        let _ = writeln!(faults, "{name}() is declared by podgate alone");
    }
    println!("{compared} overloads of {} functions", functions.overloads.len());
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn the_corpus_calls_every_overload_and_every_macro_there_is() -> Result<(), String> {
    let (mut judge, _) = prepare();
    let functions = declared(&mut judge);
    let expressions = corpus::expressions();
    let unit = |(_, expression): &(String, String)| Unit {
        validations: vec![expression.clone()],
        pods: Some(Vec::new()),
        values: true,
        ..Unit::default()
    };
    let units: Vec<_> = expressions.iter().map(unit).collect();
    let answer = judge.ask(&Request { units: &units, ..Request::default() });
    let called: BTreeSet<_> = answer
        .units
        .into_iter()
        .flat_map(|unit| unit.validations)
        .flat_map(|it| it.overloads)
        .collect();
    let overloads = functions.overloads.values().flatten().map(|it| &it.id);
    let missing: Vec<_> =
        overloads.filter(|id| !called.contains(*id) && !is_out_of_reach(id)).collect();
    let macros: Vec<_> = functions
        .macros
        .iter()
        .filter(|it| {
            let name = it.split(':').next().unwrap();
            let method = it.ends_with("true");
            let call = if method { format!(".{name}(") } else { format!("{name}(") };
            !expressions.iter().any(|(_, expression)| expression.contains(&call))
        })
        .collect();
    println!("{} overloads and {} macros", called.len(), functions.macros.len());
    if missing.is_empty() && macros.is_empty() {
        return Ok(());
    }
    Err(format!("no expression of tests/cel/corpus calls {missing:?} or expands {macros:?}"))
}

/// Sends units to both, a batch at a time.
pub fn ask(
    judge: &mut Judge,
    world: &World,
    units: &[Unit],
    report: &mut Report,
    observe: &mut dyn FnMut(&Unit, &UnitAnswer),
) {
    for batch in units.chunks(BATCH) {
        let answer = judge.ask(&Request { units: batch, ..Request::default() });
        let half = batch.len().div_ceil(2).max(1);
        let ours: Vec<UnitAnswer> = std::thread::scope(|scope| {
            let parts: Vec<_> = batch
                .chunks(half)
                .map(|part| {
                    scope.spawn(|| part.iter().map(|unit| world.answer(unit)).collect::<Vec<_>>())
                })
                .collect();
            parts.into_iter().flat_map(|part| part.join().expect("podgate answers")).collect()
        });
        for ((unit, theirs), ours) in batch.iter().zip(&answer.units).zip(&ours) {
            let differences =
                confirmed(judge, unit, ours, compare(unit, theirs, ours, &mut report.tally));
            let pods = |it: usize| unit.pods.as_ref().map_or(it, |pods| pods[it]);
            for difference in differences {
                let pod = difference.pod.map(|it| world.pods[pods(it)].to_string());
                report.add(difference, pod);
            }
            observe(unit, theirs);
        }
    }
}

/// The number of judge runs that confirm a difference: it iterates maps in random order, and may repeat the same order.
const RUNS: u32 = 50;

/// The differences that remain after more runs of the judge.
pub fn confirmed(
    judge: &mut Judge,
    unit: &Unit,
    ours: &UnitAnswer,
    found: Vec<Difference>,
) -> Vec<Difference> {
    if found.is_empty() {
        return found;
    }
    let unit = Unit { runs: RUNS, ..unit.clone() };
    let theirs = judge.ask(&Request { units: std::slice::from_ref(&unit), ..Request::default() });
    compare(&unit, &theirs.units[0], ours, &mut Tally::default())
}

/// The tally, and the differences: one for each expression, with a pod.
#[derive(Default)]
pub struct Report {
    pub tally: Tally,
    count: usize,
    first: BTreeMap<(crate::cel::compare::Kind, String), (Difference, Option<String>)>,
}

impl Report {
    pub fn add(&mut self, difference: Difference, pod: Option<String>) {
        self.count += 1;
        let key = (difference.kind, difference.expression.clone());
        self.first.entry(key).or_insert((difference, pod));
    }

    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Prints the tally.
    ///
    /// # Errors
    /// The differences.
    pub fn finish(self) -> Result<(), String> {
        println!("{}; {} differences", self.tally, self.count);
        let describe = |(difference, pod): &(Difference, Option<String>)| {
            let pod =
                pod.as_deref().map_or_else(String::new, |pod| format!("\n  pod:     {pod:.1500}"));
            format!("{difference}{pod}\n")
        };
        let differences: Vec<_> = self.first.values().map(describe).collect();
        if let Some(path) = std::env::var_os("CEL_DIFFERENCES") {
            use std::io::Write;
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.unwrap().write_all(differences.concat().as_bytes()).unwrap();
        }
        if differences.is_empty() {
            return Ok(());
        }
        let some = differences.iter().take(PRINTED).map(String::as_str).collect::<String>();
        Err(format!(
            "{} differences in {} expressions, such as\n{some}",
            self.count,
            differences.len()
        ))
    }
}
