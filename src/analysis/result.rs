//! The result of `podgate analyze`. The field names are those of its JSON, which other programs rely on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::api::{Classification, Severity};
use crate::findings::{Fault, Summary, Violation};

/// A whole analysis. `-o json` prints it with `apiVersion: podgate/v1` as its first field.
#[derive(Debug, Serialize)]
pub struct Analysis {
    /// Sorted by name.
    pub namespaces: Vec<NamespaceScore>,
    /// Workloads that want more pods than they have, and whose new pods admission would deny. Those that lack the most
    /// pods come first.
    pub refused: Vec<RefusedPods>,
    /// The violations of each policy, worst first. Pods of one workload share a violation: its kind and name are the
    /// workload's, and its path is a field of the pods. A workload without pods has those of the pods that it would
    /// make.
    pub results: Vec<Violation>,
    pub summary: ClusterScore,
    /// What could not be read or decided. Printed on stderr, and not part of the JSON.
    #[serde(skip)]
    pub faults: Vec<Fault>,
    /// Notes, printed on stderr like the faults.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// The cluster's own policies, for comparing clusters; `None` if `--policy` or `--bundle` replaced them.
    #[serde(skip)]
    pub own: Option<OwnPolicies>,
}

/// A cluster's own policies.
#[derive(Debug, Default)]
pub struct OwnPolicies {
    /// The content hash of each, by its kind and name.
    pub hashes: BTreeMap<String, String>,
    /// Whether some policies could not be read.
    pub incomplete: bool,
}

/// A workload that admission keeps from making pods.
#[derive(Debug, Serialize)]
pub struct RefusedPods {
    pub namespace: String,
    pub kind: String,
    pub name: String,
    /// The number of pods that it wants. A CronJob wants one: that of its next run.
    pub wanted: u32,
    /// The number of pods that it has, of its present template.
    pub running: u32,
    /// The labels of the policies that deny new pods, sorted.
    pub policies: Vec<String>,
    /// The worst violation, and the number of the others.
    pub message: String,
}

/// The score of one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceScore {
    pub namespace: String,
    /// Null if the namespace has no workload, and so is the class.
    pub score: Option<u8>,
    pub classification: Option<Classification>,
    /// Workloads, with and without pods. Those whose pods have all ended do not count, unless they make new ones.
    pub workloads: u64,
    /// Pods that count: those that have neither succeeded nor failed.
    pub pods: u64,
    pub violations: u64,
    /// The violated rules, sorted by lost points, most first.
    pub worst_rules: Vec<RuleScore>,
    pub lost_points: BTreeMap<&'static str, u8>,
    /// The labels of the policies in force in the namespace.
    pub policies: Vec<String>,
}

/// The points that a rule's violations cost.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleScore {
    pub rule: &'static str,
    /// The highest severity of its violations.
    pub severity: Severity,
    pub violations: u64,
    pub lost_points: u8,
}

/// The score of all namespaces together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterScore {
    /// `documents` counts the pods that were read, `skipped` those that do not count.
    #[serde(flatten)]
    pub counts: Summary,
    /// Null if there is no score.
    pub classification: Option<Classification>,
    pub lost_points: BTreeMap<&'static str, u8>,
}

/// A violation, with all the policies that find it.
pub struct DistinctViolation<'a> {
    /// As the policy has it that finds it most severe.
    pub violation: &'a Violation,
    pub policies: Vec<&'a str>,
}

/// The number of violations of a rule.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RuleCount {
    /// The rule's id, followed by the check if the rule has several: `podSecurity/hostPathVolumes`.
    pub rule: String,
    /// The highest severity of its violations.
    pub severity: Severity,
    pub violations: u64,
}

impl Analysis {
    /// The violations, worst first. One that several policies find with the same message counts once.
    pub fn distinct(&self) -> Vec<DistinctViolation<'_>> {
        let mut all: Vec<DistinctViolation<'_>> = Vec::new();
        let mut known = HashMap::new();
        for it in &self.results {
            let workload = (&it.namespace, &it.kind, &it.name);
            let key = (workload, &it.rule, &it.container, &it.path, &it.message);
            let place = *known.entry(key).or_insert(all.len());
            match all.get_mut(place) {
                Some(found) => found.policies.push(&it.policy),
                None => all.push(DistinctViolation { violation: it, policies: vec![&it.policy] }),
            }
        }
        all
    }
}

impl RuleCount {
    /// Counts violations by rule, in the order of [`Self::worst_first`].
    pub fn of(violations: &[DistinctViolation<'_>]) -> Vec<Self> {
        let mut rules = BTreeMap::<&str, Self>::new();
        for DistinctViolation { violation, .. } in violations {
            let rule = rules.entry(&violation.rule).or_insert_with(|| Self {
                rule: violation.rule.clone(),
                severity: violation.severity,
                violations: 0,
            });
            rule.severity = rule.severity.min(violation.severity);
            rule.violations += 1;
        }
        let mut rules: Vec<_> = rules.into_values().collect();
        Self::worst_first(&mut rules);
        rules
    }

    /// Sorts rules by severity, then by violations, most first.
    pub fn worst_first(rules: &mut [Self]) {
        rules.sort_by(|a, b| {
            let key = |it: &Self| (it.severity, Reverse(it.violations));
            key(a).cmp(&key(b)).then_with(|| a.rule.cmp(&b.rule))
        });
    }
}
