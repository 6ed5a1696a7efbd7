//! The score of some rules in one namespace, kept as its pods come and go.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::degree::Degree;
use crate::policy::observed::WorkloadKey;
use crate::policy::score::{Degrees, Loss, Tally, Weights, Workload};

/// A rule's id, and how much of a violation a pod has.
pub(super) type Violated = (&'static str, Degree);

/// What a policy asks, or all policies of a namespace together.
#[derive(Default)]
pub(super) struct Scope {
    pub weights: Weights,
    /// Only those that violate anything: most keep most policies, and there are many of both.
    violating: HashMap<Arc<WorkloadKey>, Degrees>,
    tally: Tally,
    /// Pairs of a workload and a rule that it violates.
    violated: u64,
}

impl Scope {
    pub fn new(weights: Weights) -> Self {
        Self { weights, ..Self::default() }
    }

    /// Takes a pod's violations out and others in; `None` is a pod that is not there. So many of the workload's `pods`
    /// were counted here before.
    pub fn change(
        &mut self,
        workload: &Arc<WorkloadKey>,
        pods: u64,
        before: Option<impl Iterator<Item = Violated>>,
        after: Option<impl Iterator<Item = Violated>>,
    ) {
        let mut counted = Workload::of(pods, self.violating.remove(workload).unwrap_or_default());
        self.tally.remove(&counted);
        self.violated -= counted.violated_rules() as u64;
        // In first: a rule that stays violated keeps its place.
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

    /// Pairs of a workload and a rule that it keeps.
    pub fn kept(&self) -> u64 {
        (self.workloads() * self.weights.rules() as u64).saturating_sub(self.violated)
    }

    /// What the namespace loses.
    pub fn loss(&self) -> Loss {
        let mut loss = Loss::default();
        loss.add(&self.tally, &self.weights);
        loss
    }
}
