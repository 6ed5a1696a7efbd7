//! Judges the pods of a cluster one by one, then its workloads, and keeps only the findings. No I/O.
//!
//! The way in: [`Analyzer::pod`] for every pod, then [`Analyzer::workload`] for every object that makes pods.

mod workload;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::result::{Analysis, ClusterScore, NamespaceScore, RefusedPods, RuleScore};
use super::violation_key::ViolationKey;
use crate::api::Severity;
use crate::findings::{Fault, Summary, Violation};
use crate::policy::degree::Degree;
use crate::policy::engine::{Finding, judge, judge_running};
use crate::policy::object::Object;
use crate::policy::owner;
use crate::policy::plan::EvaluationPlan;
use crate::policy::pod_status::PodStatus;
use crate::policy::policy_set::PolicySet;
use crate::policy::score::{Costs, Loss, Score, Tally, Workload};
use crate::policy::subject::Subject;
use crate::policy::workload::Kind;

/// The findings in some namespaces, from the objects read so far.
pub struct Analyzer<'p> {
    policies: &'p PolicySet,
    now: Timestamp,
    namespaces: BTreeMap<String, Namespace<'p>>,
    pods: u64,
    skipped: u64,
    refused: Vec<RefusedPods>,
    faults: Vec<Fault>,
}

struct Namespace<'p> {
    plan: &'p EvaluationPlan,
    /// By kind and name.
    workloads: BTreeMap<(String, String), WorkloadFindings>,
}

#[derive(Default)]
struct WorkloadFindings {
    /// The number of its pods that count; 0 if the findings are those of its template.
    pods: u64,
    score: Workload,
    findings: BTreeMap<ViolationKey, WorstFinding>,
}

/// A violation that one or more of a workload's pods have; the fields are those of the worst pod.
struct WorstFinding {
    rule: &'static str,
    severity: Severity,
    degree: Degree,
    /// The worst pod's name.
    pod: String,
    value: Option<String>,
    message: String,
    /// How many pods have the violation.
    pods: u64,
}

impl<'p> Analyzer<'p> {
    /// Judges the pods of these namespaces, and skips all others. In a namespace without policies, pods are judged by
    /// `default_checks`, so that a namespace's score depends only on the policies in force there.
    pub fn new(
        policies: &'p PolicySet,
        default_checks: &'p PolicySet,
        namespaces: impl IntoIterator<Item = String>,
        now: Timestamp,
    ) -> Self {
        let mut faults = Vec::new();
        let mut plan = |name: &str| {
            let plan = policies.covering(Some(name)).unwrap_or_else(|unknown| {
                let message =
                    "its labels cannot be read; every namespaceSelector is assumed to match it";
                faults.push(Fault::cluster(name, message));
                unknown.assumed
            });
            if !plan.policies().is_empty() {
                return plan;
            }
            // The default checks have no namespaceSelector, so unknown labels do not matter.
            default_checks.covering(Some(name)).unwrap_or(plan)
        };
        let known = |name: String| {
            let plan = plan(&name);
            (name, Namespace { plan, workloads: BTreeMap::new() })
        };
        let namespaces = namespaces.into_iter().map(known).collect();
        Self { policies, now, namespaces, pods: 0, skipped: 0, refused: Vec::new(), faults }
    }

    /// Judges a pod, given as the API server's JSON.
    pub fn pod(&mut self, json: &str) {
        self.pods += 1;
        match self.judge(json) {
            Ok(true) => {}
            Ok(false) => self.skipped += 1,
            Err(message) => {
                self.skipped += 1;
                self.faults.push(Fault::cluster("a pod", format!("cannot be read: {message}")));
            }
        }
    }

    /// Leaves out a namespace that could not be read.
    pub fn leave_out(&mut self, namespace: &str, why: &str) {
        self.namespaces.remove(namespace);
        self.faults.push(Fault::cluster(namespace, why));
    }

    /// Whether no namespace is left.
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// Judges a pod; `false` if it does not count: it has ended, or its namespace is not analyzed.
    fn judge(&mut self, json: &str) -> Result<bool, String> {
        let object: Object = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let status: PodStatus = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let mut subject = Subject::of(Kind::Pod, &object).map_err(|error| error.to_string())?;
        let namespace = subject.namespace.and_then(|name| self.namespaces.get_mut(name));
        let Some(Namespace { plan, workloads }) = namespace.filter(|_| !status.has_ended()) else {
            return Ok(false);
        };
        let document;
        if plan.reads_documents() {
            document = self.policies.pod_document(plan, subject.namespace, json)?;
            subject.document = Some(&document);
        }
        let mut findings = judge(plan, &subject, self.now).violations;
        let running = status.running(self.now);
        findings.extend(judge_running(plan, &subject, &running, self.now).violations);

        let owner = owner::workload(&subject);
        let key = (owner.kind.into_owned(), owner.name.into_owned());
        let workload = workloads.entry(key).or_default();
        workload.pods += 1;
        workload.score.add_pod(findings.iter().map(|it| (it.rule.id, it.breach.degree)));
        let name = subject.metadata.map_or("", |metadata| &*metadata.name);
        for finding in &findings {
            workload.record(name, finding);
        }
        Ok(true)
    }

    /// The analysis of the objects read so far.
    pub fn finish(self) -> Analysis {
        let mut results = Vec::new();
        let mut namespaces = Vec::new();
        let mut loss = Loss::default();
        let mut workloads = 0;
        for (name, namespace) in self.namespaces {
            let tally = namespace.tally();
            let costs = Costs::of(namespace.plan.policies().iter().map(AsRef::as_ref));
            loss.add(&tally, &costs);
            workloads += tally.workloads();
            let score = tally.score(&costs);
            namespaces.push(namespace.into_score(name, score.as_ref(), &mut results));
        }
        // A stable sort: within a workload, the order of the keys remains.
        results.sort_by(|a: &Violation, b| {
            let key = |it: &Violation| {
                (it.severity, it.namespace.clone(), it.kind.clone(), it.name.clone())
            };
            key(a).cmp(&key(b))
        });
        let score = loss.score();
        let counts = Summary {
            documents: self.pods,
            workloads,
            skipped: self.skipped,
            violations: results.len() as u64,
            score: score.as_ref().map(|it| it.points),
        };
        let summary = ClusterScore {
            counts,
            classification: score.as_ref().map(Score::classification),
            lost_points: score.map(|it| it.lost_points).unwrap_or_default(),
        };
        let mut refused = self.refused;
        refused.sort_by_key(|it| Reverse(it.wanted.saturating_sub(it.running)));
        Analysis {
            namespaces,
            refused,
            results,
            summary,
            faults: self.faults,
            notes: Vec::new(),
            own: None,
        }
    }
}

impl WorkloadFindings {
    fn record(&mut self, pod: &str, finding: &Finding<'_>) {
        let breach = &finding.breach;
        let found = WorstFinding {
            rule: finding.rule.id,
            severity: finding.severity,
            degree: breach.degree,
            pod: pod.to_owned(),
            value: breach.value.clone(),
            message: finding.sentence(),
            pods: 1,
        };
        self.add(ViolationKey::of(finding), found);
    }

    /// Adds the pods of another workload.
    fn merge(&mut self, other: Self) {
        self.pods += other.pods;
        self.score.merge(other.score);
        for (key, found) in other.findings {
            self.add(key, found);
        }
    }

    fn add(&mut self, key: ViolationKey, found: WorstFinding) {
        match self.findings.get_mut(&key) {
            None => {
                self.findings.insert(key, found);
            }
            Some(known) => {
                let pods = known.pods + found.pods;
                if (found.severity, Reverse(found.degree)) < (known.severity, Reverse(known.degree))
                {
                    *known = found;
                }
                known.pods = pods;
            }
        }
    }
}

impl Namespace<'_> {
    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for workload in self.workloads.values() {
            tally.add(&workload.score);
        }
        tally
    }

    /// Scores the namespace, and moves its violations to the results.
    fn into_score(
        self,
        name: String,
        score: Option<&Score>,
        results: &mut Vec<Violation>,
    ) -> NamespaceScore {
        let lost_points = score.map(|it| it.lost_points.clone()).unwrap_or_default();
        let mut rules = BTreeMap::new();
        let (workloads, mut pods, before) = (self.workloads.len() as u64, 0, results.len());
        for ((kind, workload), facts) in self.workloads {
            pods += facts.pods;
            for (key, found) in facts.findings {
                let rule = rules.entry(found.rule).or_insert_with(|| RuleScore {
                    rule: found.rule,
                    severity: found.severity,
                    violations: 0,
                    lost_points: lost_points.get(found.rule).copied().unwrap_or(0),
                });
                rule.violations += 1;
                rule.severity = rule.severity.min(found.severity);
                let mut message = found.message;
                if facts.pods == 0 {
                    message = format!("{message} (template; no pod runs)");
                } else if facts.pods > 1 {
                    let (some, all, pod) = (found.pods, facts.pods, found.pod);
                    message = format!("{message} ({some} of {all} pods, such as {pod})");
                } else if kind != "Pod" {
                    message = format!("{message} (pod {})", found.pod);
                }
                results.push(Violation {
                    file: None,
                    line: None,
                    column: None,
                    kind: kind.clone(),
                    namespace: Some(name.clone()),
                    name: workload.clone(),
                    policy: key.policy,
                    rule: key.rule,
                    severity: found.severity,
                    container: key.container,
                    path: key.path,
                    value: found.value,
                    message,
                    decision: None,
                    fix: None,
                });
            }
        }
        let mut worst_rules: Vec<_> = rules.into_values().collect();
        worst_rules.sort_by_key(|it| (Reverse(it.lost_points), it.severity, it.rule));
        NamespaceScore {
            namespace: name,
            score: score.map(|it| it.points),
            classification: score.map(Score::classification),
            workloads,
            pods,
            violations: (results.len() - before) as u64,
            worst_rules,
            lost_points,
            policies: self.plan.policies().iter().map(|policy| policy.label.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
