//! Scores against values computed by hand.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::degree::restart_degree;
use super::super::engine::judge;
use super::super::object::Object;
use super::super::policy_set::PolicySet;
use super::super::scope::Scope;
use super::super::subject::Subject;
use super::super::workload::Kind;
use super::*;

fn policy(spec: &str) -> Policy {
    let spec = serde_json::from_str(spec).unwrap();
    Policy::compile(Scope::Namespace("shop".to_owned()), "p".to_owned(), &spec).unwrap()
}

/// Their points are 30, 20, 10, 50 and 20.
const DEFAULT_CHECKS: &str = r#"{"forbidLatestTag": true, "requireLivenessProbe": true,
    "requireReadinessProbe": true, "maxRestartCount": 3, "forbidPendingDuration": 300}"#;
const LATEST: &str = "forbidLatestTag";
const LIVENESS: &str = "requireLivenessProbe";
const READINESS: &str = "requireReadinessProbe";
const RESTARTS: &str = "maxRestartCount";
const PENDING: &str = "forbidPendingDuration";

type Pod = &'static [&'static str];

fn tally(workloads: &[&[Pod]]) -> Tally {
    let mut tally = Tally::default();
    for pods in workloads {
        let mut workload = Workload::default();
        for pod in *pods {
            workload.add_pod(pod.iter().map(|rule| (*rule, Degree::WHOLE)));
        }
        tally.add(&workload);
    }
    tally
}

fn shown(score: Option<&Score>) -> String {
    let Some(score) = score else { return "none".to_owned() };
    let lost: Vec<_> = score.lost_points.iter().map(|(rule, it)| format!("{rule} {it}")).collect();
    format!("{} {:?}: {}", score.points, score.classification(), lost.join(", "))
}

const CLEAN: &[Pod] = &[&[]];

/// One workload with this pod, and 14 clean ones.
fn one_of_fifteen(pod: Pod) -> String {
    let pods = [pod];
    let mut workloads = [CLEAN; 15];
    workloads[0] = &pods;
    shown(tally(&workloads).score(&Costs::of([&policy(DEFAULT_CHECKS)])).as_ref())
}

#[test]
fn scores_are_what_the_formula_gives_by_hand() {
    let costs = Costs::of([&policy(DEFAULT_CHECKS)]);
    for (workloads, expected) in [
        // Nothing to judge.
        (&[][..], "none"),
        (&[&[][..]], "none"),
        (&[CLEAN], "100 Healthy: "),
        // All of one: ln 2 / ln 2 = 1.
        (&[&[&[LATEST]]], "70 Stable: forbidLatestTag 30"),
        // One of three: 30 · ln 2 / ln 4 = 15.
        (&[&[&[LATEST]], CLEAN, CLEAN], "85 Healthy: forbidLatestTag 15"),
        // Two of three: 30 · ln 3 / ln 4 = 23.774.
        (&[&[&[LATEST]], &[&[LATEST]], CLEAN], "76 Stable: forbidLatestTag 24"),
        // Half the replicas of one: v = 0.5, and 50 · ln 1.5 / ln 2 = 29.248.
        (&[&[&[RESTARTS], &[]]], "71 Stable: maxRestartCount 29"),
        // Shares of two workloads add up: v = 0.5 + 0.5, and 20 · ln 2 / ln 3 = 12.619.
        (&[&[&[PENDING], &[]], &[&[], &[PENDING]]], "87 Healthy: forbidPendingDuration 13"),
        // Both probes are missing everywhere: not healthy.
        (
            &[&[&[LIVENESS, READINESS]], &[&[LIVENESS, READINESS]]],
            "70 Stable: requireLivenessProbe 20, requireReadinessProbe 10",
        ),
        // 30 + 20 + 10 = 60.
        (
            &[&[&[LATEST, LIVENESS, READINESS]]],
            "40 Degraded: forbidLatestTag 30, requireLivenessProbe 20, requireReadinessProbe 10",
        ),
        // 30 + 20 + 10 + 50 + 20 = 130, scaled to 100: 23.077, 15.385, 7.692, 38.462 and 15.385. Of the 100 points, 98
        // are whole; the largest remainders take the last two.
        (
            &[&[&[LATEST, LIVENESS, READINESS, RESTARTS, PENDING]]],
            "0 Critical: forbidLatestTag 23, forbidPendingDuration 15, maxRestartCount 39, \
             requireLivenessProbe 15, requireReadinessProbe 8",
        ),
    ] {
        assert_eq!(shown(tally(workloads).score(&costs).as_ref()), expected, "{workloads:?}");
    }
}

#[test]
fn half_a_point_rounds_up_and_equal_remainders_go_to_the_larger_share() {
    // One of fifteen: 30 · ln 2 / ln 16 = 7.5; 92.5 rounds up.
    assert_eq!(one_of_fifteen(&[LATEST]), "93 Healthy: forbidLatestTag 7");
    // 7.5 + 5 + 2.5 = 15.
    assert_eq!(
        one_of_fifteen(&[LATEST, LIVENESS, READINESS]),
        "85 Healthy: forbidLatestTag 8, requireLivenessProbe 5, requireReadinessProbe 2"
    );
}

#[test]
fn a_degree_grows_with_the_restarts_up_to_ten_times_the_maximum() {
    for (over, maximum, expected) in [
        (0, 3, 0.0),
        // ln 2 / ln 31
        (1, 3, 0.201_849),
        // ln 5 / ln 31
        (4, 3, 0.468_680),
        (30, 3, 1.0),
        (31, 3, 1.0),
        // ln 2 / ln 11: a maximum of 0 counts as 1.
        (1, 0, 0.289_065),
        (1, 1, 0.289_065),
        (u32::MAX, 0, 1.0),
        (u32::MAX, u32::MAX, 0.905_953),
    ] {
        let degree = f64::from(restart_degree(over, maximum).0) / 1e9;
        assert!((degree - expected).abs() < 1e-6, "{over} over {maximum} is {degree}");
    }
}

#[test]
fn a_pods_worst_container_is_its_degree_and_a_workloads_is_the_mean_of_its_pods() {
    let mut workload = Workload::default();
    workload.add_pod([1, 4].map(|over| (RESTARTS, restart_degree(over, 3))));
    for _ in 0..3 {
        workload.add_pod([]);
    }
    let mut tally = Tally::default();
    tally.add(&workload);
    // v = 0.46868 / 4 = 0.11717, and 50 · ln 1.11717 / ln 2 = 7.992 is lost.
    let score = tally.score(&Costs::of([&policy(DEFAULT_CHECKS)]));
    assert_eq!(shown(score.as_ref()), "92 Healthy: maxRestartCount 8");
}

#[test]
fn a_rule_costs_by_its_highest_severity_among_the_policies_that_enable_it() {
    let low =
        policy(r#"{"forbidLatestTag": true, "severityOverrides": {"forbidLatestTag": "low"}}"#);
    let critical = policy(
        r#"{"forbidLatestTag": true, "severityOverrides": {"forbidLatestTag": "critical"}}"#,
    );
    let off = policy(
        r#"{"requireLivenessProbe": true, "severityOverrides": {"forbidLatestTag": "critical"}}"#,
    );
    let costs = |policies: &[&Policy]| Costs::of(policies.iter().copied()).0;
    assert_eq!(costs(&[&low, &off]), BTreeMap::from([(LATEST, 10), (LIVENESS, 20)]));
    assert_eq!(costs(&[&critical, &low]), costs(&[&low, &critical]));
    assert_eq!(costs(&[&critical, &low]), BTreeMap::from([(LATEST, 50)]));
}

#[test]
fn a_mean_counts_each_namespace_with_workloads_once_and_by_its_own_rules() {
    let few = Costs::of([&policy(r#"{"forbidLatestTag": true}"#)]);
    let all = Costs::of([&policy(DEFAULT_CHECKS)]);
    let mut loss = Loss::default();
    assert_eq!(loss.score(), None);
    loss.add(&tally(&[]), &all);
    assert_eq!(loss.score(), None);
    loss.add(&tally(&[&[&[LATEST]]]), &few);
    loss.add(&tally(&[&[&[LATEST, RESTARTS] as Pod] as &[Pod]; 7]), &all);
    loss.add(&tally(&[&[&[LATEST]]]), &Costs::default());
    // 30, 30 + 50 and, where no rule is in force, 0 are lost: 36.667 in the mean.
    assert_eq!(shown(loss.score().as_ref()), "63 Stable: forbidLatestTag 20, maxRestartCount 17");
}

#[test]
fn a_namespace_loses_no_more_than_its_hundred_points_of_a_mean() {
    let costs = Costs::of([&policy(DEFAULT_CHECKS)]);
    let mut loss = Loss::default();
    loss.add(&tally(&[&[&[LATEST, LIVENESS, READINESS, RESTARTS, PENDING]]]), &costs);
    loss.add(&tally(&[CLEAN]), &costs);
    // Half of 23.077, 15.385, 38.462, 15.385 and 7.692.
    assert_eq!(
        shown(loss.score().as_ref()),
        "50 Degraded: forbidLatestTag 11, forbidPendingDuration 8, maxRestartCount 19, \
         requireLivenessProbe 8, requireReadinessProbe 4"
    );
}

#[test]
fn an_exempt_violation_counts_as_none_unless_another_policy_objects() {
    let exempt = r#"{"forbidLatestTag": true, "requireLivenessProbe": true,
        "exemptions": [{"rules": ["forbidLatestTag"], "reason": "r", "owner": "o"}]}"#;
    let score = |specs: &[&str]| {
        let policies: Vec<_> = specs.iter().map(|spec| Arc::new(policy(spec))).collect();
        let costs = Costs::of(policies.iter().map(AsRef::as_ref));
        let set = PolicySet::new(policies, Arc::default());
        let pod =
            r#"{"spec": {"containers": [{"name": "a", "image": "nginx", "livenessProbe": {}}]}}"#;
        let object: Object = serde_json::from_str(pod).unwrap();
        let subject = Subject::of(Kind::Pod, &object).unwrap();
        let plan = set.covering(Some("shop")).unwrap();
        let found = judge(plan, &subject, Timestamp::UNIX_EPOCH).violations;
        let mut workload = Workload::default();
        workload.add_pod(found.iter().map(|it| (it.rule.id, it.breach.degree)));
        let mut tally = Tally::default();
        tally.add(&workload);
        tally.score(&costs).unwrap().points
    };
    assert_eq!(score(&[exempt]), 100);
    assert_eq!(score(&[exempt, r#"{"forbidLatestTag": true}"#]), 70);
}
