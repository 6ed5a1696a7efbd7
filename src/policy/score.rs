//! The health score of policies, from 0 (worst) to 100.
//!
//! A rule that every workload of a namespace breaks costs points by its severity. The unit is the workload, so the
//! number of replicas and sidecars does not change a score. In a namespace of N workloads, let v be a rule's sum, over
//! the workloads, of the share of their pods that violate it. The rule costs points · ln(1 + v) / ln(1 + N): the first
//! violating workload costs most. The score is 100 less what all rules cost, and not below 0. `docs/score.md` has
//! examples.
//!
//! The way in: a [`Workload`] adds up its pods, a [`Tally`] the workloads of a namespace, a [`Loss`] the namespaces,
//! and [`Loss::score`] rounds once. All sums are of integers, so the order of additions never changes a score.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::compile::Policy;
use super::degree::{BILLION, Degree, billionths, float};
use super::registry::RULES;
use crate::api::{Classification, Severity};

/// A millionth of a point, more than the error of the logarithms. Without it, exactly half a point might round down.
const SLACK: u64 = BILLION / 1_000_000;
/// The points of a namespace that loses none, in billionths.
const ALL: u64 = 100 * BILLION;

/// The sums of a workload's degrees by rule id, without the number of its pods.
#[derive(Clone, Debug, Default)]
pub struct Degrees(Vec<(&'static str, u64)>);

/// A workload: the number of pods that count, and the sums of their degrees.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    pods: u64,
    /// The sum of the pods' degrees by rule id, sorted by id. A list rather than a map: there are many workloads, and
    /// each violates few rules.
    degrees: Vec<(&'static str, u64)>,
}

impl Workload {
    /// A workload of this many pods, with the sums of their degrees.
    pub fn of(pods: u64, degrees: Degrees) -> Self {
        Self { pods, degrees: degrees.0 }
    }

    /// The sums of the pods' degrees; `None` if there is no violation.
    pub fn into_degrees(mut self) -> Option<Degrees> {
        self.degrees.shrink_to_fit();
        (!self.degrees.is_empty()).then_some(Degrees(self.degrees))
    }

    /// Adds a pod with its violations by rule id. Several violations of one rule count once, by the highest degree. The
    /// caller leaves out exempt violations.
    pub fn add_pod(&mut self, violations: impl IntoIterator<Item = (&'static str, Degree)>) {
        self.pods += 1;
        for (rule, degree) in worst(violations) {
            self.add_degree(rule, u64::from(degree.0));
        }
    }

    /// Adds the pods of another workload.
    pub fn merge(&mut self, other: Self) {
        self.pods += other.pods;
        for (rule, degree) in other.degrees {
            self.add_degree(rule, degree);
        }
    }

    fn add_degree(&mut self, rule: &'static str, degree: u64) {
        match self.degrees.binary_search_by_key(&rule, |(rule, _)| rule) {
            Ok(place) => {
                if let Some((_, sum)) = self.degrees.get_mut(place) {
                    *sum += degree;
                }
            }
            Err(place) => {
                self.degrees.reserve_exact(1);
                self.degrees.insert(place, (rule, degree));
            }
        }
    }

    /// Removes a pod that was added with exactly these violations.
    pub fn remove_pod(&mut self, violations: impl IntoIterator<Item = (&'static str, Degree)>) {
        self.pods = self.pods.saturating_sub(1);
        for (rule, degree) in worst(violations) {
            for (known, sum) in &mut self.degrees {
                if *known == rule {
                    *sum = sum.saturating_sub(u64::from(degree.0));
                }
            }
        }
        self.degrees.retain(|(_, sum)| *sum > 0);
    }

    /// The number of rules that its pods violate.
    pub fn violated_rules(&self) -> usize {
        self.degrees.len()
    }
}

/// The highest degree of each rule, by rule id.
fn worst(
    violations: impl IntoIterator<Item = (&'static str, Degree)>,
) -> BTreeMap<&'static str, Degree> {
    let mut worst = BTreeMap::new();
    for (rule, degree) in violations {
        let known = worst.entry(rule).or_insert(degree);
        *known = degree.max(*known);
    }
    worst
}

/// The workloads of one namespace.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    workloads: u64,
    /// The sum of the workloads' shares by rule id, in billionths.
    shares: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Adds a workload. One without counted pods changes nothing.
    pub fn add(&mut self, workload: &Workload) {
        if workload.pods == 0 {
            return;
        }
        self.workloads += 1;
        for (rule, degrees) in &workload.degrees {
            *self.shares.entry(rule).or_default() += share(*degrees, workload.pods);
        }
    }

    /// Removes a workload that was added in exactly this state.
    pub fn remove(&mut self, workload: &Workload) {
        if workload.pods == 0 {
            return;
        }
        self.workloads = self.workloads.saturating_sub(1);
        for (rule, degrees) in &workload.degrees {
            if let Some(sum) = self.shares.get_mut(rule) {
                *sum = sum.saturating_sub(share(*degrees, workload.pods));
                if *sum == 0 {
                    self.shares.remove(rule);
                }
            }
        }
    }

    /// The number of workloads with at least one counted pod.
    pub fn workloads(&self) -> u64 {
        self.workloads
    }

    /// The score of this namespace alone; `None` if it has no workload.
    pub fn score(&self, costs: &Costs) -> Option<Score> {
        let mut loss = Loss::default();
        loss.add(self, costs);
        loss.score()
    }
}

/// The mean degree of a pod, in billionths, rounded half up: ten times the pods have the same share.
fn share(degrees: u64, pods: u64) -> u64 {
    (2 * degrees + pods) / (2 * pods)
}

/// The points that each enabled rule costs where every workload breaks it, by rule id.
#[derive(Clone, Debug, Default)]
pub struct Costs(BTreeMap<&'static str, u32>);

impl Costs {
    /// The costs of the rules that the policies enable, each by the highest severity that a policy gives the rule.
    pub fn of<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Self {
        let mut costs = BTreeMap::new();
        for policy in policies {
            for rule in RULES {
                if let Some(severity) = policy.worst_severity(rule) {
                    let known = costs.entry(rule.id).or_default();
                    *known = points(severity).max(*known);
                }
            }
        }
        Self(costs)
    }

    /// The number of enabled rules.
    pub fn rules(&self) -> usize {
        self.0.len()
    }
}

/// The points that a rule of this severity costs where every workload breaks it.
const fn points(severity: Severity) -> u32 {
    match severity {
        Severity::Critical => 50,
        Severity::High => 30,
        Severity::Medium => 20,
        Severity::Low => 10,
    }
}

/// The points that namespaces lose of their hundred each. A namespace without workloads does not count.
#[derive(Clone, Debug, Default)]
pub struct Loss {
    namespaces: u64,
    /// The sum over the namespaces, in billionths of a point.
    total: u64,
    /// The same by rule id.
    by_rule: BTreeMap<&'static str, u64>,
}

impl Loss {
    /// Adds a namespace, with the costs of the rules in force there.
    pub fn add(&mut self, tally: &Tally, costs: &Costs) {
        if tally.workloads == 0 {
            return;
        }
        self.namespaces += 1;
        let cost = |(rule, share): (&&'static str, &u64)| {
            let violating = float(*share) / float(BILLION);
            let part = violating.ln_1p() / float(tally.workloads).ln_1p();
            let cost = billionths(f64::from(*costs.0.get(rule)?) * part);
            (cost > 0).then_some((*rule, cost))
        };
        let rules: Vec<_> = tally.shares.iter().filter_map(cost).collect();
        let sum: u64 = rules.iter().map(|(_, cost)| cost).sum();
        let lost = sum.min(ALL);
        self.total += lost;
        for (rule, cost) in rules {
            *self.by_rule.entry(rule).or_default() += scaled(cost, lost, sum);
        }
    }

    /// Adds the namespaces of another loss.
    pub fn merge(&mut self, other: &Self) {
        self.namespaces += other.namespaces;
        self.total += other.total;
        for (rule, loss) in &other.by_rule {
            *self.by_rule.entry(rule).or_default() += loss;
        }
    }

    /// Removes a loss that was merged in exactly this state.
    pub fn unmerge(&mut self, other: &Self) {
        self.namespaces = self.namespaces.saturating_sub(other.namespaces);
        self.total = self.total.saturating_sub(other.total);
        for (rule, loss) in &other.by_rule {
            if let Some(sum) = self.by_rule.get_mut(rule) {
                *sum = sum.saturating_sub(*loss);
            }
        }
        self.by_rule.retain(|_, sum| *sum > 0);
    }

    /// The mean over the namespaces; `None` if there are none.
    pub fn score(&self) -> Option<Score> {
        if self.namespaces == 0 {
            return None;
        }
        let point = BILLION * self.namespaces;
        let kept = (ALL * self.namespaces).saturating_sub(self.total);
        let rounded = (kept + point / 2 + SLACK * self.namespaces) / point;
        let points = u8::try_from(rounded.min(100)).unwrap_or(100);
        Some(Score { points, lost_points: apportion(&self.by_rule, point, 100 - points) })
    }
}

/// `cost` · `lost` / `sum`, rounded down.
fn scaled(cost: u64, lost: u64, sum: u64) -> u64 {
    let scaled = u128::from(cost) * u128::from(lost) / u128::from(sum);
    u64::try_from(scaled).unwrap_or(cost)
}

/// Splits `sum` points among the rules by the largest-remainder method: each rule gets the whole points of its share,
/// and the remaining points go, one each, to the largest remainders. Ties go to the larger share, then to the lower id.
fn apportion(
    shares: &BTreeMap<&'static str, u64>,
    point: u64,
    sum: u8,
) -> BTreeMap<&'static str, u8> {
    let whole = |share: u64| u8::try_from(share / point).unwrap_or(100);
    let left = shares.values().fold(sum, |left, share| left.saturating_sub(whole(*share)));
    let mut order: Vec<_> = shares.iter().collect();
    order.sort_by_key(|(rule, share)| (Reverse(**share % point), Reverse(**share), **rule));
    let parts = order.into_iter().enumerate().map(|(place, (rule, share))| {
        let extra = u8::from(place < usize::from(left));
        (*rule, whole(*share) + extra)
    });
    parts.filter(|(_, points)| *points > 0).collect()
}

/// A health score.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Score {
    /// From 0 (worst) to 100.
    pub points: u8,
    /// The points that each rule costs. They add up to 100 minus the score; rules that cost none are left out.
    pub lost_points: BTreeMap<&'static str, u8>,
}

/// The class of a score.
pub fn class(points: u8) -> Classification {
    match points {
        80.. => Classification::Healthy,
        60.. => Classification::Stable,
        40.. => Classification::Degraded,
        _ => Classification::Critical,
    }
}

impl Score {
    pub fn classification(&self) -> Classification {
        class(self.points)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
