//! What a policy's expressions are evaluated on: the object, its namespace, and the policy's variables, which are evaluated
//! when they are read first and then kept (`pkg/admission/plugin/cel/{activation,composition}.go` of `k8s.io/apiserver`).

use std::any::Any;

use super::error::{Error, Kind};
use super::escape::unescape;
use super::evaluation::{Evaluated, Evaluator};
use super::meter::{Meter, POLICY_COST_BUDGET};
use super::program::Program;
use super::value::{Opaque, Value};

/// A variable of a policy.
#[derive(Debug)]
pub struct Variable {
    pub name: String,
    pub program: Program,
}

/// One policy's expressions on one object.
#[derive(Debug)]
pub struct Activation<'v> {
    pub(super) object: Value<'v>,
    pub(super) namespace: Value<'v>,
    variables: &'v [Variable],
    values: Vec<Option<Evaluated<'v>>>,
    /// What variables have cost since it was charged to the budget last.
    variables_cost: u64,
    budget: u64,
}

/// All variables as one value: `variables` itself.
#[derive(Debug)]
pub(super) struct Variables;

impl Opaque for Variables {
    fn type_name(&self) -> &'static str {
        "kubernetes.variables"
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, Error> {
        Ok(other.as_any().is::<Self>())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl<'v> Activation<'v> {
    pub fn new(object: Value<'v>, namespace: Value<'v>, variables: &'v [Variable]) -> Self {
        let values = variables.iter().map(|_| None).collect();
        Self { object, namespace, variables, values, variables_cost: 0, budget: POLICY_COST_BUDGET }
    }

    /// The same with another budget of cost for all expressions.
    #[must_use]
    pub fn with_budget(mut self, budget: u64) -> Self {
        self.budget = budget;
        self
    }

    /// What is left of the policy's budget of cost.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// The value of a variable, if there is one of that name.
    pub(super) fn variable(
        &mut self,
        name: &str,
        meter: &mut Meter,
    ) -> Result<Option<Value<'v>>, Error> {
        let variables: &'v [Variable] = self.variables;
        let Some(name) = unescape(name) else { return Ok(None) };
        let Some((index, variable)) = variables.iter().enumerate().find(|(_, it)| it.name == name)
        else {
            return Ok(None);
        };
        if let Some(Some(known)) = self.values.get(index) {
            return known.clone().map(Some);
        }
        let outer = meter.start();
        let value = variable.program.run(self, meter);
        let cost = meter.resume(outer);
        self.variables_cost = self.variables_cost.saturating_add(cost);
        let value = value.map_err(|error| error.of_variable(&name));
        if !matches!(&value, Err(error) if error.kind().ends_evaluation())
            && let Some(known) = self.values.get_mut(index)
        {
            *known = Some(value.clone());
        }
        value.map(Some)
    }

    /// Charges an expression's cost, and that of the variables that it read, to the budget.
    fn charge(&mut self, cost: u64) -> Result<(), Error> {
        let total = std::mem::take(&mut self.variables_cost).saturating_add(cost);
        match self.budget.checked_sub(total) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(Error::new(
                Kind::CostBudget,
                format!(
                    "the policy's expressions cost more than {POLICY_COST_BUDGET} units together"
                ),
            )),
        }
    }
}

impl Program {
    /// Evaluates the expression.
    ///
    /// # Errors
    /// Where the expression fails, and where a limit is reached: the expression's cost, the policy's budget, the review's
    /// memory.
    pub fn evaluate<'v>(
        &'v self,
        activation: &mut Activation<'v>,
        meter: &mut Meter,
    ) -> Result<Value<'v>, Error> {
        meter.start();
        let value = self.run(activation, meter);
        activation.charge(meter.cost())?;
        value
    }

    fn run<'v>(&'v self, activation: &mut Activation<'v>, meter: &mut Meter) -> Evaluated<'v> {
        let locals = vec![None; self.inits.len()];
        Evaluator { program: self, activation, meter, locals }.eval(self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::super::{admission, compile, library};
    use super::*;

    fn program(source: &str, environment: &super::super::environment::Environment) -> Program {
        let checked = compile::compile(source, environment, 1 << 16).unwrap();
        Program::plan(&checked, environment, &library::find).unwrap()
    }

    fn on_a_small_stack(evaluate: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(evaluate);
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn the_deepest_expressions_need_no_more_stack_than_there_is() {
        let nested = |open: &str, core: &str, close: &str, depth: usize| {
            format!("{}{core}{}", open.repeat(depth), close.repeat(depth))
        };
        let environment = admission::environment();
        for source in [
            nested("[", "object", "]", 240),
            nested("{'a': ", "object", "}", 240),
            nested("dyn(", "object.a", ")", 240),
            nested("-dyn(", "object.a", ")", 120),
            nested("[1].all(x, ", "true", ")", 240),
            nested("[[1]].map(x, ", "[1]", ")", 240),
            nested("object.a == 1 ? true : (", "true", ")", 120),
            nested("object[", "'a'", "]", 240),
            nested("[", "object", "]", 240) + " == " + &nested("[", "object", "]", 240),
        ] {
            let program = program(&source, &environment);
            on_a_small_stack(move || {
                let tree = Tree::from_json(r#"{"a": 1}"#).unwrap();
                let mut activation = Activation::new(tree.value(), Value::Null, &[]);
                let value = program.evaluate(&mut activation, &mut Meter::default());
                assert!(value.is_ok() || source.starts_with("object["), "{source}: {value:?}");
            });
        }
    }

    #[test]
    fn a_chain_of_variables_ends_neither_the_stack_nor_in_values_too_deep_to_be_dropped() {
        let mut environment = admission::environment();
        let mut variables = Vec::new();
        for at in 0..300 {
            let source = match at {
                0 => "[object]".to_owned(),
                _ => format!("[[[variables.v{}]]]", at - 1),
            };
            let name = format!("v{at}");
            let program = program(&source, &environment);
            admission::define(&mut environment, &name, &super::super::types::Type::Dyn);
            variables.push(Variable { name, program });
        }
        let shallow = program("variables.v20 == variables.v20", &environment);
        let deep = program("variables.v299 == variables.v299", &environment);
        on_a_small_stack(move || {
            let tree = Tree::from_json(r#"{"a": 1}"#).unwrap();
            let mut activation = Activation::new(tree.value(), Value::Null, &variables);
            let mut meter = Meter::default();
            let value = shallow.evaluate(&mut activation, &mut meter);
            assert!(matches!(value, Ok(Value::Bool(true))), "{value:?}");
            let error = deep.evaluate(&mut activation, &mut meter).unwrap_err().to_string();
            assert!(error.ends_with("values nest deeper than 512"), "{error}");
        });
    }
}
