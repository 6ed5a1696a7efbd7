//! The input of a policy's expressions: the object, its namespace, and the policy's
//! variables, each evaluated when an expression first reads it and then kept
//! (`pkg/admission/plugin/cel/{activation,composition}.go` of `k8s.io/apiserver`).

use super::error::{Error, ErrorKind};
use super::meter::POLICY_COST_BUDGET;
use super::program::Program;
use super::value::{Evaluated, Value};

/// A variable of a policy, compiled.
#[derive(Debug)]
pub struct CompiledVariable {
    pub name: String,
    pub program: Program,
}

/// The input of one policy's expressions for one object, and the cost that they have left.
#[derive(Debug)]
pub struct Activation<'v> {
    pub(super) object: Value<'v>,
    pub(super) namespace: Value<'v>,
    pub(super) variables: &'v [CompiledVariable],
    /// The values of the variables that were evaluated, by the variable's index.
    pub(super) values: Vec<Option<Evaluated<'v>>>,
    /// Cost of variables that is not charged to the budget yet.
    pub(super) variables_cost: u64,
    budget: u64,
}

impl<'v> Activation<'v> {
    pub fn new(object: Value<'v>, namespace: Value<'v>, variables: &'v [CompiledVariable]) -> Self {
        let values = variables.iter().map(|_| None).collect();
        Self { object, namespace, variables, values, variables_cost: 0, budget: POLICY_COST_BUDGET }
    }

    /// Replaces the cost budget of all expressions together.
    #[must_use]
    pub fn with_budget(mut self, budget: u64) -> Self {
        self.budget = budget;
        self
    }

    /// The rest of the policy's cost budget.
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Charges the cost of an expression, and of the variables that it evaluated, to the budget.
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
