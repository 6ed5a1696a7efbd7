//! Compares several clusters: their scores, the violated rules, and the policies that differ. No I/O.

mod member;
mod state;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::result::RuleCount;

pub use member::{ClusterFindings, Member};
pub use state::ClusterState;

/// The result of `podgate clusters analyze`. `-o json` prints it with `apiVersion: podgate/v1` as its first field.
#[derive(Debug, Serialize)]
pub struct Fleet {
    /// In the order of the kubeconfig.
    pub clusters: Vec<Member>,
    /// The policies that differ between clusters, by kind and name; null if the policies of fewer than two clusters are
    /// known.
    pub drift: Option<Vec<Drift>>,
}

/// A policy that differs between clusters.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub struct Drift {
    /// `DevOpsPolicy NAMESPACE/NAME`, or `ClusterDevOpsPolicy NAME`.
    pub policy: String,
    pub clusters: Vec<PolicyCopy>,
}

/// A policy in one cluster.
#[derive(Debug, Eq, PartialEq, Serialize)]
pub struct PolicyCopy {
    pub context: String,
    /// The first twelve hexadecimal digits of the SHA-256 of its spec; null if the cluster lacks the policy. If some of
    /// a cluster's policies could not be read, the cluster is left out instead.
    pub hash: Option<String>,
}

impl Fleet {
    pub fn new(clusters: Vec<Member>) -> Self {
        let comparable = clusters.iter().filter(|it| policies(it).is_some()).count() > 1;
        let drift = comparable.then(|| drift(&clusters));
        Self { clusters, drift }
    }

    /// Every violated rule with its violations in all clusters; sorted by severity, then by violations, most first.
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
        RuleCount::worst_first(&mut all);
        all
    }

    /// The clusters that were analyzed, with their findings.
    pub fn found(&self) -> impl Iterator<Item = (&Member, &ClusterFindings)> {
        self.clusters.iter().filter_map(|it| Some((it, it.found.as_ref()?)))
    }

    /// The clusters of which at least some policies were read.
    pub fn compared(&self) -> impl Iterator<Item = &Member> {
        self.clusters.iter().filter(|it| policies(it).is_some())
    }

    /// How many different policies the clusters have, by kind and name.
    pub fn policies(&self) -> usize {
        names(&self.clusters).len()
    }

    /// How many clusters were not read, or not completely.
    pub fn unread(&self) -> usize {
        self.clusters.iter().filter(|it| it.state != ClusterState::Reachable).count()
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
        let known = hash.is_some() || !found.policies_incomplete;
        known.then(|| PolicyCopy { context: member.context.clone(), hash })
    };
    let of = |policy: &str| {
        let copies: Vec<_> = clusters.iter().filter_map(|it| copy(it, policy)).collect();
        let hashes: BTreeSet<_> = copies.iter().map(|copy| copy.hash.as_deref()).collect();
        (hashes.len() > 1).then(|| Drift { policy: policy.to_owned(), clusters: copies })
    };
    names(clusters).into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::member::BySeverity;
    use super::testing::{analysis, member};
    use super::*;
    use crate::api::Severity;
    use crate::clusters::ClusterError;
    use crate::findings::{Fault, FaultKind};

    fn lost(context: &str) -> Member {
        let error = ClusterError::Forbidden("no".to_owned());
        Member::new(context.to_owned(), None, None, Err(error.into()))
    }

    fn fault(kind: FaultKind) -> Fault {
        Fault { place: "shop".to_owned(), message: "cannot be read".to_owned(), kind }
    }

    #[test]
    fn a_clusters_state_follows_from_its_analysis() {
        let whole = member("a", analysis(&[], &[]));
        assert_eq!((whole.state, whole.message), (ClusterState::Reachable, None));

        let mut bare = analysis(&[], &[]);
        bare.faults.push(fault(FaultKind::NotServed));
        let bare = member("a", bare);
        assert_eq!(bare.state, ClusterState::Reachable, "a cluster without podgate is read whole");
        assert!(bare.message.unwrap().contains("podgate is not installed here"));

        let mut partly = analysis(&[], &[]);
        partly.faults.push(fault(FaultKind::Cluster));
        let partly = member("a", partly);
        assert_eq!(partly.state, ClusterState::Incomplete);
        assert_eq!(partly.message.as_deref(), Some("shop: cannot be read"));

        assert_eq!(lost("a").state, ClusterState::Forbidden);
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
    fn a_policy_that_could_not_be_read_is_not_reported_as_missing() {
        let mut partly = analysis(&[], &[]);
        partly.own.as_mut().unwrap().incomplete = true;
        let whole = || member("a", analysis(&[], &[("p", "1")]));
        assert_eq!(Fleet::new(vec![whole(), member("b", partly)]).drift, Some(Vec::new()));
        assert_eq!(
            Fleet::new(vec![whole(), lost("b")]).drift,
            None,
            "one alone compares with none"
        );
    }
}
