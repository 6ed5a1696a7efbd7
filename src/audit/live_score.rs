//! The score of one policy, or of all policies together, in one namespace; updated as its pods come and go.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::degree::Degree;
use crate::policy::observed::WorkloadKey;
use crate::policy::score::{Costs, Degrees, Loss, Tally, Workload};

/// The id of a rule that a pod violates, and to what degree.
pub(super) type ViolatedRule = (&'static str, Degree);

/// Counts of a policy's rules, or of all policies' rules, in a namespace.
#[derive(Default)]
pub(super) struct LiveScore {
    pub costs: Costs,
    /// Only workloads that violate a rule: there are many workloads
    /// and policies, and most workloads keep most policies.
    violating: HashMap<Arc<WorkloadKey>, Degrees>,
    tally: Tally,
    /// The number of pairs of a workload and a rule that it violates.
    violated: u64,
}

impl LiveScore {
    pub fn new(costs: Costs) -> Self {
        Self { costs, ..Self::default() }
    }

    /// Replaces a pod's violations; `None` where the pod does not exist. `pods` is the number of the workload's pods
    /// that were counted here before.
    pub fn change(
        &mut self,
        workload: &Arc<WorkloadKey>,
        pods: u64,
        before: Option<impl Iterator<Item = ViolatedRule>>,
        after: Option<impl Iterator<Item = ViolatedRule>>,
    ) {
        let mut counted = Workload::of(pods, self.violating.remove(workload).unwrap_or_default());
        self.tally.remove(&counted);
        self.violated -= counted.violated_rules() as u64;
        // Additions come first, so that a rule that stays violated keeps its place.
        if let Some(violations) = after {
            counted.add_pod(violations);
        }
        if let Some(violations) = before {
            counted.remove_pod(violations);
        }
        self.tally.add(&counted);
        self.violated += counted.violated_rules() as u64;
        if let Some(degrees) = counted.into_degrees() {
            self.violating.insert(Arc::clone(workload), degrees);
        }
    }

    pub fn workloads(&self) -> u64 {
        self.tally.workloads()
    }

    /// The number of pairs of a workload and a rule that it keeps.
    pub fn kept(&self) -> u64 {
        (self.workloads() * self.costs.rules() as u64).saturating_sub(self.violated)
    }

    /// The points that the namespace loses, by rule.
    pub fn loss(&self) -> Loss {
        let mut loss = Loss::default();
        loss.add(&self.tally, &self.costs);
        loss
    }
}
