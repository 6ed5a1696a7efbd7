//! What a policy's expressions are evaluated on: the object, its namespace, and the policy's variables, which are evaluated
//! when they are read first and then kept (`pkg/admission/plugin/cel/{activation,composition}.go` of `k8s.io/apiserver`).

use super::error::{Error, ErrorKind};
use super::meter::POLICY_COST_BUDGET;
use super::program::Program;
use super::value::{Evaluated, Value};

/// A variable of a policy.
#[derive(Debug)]
pub struct CompiledVariable {
    pub name: String,
    pub program: Program,
}

/// One policy's expressions on one object.
#[derive(Debug)]
pub struct Activation<'v> {
    pub(super) object: Value<'v>,
    pub(super) namespace: Value<'v>,
    pub(super) variables: &'v [CompiledVariable],
    /// The variables that were evaluated, in their order.
    pub(super) values: Vec<Option<Evaluated<'v>>>,
    /// What variables have cost since it was charged to the budget last.
    pub(super) variables_cost: u64,
    budget: u64,
}

impl<'v> Activation<'v> {
    pub fn new(object: Value<'v>, namespace: Value<'v>, variables: &'v [CompiledVariable]) -> Self {
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

    /// Charges an expression's cost, and that of the variables that it read, to the budget.
    pub(super) fn charge(&mut self, cost: u64) -> Result<(), Error> {
        let total = std::mem::take(&mut self.variables_cost).saturating_add(cost);
        match self.budget.checked_sub(total) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(Error::new(
                ErrorKind::CostBudget,
                format!(
                    "the policy's expressions cost more than {POLICY_COST_BUDGET} units together"
                ),
            )),
        }
    }
}
