//! Limits of an evaluation: cost in Kubernetes' units, and bytes of memory.

use super::error::{Error, ErrorKind};

/// The most an expression may cost: `PerCallLimit` in `k8s.io/apiserver/pkg/apis/cel`.
pub const EXPRESSION_COST_LIMIT: u64 = 1_000_000;
/// The most a policy's expressions may cost together: `RuntimeCELCostBudget` there.
pub const POLICY_COST_BUDGET: u64 = 10_000_000;
/// The most bytes that the evaluations of one review may allocate together. Kubernetes has no such limit.
pub const REVIEW_MEMORY: usize = 4 * 1024 * 1024;

/// The rest of what the evaluations of one review may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes.
    pub memory: usize,
    /// Units of cost; `u64::MAX` for no limit, as in Kubernetes.
    pub cost: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { memory: REVIEW_MEMORY, cost: u64::MAX }
    }
}

/// Counts the cost and memory of evaluations, and fails when a limit is exceeded. One meter serves a whole review;
/// [`Meter::start`] begins an expression.
#[derive(Debug)]
pub struct Meter {
    cost: u64,
    cost_limit: u64,
    left: Allowance,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new(EXPRESSION_COST_LIMIT, Allowance::default())
    }
}

impl Meter {
    /// `cost_limit` applies to each expression, the allowance to all of them together.
    pub fn new(cost_limit: u64, allowance: Allowance) -> Self {
        Self { cost: 0, cost_limit, left: allowance }
    }

    /// Starts counting an expression's cost from 0, and returns the count before.
    pub fn start(&mut self) -> u64 {
        std::mem::take(&mut self.cost)
    }

    /// Continues the count of an expression that another one interrupted:
    /// sets the count to `cost`, and returns the count before.
    pub fn resume(&mut self, cost: u64) -> u64 {
        std::mem::replace(&mut self.cost, cost)
    }

    /// The expression's cost so far.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// Charges a step's cost. As in cel-go, the step that exceeds the limit is executed before the expression fails.
    pub fn spend(&mut self, cost: u64) -> Result<(), Error> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.cost_limit {
            let message = format!("the expression costs more than {} units", self.cost_limit);
            return Err(Error::new(ErrorKind::CostLimit, message));
        }
        if let Some(left) = self.left.cost.checked_sub(cost) {
            self.left.cost = left;
            return Ok(());
        }
        self.left.cost = 0;
        Err(Error::new(ErrorKind::Interrupted, "the evaluation exceeded the review's time"))
    }

    /// Takes back cost that was charged too much.
    pub(super) fn refund(&mut self, cost: u64) {
        self.cost = self.cost.saturating_sub(cost);
        self.left.cost = self.left.cost.saturating_add(cost);
    }

    /// Charges bytes that are about to be allocated.
    pub fn allocate(&mut self, bytes: usize) -> Result<(), Error> {
        match self.left.memory.checked_sub(bytes) {
            Some(left) => {
                self.left.memory = left;
                Ok(())
            }
            None => Err(Error::new(
                ErrorKind::Memory,
                "the review's validations need more than 4 MiB for their values",
            )),
        }
    }

    /// The rest of the review's allowance. Its cost is 0 where an evaluation was interrupted.
    pub fn left(&self) -> Allowance {
        self.left
    }
}
