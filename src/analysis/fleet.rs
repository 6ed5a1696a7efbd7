//! Several clusters side by side: how each does, which rules are violated where, and where policies differ. No I/O.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::cluster::AnalysisError;
use super::result::Analysis;
use crate::api::{Classification, Severity};
use crate::clusters::ClusterError;
use crate::findings::FaultKind;

/// How many faults of a cluster are named here.
const SHOWN_FAULTS: usize = 5;

/// What became of asking a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum State {
    /// It answered everything.
    Reachable,
    /// It answered, and something could not be read or judged; the rest is in the answer.
    Incomplete,
    /// It answers, and not as a healthy API server does.
    Failing,
    /// It does not answer, or not in time.
    Unreachable,
    /// It does not know who asks.
    Unauthorized,
    /// Whoever asks may not read it.
    Forbidden,
    /// The kubeconfig's context or its credentials cannot be used, so nothing was asked.
    Invalid,
}

impl State {
    /// As it is written in tables and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reachable => "Reachable",
            Self::Incomplete => "Incomplete",
            Self::Failing => "Failing",
            Self::Unreachable => "Unreachable",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::Invalid => "Invalid",
        }
    }
}

impl From<&ClusterError> for State {
    fn from(error: &ClusterError) -> Self {
        match error {
            ClusterError::NoAnswer { .. }
            | ClusterError::Unreachable { .. }
            | ClusterError::Thread(_) => Self::Unreachable,
            ClusterError::Forbidden(_) => Self::Forbidden,
            ClusterError::Unauthorized(_) => Self::Unauthorized,
            ClusterError::NotServed(_) | ClusterError::Api(_) => Self::Failing,
            ClusterError::File { .. }
            | ClusterError::NoContexts(_)
            | ClusterError::UnknownContext { .. }
            | ClusterError::NoCurrentContext(_)
            | ClusterError::Context { .. }
            | ClusterError::None(_)
            | ClusterError::Client(_) => Self::Invalid,
        }
    }
}

impl From<&AnalysisError> for State {
    fn from(error: &AnalysisError) -> Self {
        match error {
            AnalysisError::Cluster(error) => error.into(),
            AnalysisError::NoNamespace(_) | AnalysisError::Protected(_) => Self::Incomplete,
        }
    }
}

/// A cluster, or what stands against it.
#[derive(Debug, Serialize)]
pub struct Member {
    pub context: String,
    /// Where its API server is, as the kubeconfig has it.
    pub server: Option<String>,
    pub state: State,
    /// Why it is not `Reachable`, or what else a person should know.
    pub message: Option<String>,
    /// Kubernetes' version, such as `v1.36.1`.
    pub version: Option<String>,
    /// Of a cluster that was analyzed.
    #[serde(flatten)]
    pub found: Option<ClusterFindings>,
}

/// What an analysis says of a cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterFindings {
    pub score: u8,
    pub classification: Classification,
    pub workloads: u64,
    pub violations: u64,
    pub severities: BySeverity,
    pub lost_points: BTreeMap<&'static str, u8>,
    /// By severity, then the most violated first.
    pub rules: Vec<RuleCount>,
    /// The content hash of its own policies by kind and name; null where others were given to judge by.
    pub policies: Option<BTreeMap<String, String>>,
    /// Whether it may have more policies, which could not be read.
    #[serde(skip)]
    partly: bool,
}

/// Violations by how severe they are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct BySeverity {
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub low: u64,
}

/// How often a rule is violated.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RuleCount {
    /// With its check where it has several: `podSecurity/hostPathVolumes`.
    pub rule: String,
    /// The worst of its violations.
    pub severity: Severity,
    pub violations: u64,
}

impl Member {
    /// What an analysis of a cluster came to.
    pub fn new(
        context: String,
        server: Option<String>,
        version: Option<String>,
        analyzed: Result<Analysis, AnalysisError>,
    ) -> Self {
        let analysis = match analyzed {
            Ok(analysis) => analysis,
            Err(error) => {
                let (state, message) = (State::from(&error), Some(error.to_string()));
                return Self { context, server, state, message, version, found: None };
            }
        };
        let faults = || analysis.faults.iter().filter(|it| it.kind != FaultKind::NotServed);
        let count = faults().count();
        let state = if count == 0 { State::Reachable } else { State::Incomplete };
        let mut remarks: Vec<_> = faults()
            .take(SHOWN_FAULTS)
            .map(|fault| format!("{}: {}", fault.place, fault.message))
            .collect();
        if count > remarks.len() {
            remarks.push(format!("and {} more: podgate analyze --context", count - remarks.len()));
        }
        if analysis.faults.len() > count {
            remarks.push("podgate is not installed here, so the default checks apply".to_owned());
        }
        remarks.extend(analysis.notes.iter().cloned());
        let message = (!remarks.is_empty()).then(|| remarks.join("; "));
        Self {
            context,
            server,
            state,
            message,
            version,
            found: Some(ClusterFindings::of(analysis)),
        }
    }
}

impl ClusterFindings {
    fn of(analysis: Analysis) -> Self {
        let mut severities = BySeverity::default();
        let mut rules = BTreeMap::<&str, RuleCount>::new();
        for violation in &analysis.results {
            severities.count(violation.severity);
            let rule = rules.entry(&violation.rule).or_insert_with(|| RuleCount {
                rule: violation.rule.clone(),
                severity: violation.severity,
                violations: 0,
            });
            rule.severity = rule.severity.min(violation.severity);
            rule.violations += 1;
        }
        let mut rules: Vec<_> = rules.into_values().collect();
        worst_first(&mut rules);
        let partly = analysis.own.as_ref().is_some_and(|own| own.partly);
        Self {
            score: analysis.summary.counts.score,
            classification: analysis.summary.classification,
            workloads: analysis.summary.counts.workloads,
            violations: analysis.summary.counts.violations,
            severities,
            lost_points: analysis.summary.lost_points,
            rules,
            policies: analysis.own.map(|own| own.hashes),
            partly,
        }
    }
}

impl BySeverity {
    const fn count(&mut self, severity: Severity) {
        match severity {
            Severity::Critical => self.critical += 1,
            Severity::High => self.high += 1,
            Severity::Medium => self.medium += 1,
            Severity::Low => self.low += 1,
        }
    }

    /// From the worst to the least.
    pub fn each(self) -> impl Iterator<Item = (Severity, u64)> {
        [
            (Severity::Critical, self.critical),
            (Severity::High, self.high),
            (Severity::Medium, self.medium),
            (Severity::Low, self.low),
        ]
        .into_iter()
    }
}

fn worst_first(rules: &mut [RuleCount]) {
    rules.sort_by(|a, b| {
        let key = |it: &RuleCount| (it.severity, Reverse(it.violations));
        key(a).cmp(&key(b)).then_with(|| a.rule.cmp(&b.rule))
    });
}

/// The whole answer of `podgate clusters analyze`: `-o json` prints it with `apiVersion: podgate/v1` before it.
#[derive(Debug, Serialize)]
pub struct Fleet {
    /// In the order of the kubeconfig.
    pub clusters: Vec<Member>,
    /// The policies that are not the same everywhere, by kind and name; null where fewer than two clusters compare.
    pub drift: Option<Vec<Drift>>,
}

/// A policy that differs between clusters.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub struct Drift {
    /// `DevOpsPolicy NAMESPACE/NAME`, or `ClusterDevOpsPolicy NAME`.
    pub policy: String,
    pub clusters: Vec<PolicyCopy>,
}

/// A policy as one cluster has it.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub struct PolicyCopy {
    pub context: String,
    /// The first twelve hexadecimal digits of the SHA-256 of its spec; null where the cluster lacks it. A cluster whose
    /// policies could not all be read is left out where it is not known.
    pub hash: Option<String>,
}

impl Fleet {
    pub fn new(clusters: Vec<Member>) -> Self {
        let comparable = clusters.iter().filter(|it| policies(it).is_some()).count() > 1;
        let drift = comparable.then(|| drift(&clusters));
        Self { clusters, drift }
    }

    /// Every rule that is violated anywhere, the worst first, by all its violations.
    pub fn rules(&self) -> Vec<RuleCount> {
        let mut all = BTreeMap::<&str, RuleCount>::new();
        for rule in self.found().flat_map(|(_, found)| &found.rules) {
            let sum = all
                .entry(&rule.rule)
                .or_insert_with(|| RuleCount { violations: 0, ..rule.clone() });
            sum.severity = sum.severity.min(rule.severity);
            sum.violations += rule.violations;
        }
        let mut all: Vec<_> = all.into_values().collect();
        worst_first(&mut all);
        all
    }

    /// The clusters that were analyzed.
    pub fn found(&self) -> impl Iterator<Item = (&Member, &ClusterFindings)> {
        self.clusters.iter().filter_map(|it| Some((it, it.found.as_ref()?)))
    }

    /// Those whose policies were read, at least some of them.
    pub fn compared(&self) -> impl Iterator<Item = &Member> {
        self.clusters.iter().filter(|it| policies(it).is_some())
    }

    /// How many policies there are, each counted once.
    pub fn policies(&self) -> usize {
        names(&self.clusters).len()
    }

    /// How many clusters were not fully read.
    pub fn unread(&self) -> usize {
        self.clusters.iter().filter(|it| it.state != State::Reachable).count()
    }
}

fn policies(member: &Member) -> Option<&BTreeMap<String, String>> {
    member.found.as_ref()?.policies.as_ref()
}

fn names(clusters: &[Member]) -> BTreeSet<&str> {
    clusters.iter().filter_map(policies).flat_map(BTreeMap::keys).map(String::as_str).collect()
}

fn drift(clusters: &[Member]) -> Vec<Drift> {
    let copy = |member: &Member, policy: &str| {
        let found = member.found.as_ref()?;
        let hash = found.policies.as_ref()?.get(policy).cloned();
        let known = hash.is_some() || !found.partly;
        known.then(|| PolicyCopy { context: member.context.clone(), hash })
    };
    let of = |policy: &str| {
        let copies: Vec<_> = clusters.iter().filter_map(|it| copy(it, policy)).collect();
        let hashes: BTreeSet<_> = copies.iter().map(|copy| copy.hash.as_deref()).collect();
        (hashes.len() > 1).then(|| Drift { policy: policy.to_owned(), clusters: copies })
    };
    names(clusters).into_iter().filter_map(of).collect()
}

/// Clusters for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::super::result::{ClusterScore, OwnPolicies};
    use super::*;
    use crate::findings::{Summary, Violation};

    fn violation(rule: &str, severity: Severity) -> Violation {
        Violation {
            file: None,
            line: None,
            column: None,
            kind: "Deployment".to_owned(),
            namespace: Some("shop".to_owned()),
            name: "cart".to_owned(),
            policy: "shop/baseline".to_owned(),
            rule: rule.to_owned(),
            severity,
            container: None,
            path: "spec".to_owned(),
            value: None,
            message: "it is wrong".to_owned(),
            fix: None,
        }
    }

    pub fn analysis(violations: &[(&str, Severity)], policies: &[(&str, &str)]) -> Analysis {
        let results: Vec<_> = violations.iter().map(|(rule, it)| violation(rule, *it)).collect();
        let counts = Summary { violations: results.len() as u64, score: 90, ..Summary::default() };
        let hash = |(name, hash): &(&str, &str)| ((*name).to_owned(), (*hash).to_owned());
        let hashes = policies.iter().map(hash).collect();
        Analysis {
            namespaces: Vec::new(),
            results,
            summary: ClusterScore {
                counts,
                classification: Classification::Healthy,
                lost_points: BTreeMap::new(),
            },
            faults: Vec::new(),
            notes: Vec::new(),
            own: Some(OwnPolicies { hashes, partly: false }),
        }
    }

    pub fn member(context: &str, analysis: Analysis) -> Member {
        Member::new(context.to_owned(), None, None, Ok(analysis))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{analysis, member};
    use super::*;
    use crate::findings::Fault;

    fn lost(context: &str) -> Member {
        let error = ClusterError::Forbidden("no".to_owned());
        Member::new(context.to_owned(), None, None, Err(error.into()))
    }

    fn fault(kind: FaultKind) -> Fault {
        Fault { place: "shop".to_owned(), message: "cannot be read".to_owned(), kind }
    }

    #[test]
    fn a_cluster_is_what_its_analysis_came_to() {
        let whole = member("a", analysis(&[], &[]));
        assert_eq!((whole.state, whole.message), (State::Reachable, None));

        let mut bare = analysis(&[], &[]);
        bare.faults.push(fault(FaultKind::NotServed));
        let bare = member("a", bare);
        assert_eq!(bare.state, State::Reachable, "a cluster without podgate is read whole");
        assert!(bare.message.unwrap().contains("podgate is not installed here"));

        let mut partly = analysis(&[], &[]);
        partly.faults.push(fault(FaultKind::Cluster));
        let partly = member("a", partly);
        assert_eq!(partly.state, State::Incomplete);
        assert_eq!(partly.message.as_deref(), Some("shop: cannot be read"));

        assert_eq!(lost("a").state, State::Forbidden);
        assert!(lost("a").found.is_none());
    }

    #[test]
    fn rules_come_worst_first_over_all_clusters() {
        use Severity::{Critical, High, Low};
        let a = analysis(&[("x", Low), ("y", High), ("x", Low)], &[]);
        let b = analysis(&[("x", Low), ("z", Low), ("y", Critical)], &[]);
        let fleet = Fleet::new(vec![member("a", a), lost("b"), member("c", b)]);
        let rules = fleet.rules();
        let rules: Vec<_> =
            rules.iter().map(|it| (it.rule.as_str(), it.severity, it.violations)).collect();
        assert_eq!(rules, [("y", Critical, 2), ("x", Low, 3), ("z", Low, 1)]);
        let severities = fleet.clusters[0].found.as_ref().unwrap().severities;
        assert_eq!(severities, BySeverity { critical: 0, high: 1, medium: 0, low: 2 });
        assert_eq!(fleet.unread(), 1);
    }

    #[test]
    fn a_policy_drifts_where_its_content_differs_or_it_is_missing() {
        let fleet = Fleet::new(vec![
            member("a", analysis(&[], &[("same", "1"), ("edited", "1"), ("only-here", "1")])),
            lost("b"),
            member("c", analysis(&[], &[("same", "1"), ("edited", "2")])),
        ]);
        let drift = serde_json::to_value(&fleet.drift).unwrap();
        assert_eq!(
            drift,
            serde_json::json!([
                {"policy": "edited", "clusters": [{"context": "a", "hash": "1"}, {"context": "c", "hash": "2"}]},
                {"policy": "only-here", "clusters": [{"context": "a", "hash": "1"}, {"context": "c", "hash": null}]},
            ])
        );
        assert_eq!(fleet.policies(), 3);
    }

    #[test]
    fn what_could_not_be_read_is_not_taken_for_missing() {
        let mut partly = analysis(&[], &[]);
        partly.own.as_mut().unwrap().partly = true;
        let whole = || member("a", analysis(&[], &[("p", "1")]));
        assert_eq!(Fleet::new(vec![whole(), member("b", partly)]).drift, Some(Vec::new()));
        assert_eq!(
            Fleet::new(vec![whole(), lost("b")]).drift,
            None,
            "one alone compares with none"
        );
    }
}
