//! The score of some rules in one namespace, kept as its pods come and go.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::picture::WorkloadKey;
use crate::policy::score::{Degree, Loss, Tally, Weights, Workload};

/// A rule's id, and how much of a violation a pod has.
pub(super) type Violated = (&'static str, Degree);

/// What a policy asks, or all policies of a namespace together.
#[derive(Default)]
pub(super) struct Scope {
    pub weights: Weights,
    workloads: HashMap<Arc<WorkloadKey>, Workload>,
    tally: Tally,
    /// Pairs of a workload and a rule that it violates.
    violated: u64,
}

impl Scope {
    pub fn new(weights: Weights) -> Self {
        Self { weights, ..Self::default() }
    }

    /// Takes a pod's violations out and others in; `None` is a pod that is not there.
    pub fn change(
        &mut self,
        workload: &Arc<WorkloadKey>,
        before: Option<impl Iterator<Item = Violated>>,
        after: Option<impl Iterator<Item = Violated>>,
    ) {
        let counted = self.workloads.entry(Arc::clone(workload)).or_default();
        self.tally.remove(counted);
        self.violated -= counted.violated_rules() as u64;
        // In first: a rule that stays violated keeps its place.
        if let Some(violations) = after {
            counted.add_pod(violations);
        }
        if let Some(violations) = before {
            counted.remove_pod(violations);
        }
        self.tally.add(counted);
        self.violated += counted.violated_rules() as u64;
        if counted.pods() == 0 {
            self.workloads.remove(workload);
        }
    }

    /// The one key of a workload that is known.
    pub fn key(&self, workload: &Arc<WorkloadKey>) -> Option<Arc<WorkloadKey>> {
        self.workloads.get_key_value(workload).map(|(key, _)| Arc::clone(key))
    }

    pub fn workloads(&self) -> u64 {
        self.workloads.len() as u64
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
