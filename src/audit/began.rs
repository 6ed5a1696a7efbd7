//! When a violation that is new to the index began: now, unless an earlier leader has seen it before.

use jiff::Timestamp;

use crate::policy::compile::Policy;
use crate::policy::observed::{Fault, WorkloadKey};

/// Returns when a violation began that an earlier leader recorded; `None` for one that it did not.
pub type Remembered = Box<dyn Fn(&Policy, &WorkloadKey, &Fault) -> Option<Timestamp> + Send>;

/// Dates violations that are new to the index.
pub(super) struct BeganTimes<'a> {
    pub remembered: &'a Remembered,
    pub now: Timestamp,
}

impl BeganTimes<'_> {
    pub fn of(&self, policy: &Policy, workload: &WorkloadKey, fault: &Fault) -> Timestamp {
        (self.remembered)(policy, workload, fault).unwrap_or(self.now)
    }
}
