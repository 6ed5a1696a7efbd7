//! Which parts of the policies under test the cases exercise.
//!
//! A part is a rule, a check of `podSecurity`, or a validation, which counts twice: an object violates it, and an
//! object passes it; or an exemption, which counts once: it exempts a violation. Rules of a running pod's status are no
//! part, because no review decides them.

use std::collections::{BTreeMap, BTreeSet};

use super::policies::TestedPolicy;
use super::review::Observed;
use crate::policy::plan::EvaluationPlan;

/// A part of a policy, and what must happen to it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Part {
    Violated(String),
    Passed(String),
    /// By its index in `spec.exemptions`.
    Exempts(usize),
}

/// A part that no case exercises.
#[derive(Debug)]
pub struct Uncovered<'c> {
    /// The policy's label.
    pub policy: &'c str,
    pub part: &'c Part,
}

/// The parts of each policy, with whether a case exercises them. Policies are known by their places.
#[derive(Default)]
pub struct Coverage(BTreeMap<String, Parts>);

struct Parts {
    label: String,
    parts: BTreeMap<Part, bool>,
}

impl Coverage {
    /// Adds the parts of policies.
    pub(super) fn expect(&mut self, policies: &[TestedPolicy]) {
        for TestedPolicy { place, policy } in policies {
            let ids = policy.review_ids().into_iter();
            let ids = ids.flat_map(|id| [Part::Violated(id.clone()), Part::Passed(id)]);
            let exemptions = policy.exempts(jiff::Timestamp::MIN).enumerate();
            let exemptions = exemptions.map(|(index, _)| Part::Exempts(index));
            let parts = ids.chain(exemptions).map(|part| (part, false)).collect();
            let label = policy.label.clone();
            self.0.entry(place.clone()).or_insert(Parts { label, parts });
        }
    }

    /// Adds what an object exercises of the policies that cover its namespace.
    pub(super) fn case(
        &mut self,
        policies: &[TestedPolicy],
        plan: &EvaluationPlan,
        observed: &Observed,
    ) {
        for TestedPolicy { place, policy } in policies {
            if !plan.policies().iter().any(|it| it.label == policy.label) {
                continue;
            }
            let Some(Parts { parts, .. }) = self.0.get_mut(place) else { continue };
            let found = observed.found.iter().map(|it| (&it.policy, it.rule.as_str()));
            let exempt = observed.exempt.iter().filter(|it| it.policy == policy.label);
            let found = found.filter(|(label, _)| **label == policy.label).map(|(_, rule)| rule);
            let violated: BTreeSet<_> =
                found.chain(exempt.clone().map(|it| it.rule.as_str())).collect();
            let exempts: BTreeSet<_> = exempt.map(|it| it.exemption).collect();
            for (part, covered) in parts {
                *covered |= match part {
                    Part::Violated(id) => violated.contains(id.as_str()),
                    // A rule that is undecided as a whole has passed in no check.
                    Part::Passed(id) => {
                        let rule = id.split('/').next().unwrap_or_default();
                        !violated.contains(id.as_str()) && !violated.contains(rule)
                    }
                    Part::Exempts(index) => exempts.contains(index),
                };
            }
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        for (place, Parts { label, parts }) in other.0 {
            let own = self.0.entry(place).or_insert(Parts { label, parts: BTreeMap::new() });
            for (part, covered) in parts {
                *own.parts.entry(part).or_default() |= covered;
            }
        }
    }

    /// The number of parts that a case exercises, and of all.
    pub fn counts(&self) -> (usize, usize) {
        let all = || self.0.values().flat_map(|it| it.parts.values());
        (all().filter(|covered| **covered).count(), all().count())
    }

    /// The covered part in percent, rounded down; `None` where there is nothing to cover.
    pub fn percent(&self) -> Option<usize> {
        let (covered, all) = self.counts();
        (covered * 100).checked_div(all)
    }

    /// The parts that no case exercises.
    pub fn uncovered(&self) -> impl Iterator<Item = Uncovered<'_>> {
        self.0.values().flat_map(|Parts { label, parts }| {
            let missing = parts.iter().filter(|(_, covered)| !**covered);
            missing.map(move |(part, _)| Uncovered { policy: label, part })
        })
    }
}

impl Part {
    /// The missing case, as a sentence.
    pub fn missing(&self) -> String {
        match self {
            Self::Violated(id) => format!("no case violates {id}"),
            Self::Passed(id) => format!("no case passes {id}"),
            Self::Exempts(index) => format!("no case needs spec.exemptions[{index}]"),
        }
    }
}
