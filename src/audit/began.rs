//! When a violation that is new to the index began: now, unless an earlier leader has seen it before.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::policy::compile::Policy;
use crate::policy::enforced::RecordedPolicy;
use crate::policy::observed::{Fault, WorkloadKey};

/// Returns when a violation began that an earlier leader recorded; `None` for one that it did not.
pub type Began = Box<dyn Fn(&Policy, &WorkloadKey, &Fault) -> Option<Timestamp> + Send>;

/// What an earlier leader recorded in the cluster.
pub struct Remembered {
    /// From reports.
    pub began: Began,
    /// From the statuses of policies, by label.
    pub policies: BTreeMap<String, RecordedPolicy>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { began: Box::new(|_, _, _| None), policies: BTreeMap::new() }
    }
}

/// Dates violations that are new to the index.
pub(super) struct BeganTimes<'a> {
    pub remembered: &'a Remembered,
    pub now: Timestamp,
}

impl BeganTimes<'_> {
    pub fn of(&self, policy: &Policy, workload: &WorkloadKey, fault: &Fault) -> Timestamp {
        (self.remembered.began)(policy, workload, fault).unwrap_or(self.now)
    }
}
