//! The sums of a policy over all its namespaces, updated as its cells change,
//! so that the cost of a change does not depend on the number of namespaces.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cell::CellSums;
use super::standing::PodSum;
use crate::api::Severity;
use crate::policy::compile::Policy;
use crate::policy::enforced::Enforced;
use crate::policy::score::Loss;

/// The most namespaces of a cluster policy whose reports list results.
const REPORTED_NAMESPACES: usize = 20;

pub(super) struct Totals {
    pub policy: Arc<Policy>,
    /// As [`ObservedPolicy::covers_nothing`].
    ///
    /// [`ObservedPolicy::covers_nothing`]: crate::policy::observed::ObservedPolicy::covers_nothing
    pub covers_nothing: Option<String>,
    pub loss: Loss,
    pub workloads: u64,
    pub open: [u64; 4],
    /// The number of workloads whose new pods the policy refuses.
    pub refused: u64,
    pub at_risk: PodSum,
    pub slipped: PodSum,
    /// Since when its rules deny.
    pub enforced: Enforced,
    /// The namespaces with an open violation, by severity, in the order in which they are reported.
    heads: BTreeSet<(Severity, Arc<str>)>,
    /// The namespaces whose reports list results.
    pub reported: BTreeSet<Arc<str>>,
}

impl Totals {
    pub fn new(policy: Arc<Policy>, covers_nothing: Option<String>, enforced: Enforced) -> Self {
        let (loss, heads, reported) = (Loss::default(), BTreeSet::new(), BTreeSet::new());
        Self {
            policy,
            covers_nothing,
            loss,
            workloads: 0,
            open: [0; 4],
            refused: 0,
            at_risk: PodSum::default(),
            slipped: PodSum::default(),
            enforced,
            heads,
            reported,
        }
    }

    /// Replaces a namespace's part of the sums.
    pub fn change(&mut self, namespace: &Arc<str>, before: &CellSums, after: &CellSums) {
        self.loss.unmerge(&before.loss);
        self.loss.merge(&after.loss);
        self.workloads = self.workloads - before.workloads + after.workloads;
        let counts = self.open.iter_mut().zip(before.open.iter().zip(&after.open));
        for ((sum, (before, after)), severity) in counts.zip(Severity::ALL) {
            *sum = *sum - before + after;
            if *after > 0 {
                self.heads.insert((severity, Arc::clone(namespace)));
            } else if *before > 0 {
                self.heads.remove(&(severity, Arc::clone(namespace)));
            }
        }
    }

    /// The namespaces with open violations, worst severity first.
    pub fn heads(&self) -> impl Iterator<Item = &(Severity, Arc<str>)> {
        self.heads.iter()
    }

    /// Chooses the namespaces whose reports list results. Returns those that were added or dropped.
    pub fn choose_reported(&mut self) -> Vec<Arc<str>> {
        let mut reported = BTreeSet::new();
        for (_, namespace) in &self.heads {
            if reported.len() == REPORTED_NAMESPACES {
                break;
            }
            reported.insert(Arc::clone(namespace));
        }
        let changed = self.reported.symmetric_difference(&reported).cloned().collect();
        self.reported = reported;
        changed
    }
}
