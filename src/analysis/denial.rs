//! What denies a pod, for people.

use std::collections::BTreeSet;

use crate::policy::engine::Finding;

/// The denial of a pod.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// The labels of the policies that deny it, sorted.
    pub policies: Vec<String>,
    /// The worst violation, and the number of the others.
    pub message: String,
}

impl Denial {
    /// `None` if nothing denies the pod. The findings are sorted, worst first.
    pub fn of(denied: &[Finding<'_>]) -> Option<Self> {
        let worst = denied.first()?.breach.sentence();
        // Several policies may find the same.
        let sentences: BTreeSet<_> = denied.iter().map(|it| it.breach.sentence()).collect();
        let message = match sentences.len() - 1 {
            0 => worst,
            1 => format!("{worst} (and 1 more violation)"),
            more => format!("{worst} (and {more} more violations)"),
        };
        let policies: BTreeSet<_> = denied.iter().map(|it| &*it.policy.label).collect();
        Some(Self { policies: policies.into_iter().map(str::to_owned).collect(), message })
    }
}
