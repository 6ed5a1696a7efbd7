//! A policy over all its namespaces: sums that are kept as its cells change, so that one change costs the same however
//! many namespaces there are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cell::Counted;
use crate::api::Severity;
use crate::policy::compile::Policy;
use crate::policy::score::Loss;

/// How many namespaces of a cluster policy have a report with results.
const REPORTED_NAMESPACES: usize = 20;

pub(super) struct Totals {
    pub policy: Arc<Policy>,
    pub loss: Loss,
    pub workloads: u64,
    pub open: [u64; 4],
    /// The namespaces where something of a severity is open, in the order in which they are reported.
    heads: BTreeSet<(Severity, Arc<str>)>,
    /// The namespaces whose reports have results.
    pub reported: BTreeSet<Arc<str>>,
}

impl Totals {
    pub fn new(policy: Arc<Policy>) -> Self {
        let (loss, heads, reported) = (Loss::default(), BTreeSet::new(), BTreeSet::new());
        Self { policy, loss, workloads: 0, open: [0; 4], heads, reported }
    }

    /// Takes what a namespace counted out, and what it counts now in.
    pub fn change(&mut self, namespace: &Arc<str>, before: &Counted, after: &Counted) {
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

    /// Where violations are, worst first.
    pub fn heads(&self) -> impl Iterator<Item = &(Severity, Arc<str>)> {
        self.heads.iter()
    }

    /// Chooses anew the namespaces whose reports have results; those that were chosen and are not, or the other way.
    pub fn choose(&mut self) -> Vec<Arc<str>> {
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
