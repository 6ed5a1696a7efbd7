//! podgate's answers to the judge's requests.

use std::sync::LazyLock;

use podgate::cel::activation::{Activation, CompiledVariable};
use podgate::cel::admission;
use podgate::cel::compile::{compile, compile_validation};
use podgate::cel::environment::Environment;
use podgate::cel::error::ErrorKind;
use podgate::cel::meter::{Allowance, EXPRESSION_COST_LIMIT, Meter, POLICY_COST_BUDGET};
use podgate::cel::program::Program;
use podgate::cel::tree::Tree;
use podgate::cel::{library, types::Type};
use serde_json::Value;

use crate::cel::judge::{ExpressionAnswer, Is, Outcome, Together, Unit, UnitAnswer};
use crate::cel::render;

/// podgate's own limit is lower (1 KiB); the comparison must not fail for that.
const MAX_SOURCE: usize = 64 * 1024;
/// Enough for each expression of the corpus; the judge has no such limit.
pub const MEMORY: usize = 256 * 1024 * 1024;

/// The pods and namespaces, as the API server reads them.
pub struct World {
    pub pods: Vec<Value>,
    pub namespaces: Vec<Value>,
    /// The memory limit of a review's values, in bytes.
    pub memory: usize,
}

pub fn environment() -> &'static Environment {
    static BASE: LazyLock<Environment> = LazyLock::new(admission::environment);
    &BASE
}

impl World {
    pub fn answer(&self, unit: &Unit) -> UnitAnswer {
        let mut answer = UnitAnswer::default();
        let mut environment = environment().clone();
        let mut variables = Vec::new();
        for variable in &unit.variables {
            let (compiled_answer, program) = compiled(&variable.expression, &environment, false);
            if let Some(program) = program {
                admission::define(&mut environment, &variable.name, program.result_type());
                variables.push(CompiledVariable { name: variable.name.clone(), program });
            } else {
                admission::define(&mut environment, &variable.name, &Type::Dyn);
            }
            answer.variables.push(compiled_answer);
        }
        let none = Value::Null;
        let namespace = Tree::of(unit.namespace.map_or(&none, |it| &self.namespaces[it])).unwrap();
        let all: Vec<_> = (0..self.pods.len()).collect();
        let pods: Vec<_> = unit
            .pods
            .as_ref()
            .unwrap_or(&all)
            .iter()
            .map(|it| Tree::of(&self.pods[*it]).unwrap())
            .collect();
        let mut programs = Vec::new();
        for expression in &unit.validations {
            let (mut compiled_answer, program) = compiled(expression, &environment, true);
            let mut value = None;
            if program.is_none() && unit.values {
                let (any, program) = compiled(expression, &environment, false);
                compiled_answer.of = any.of;
                value = program;
            }
            if let Some(program) = program.as_ref().or(value.as_ref()) {
                let results = pods
                    .iter()
                    .map(|pod| evaluate(program, pod, &namespace, &variables, self.memory));
                compiled_answer.results = results.collect();
            }
            programs.extend(program);
            answer.validations.push(compiled_answer);
        }
        if programs.len() == unit.validations.len() && programs.len() > 1 {
            let together = pods
                .iter()
                .map(|pod| together(&programs, pod, &namespace, &variables, self.memory));
            answer.together = together.collect();
        }
        answer
    }
}

/// Compiles as a validation, or as an expression of any type.
fn compiled(
    source: &str,
    environment: &Environment,
    validation: bool,
) -> (ExpressionAnswer, Option<Program>) {
    let compile = if validation { compile_validation } else { compile };
    let checked = compile(source, environment, MAX_SOURCE);
    let program = checked.and_then(|it| Program::plan(&it, environment, &library::find));
    let mut compiled_answer = ExpressionAnswer::default();
    match program {
        Ok(program) => {
            compiled_answer.of = render::type_name(program.result_type());
            (compiled_answer, Some(program))
        }
        Err(refusal) => {
            compiled_answer.refused = refusal.to_string();
            (compiled_answer, None)
        }
    }
}

fn evaluate(
    program: &Program,
    pod: &Tree<'_>,
    namespace: &Tree<'_>,
    variables: &[CompiledVariable],
    memory: usize,
) -> Outcome {
    let activation = Activation::new(pod.value(), namespace.value(), variables);
    // A single expression has only its own limit, not the policy's.
    let mut activation = activation.with_budget(u64::MAX);
    let mut meter = Meter::new(EXPRESSION_COST_LIMIT, Allowance { memory, ..Allowance::default() });
    let value = program.evaluate(&mut activation, &mut meter);
    let mut outcome = Outcome { cost: u64::MAX - activation.budget(), ..Outcome::default() };
    match value {
        Ok(value) => outcome.text = render::value(&value),
        Err(error) => {
            outcome.is = match error.kind() {
                ErrorKind::CostLimit | ErrorKind::CostBudget => Is::Budget,
                ErrorKind::Memory => Is::Memory,
                _ => Is::Error,
            };
            outcome.text = error.to_string();
        }
    }
    outcome
}

fn together(
    programs: &[Program],
    pod: &Tree<'_>,
    namespace: &Tree<'_>,
    variables: &[CompiledVariable],
    memory: usize,
) -> Together {
    let mut activation = Activation::new(pod.value(), namespace.value(), variables);
    let mut meter = Meter::new(EXPRESSION_COST_LIMIT, Allowance { memory, ..Allowance::default() });
    let mut together = Together::default();
    for program in programs {
        match program.evaluate(&mut activation, &mut meter) {
            Ok(value) => together.results.push(render::value(&value)),
            Err(error) if error.kind() == ErrorKind::CostBudget => {
                return Together { over: true, ..Together::default() };
            }
            Err(_) => together.results.push("error".to_owned()),
        }
    }
    together.cost = POLICY_COST_BUDGET - activation.budget();
    together
}
