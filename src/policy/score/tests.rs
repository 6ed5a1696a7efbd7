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

/// The weights are 5, 3, 1, 8 and 3; their sum is 20.
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

fn shown(score: &Score) -> String {
    let lost: Vec<_> = score.lost_points.iter().map(|(rule, it)| format!("{rule} {it}")).collect();
    format!("{} {:?}: {}", score.points, score.classification(), lost.join(", "))
}

#[test]
fn scores_are_what_the_formula_gives_by_hand() {
    let weights = Weights::live([&policy(DEFAULT_CHECKS)]);
    for (workloads, expected) in [
        // Nothing to judge, and nothing wrong.
        (&[][..], "100 Healthy: "),
        (&[&[][..]], "100 Healthy: "),
        (&[&[&[][..]]], "100 Healthy: "),
        // All of one: m = ln 2 / ln 2 = 1, and 100 · 5/20 = 25 is lost.
        (&[&[&[LATEST]]], "75 Stable: forbidLatestTag 25"),
        // One of three: m = ln 2 / ln 4 = 0.5, and 100 · 2.5/20 = 12.5 is lost; 87.5 rounds up.
        (&[&[&[LATEST]], &[&[]], &[&[]]], "88 Healthy: forbidLatestTag 12"),
        // Two of three: m = ln 3 / ln 4 = 0.79248, and 19.812 is lost.
        (&[&[&[LATEST]], &[&[LATEST]], &[&[]]], "80 Healthy: forbidLatestTag 20"),
        // Half the replicas of one: v = 0.5, m = ln 1.5 / ln 2 = 0.58496, and 100 · 4.6797/20 = 23.398 is lost.
        (&[&[&[RESTARTS], &[]]], "77 Stable: maxRestartCount 23"),
        // Shares of two workloads add up: v = 0.5 + 0.5, m = ln 2 / ln 3 = 0.63093, and 9.464 is lost.
        (&[&[&[PENDING], &[]], &[&[], &[PENDING]]], "91 Healthy: forbidPendingDuration 9"),
        // m = 0.5 each: 12.5 + 7.5 + 2.5 = 22.5 is lost, and 77.5 rounds up. Of the 22 points, 12 + 7 + 2 are
        // whole; of the equal remainders the largest share takes the last.
        (
            &[&[&[LATEST, LIVENESS, READINESS]], &[&[]], &[&[]]],
            "78 Stable: forbidLatestTag 13, requireLivenessProbe 7, requireReadinessProbe 2",
        ),
        // 25 + 15 + 5 = 45.
        (
            &[&[&[LATEST, LIVENESS, READINESS]]],
            "55 Degraded: forbidLatestTag 25, requireLivenessProbe 15, requireReadinessProbe 5",
        ),
        // 25 + 15 + 5 + 40 + 15 = 100.
        (
            &[&[&[LATEST, LIVENESS, READINESS, RESTARTS, PENDING]]],
            "0 Critical: forbidLatestTag 25, forbidPendingDuration 15, maxRestartCount 40, \
             requireLivenessProbe 15, requireReadinessProbe 5",
        ),
    ] {
        assert_eq!(shown(&tally(workloads).score(&weights)), expected, "{workloads:?}");
    }
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
    // v = 0.46868 / 4 = 0.11717, m = ln 1.11717 / ln 2 = 0.15985, and 100 · 8 · 0.15985/20 = 6.394 is lost.
    let score = tally.score(&Weights::live([&policy(DEFAULT_CHECKS)]));
    assert_eq!(shown(&score), "94 Healthy: maxRestartCount 6");
}

#[test]
fn a_rule_weighs_by_its_highest_severity_among_the_policies_that_enable_it() {
    let low =
        policy(r#"{"forbidLatestTag": true, "severityOverrides": {"forbidLatestTag": "low"}}"#);
    let critical = policy(
        r#"{"forbidLatestTag": true, "severityOverrides": {"forbidLatestTag": "critical"}}"#,
    );
    let off = policy(
        r#"{"requireLivenessProbe": true, "severityOverrides": {"forbidLatestTag": "critical"}}"#,
    );
    let weights = |policies: &[&Policy]| Weights::live(policies.iter().copied()).0;
    assert_eq!(weights(&[&low, &off]), BTreeMap::from([(LATEST, 1), (LIVENESS, 3)]));
    assert_eq!(weights(&[&critical, &low]), weights(&[&low, &critical]));
    assert_eq!(weights(&[&critical, &low]), BTreeMap::from([(LATEST, 8)]));
}

#[test]
fn rules_that_manifests_cannot_decide_are_in_neither_sum() {
    let policy = policy(DEFAULT_CHECKS);
    let weights = Weights::offline([&policy]);
    assert_eq!(weights.0, BTreeMap::from([(LATEST, 5), (LIVENESS, 3), (READINESS, 1)]));
    // 100 · 5/9 = 55.6 is lost.
    let score = tally(&[&[&[LATEST, RESTARTS]]]).score(&weights);
    assert_eq!(shown(&score), "44 Degraded: forbidLatestTag 56");
}

#[test]
fn a_mean_counts_each_namespace_with_workloads_once_and_by_its_own_rules() {
    let few = Weights::live([&policy(r#"{"forbidLatestTag": true}"#)]);
    let all = Weights::live([&policy(DEFAULT_CHECKS)]);
    let mut loss = Loss::default();
    assert_eq!(loss.score().points, 100);
    loss.add(&tally(&[&[&[LATEST]]]), &few);
    loss.add(&tally(&[&[&[LATEST, RESTARTS] as Pod] as &[Pod]; 7]), &all);
    loss.add(&tally(&[]), &all);
    loss.add(&tally(&[&[&[LATEST]]]), &Weights::default());
    // 100, 25 + 40 and, where no rule is in force, 0 are lost: 55 in the mean.
    assert_eq!(shown(&loss.score()), "45 Degraded: forbidLatestTag 42, maxRestartCount 13");
}

#[test]
fn an_exempt_violation_counts_as_none_unless_another_policy_objects() {
    let exempt = r#"{"forbidLatestTag": true, "requireLivenessProbe": true,
        "exemptions": [{"rules": ["forbidLatestTag"], "reason": "r", "owner": "o"}]}"#;
    let score = |specs: &[&str]| {
        let policies: Vec<_> = specs.iter().map(|spec| Arc::new(policy(spec))).collect();
        let weights = Weights::live(policies.iter().map(AsRef::as_ref));
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
        tally.score(&weights).points
    };
    assert_eq!(score(&[exempt]), 100);
    // 100 · 5/8 = 62.5 is lost; 37.5 rounds up.
    assert_eq!(score(&[exempt, r#"{"forbidLatestTag": true}"#]), 38);
}
