use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::policy::compile::PolicyOrigin;
use crate::policy::scope::Scope;

fn policy(name: &str, generation: i64, cooldown: i32, concurrent: i32) -> Policy {
    let spec = json!({"remediation": {"mode": "apply", "cooldownSeconds": cooldown, "maxConcurrent": concurrent}});
    let spec = serde_json::from_value(spec).unwrap();
    let scope = Scope::Namespace("shop".to_owned());
    let mut policy = Policy::compile(scope, name.to_owned(), &spec).unwrap();
    policy.origin =
        Some(PolicyOrigin { uid: name.to_owned(), generation, deleting: None, held: false });
    policy
}

fn workload(name: &str) -> WorkloadKey {
    let (namespace, kind, name) = ("shop".to_owned(), "Deployment".to_owned(), name.to_owned());
    WorkloadKey { namespace, kind, name }
}

/// A ledger that has read the status of these policies.
fn ledger(policies: &[&Policy]) -> RepairLedger {
    let mut ledger = RepairLedger::default();
    for policy in policies {
        let generation = policy.origin.as_ref().unwrap().generation;
        ledger.count(policy.key(), RepairCounts { generation, ..RepairCounts::default() });
    }
    ledger
}

fn keys(policies: &[&Policy]) -> BTreeSet<PolicyKey> {
    policies.iter().map(|it| it.key()).collect()
}

fn hindrance(ledger: &mut RepairLedger, policies: &[&Policy], in_flight: usize) -> String {
    let found = ledger.hindrance("shop", policies.iter().copied(), |_| in_flight);
    found.unwrap_or_default()
}

#[test]
fn nothing_begins_before_a_policys_status_is_read() {
    let own = policy("own", 1, 0, 1);
    assert!(hindrance(&mut RepairLedger::default(), &[&own], 0).contains("status"));
    assert_eq!(hindrance(&mut ledger(&[&own]), &[&own], 0), "");
}

#[test]
fn so_many_are_in_flight_as_the_strictest_policy_says() {
    let (one, two) = (policy("one", 1, 0, 1), policy("two", 1, 0, 2));
    let mut ledger = ledger(&[&one, &two]);
    assert_eq!(hindrance(&mut ledger, &[&two], 1), "");
    assert!(hindrance(&mut ledger, &[&two], 2).contains("another workload's rollout"));
    assert!(hindrance(&mut ledger, &[&one, &two], 1).contains("another workload's rollout"));
}

#[test]
fn the_cooldown_counts_from_the_begin_and_from_the_end() {
    let (slow, fast) = (policy("slow", 1, 60, 5), policy("fast", 1, 0, 5));
    let mut ledger = ledger(&[&slow, &fast]);
    ledger.began("shop", &keys(&[&slow, &fast]));
    assert!(hindrance(&mut ledger, &[&slow], 0).contains("cooldown"));
    assert!(hindrance(&mut ledger, &[&fast, &slow], 0).contains("cooldown"));
    assert_eq!(hindrance(&mut ledger, &[&fast], 0), "");
}

#[test]
fn a_policy_stops_after_two_roll_backs_until_it_is_changed() {
    let own = policy("own", 1, 0, 5);
    let mut ledger = ledger(&[&own]);
    ledger.ended(&keys(&[&own]), RepairEnd::RolledBack);
    ledger.ended(&keys(&[&own]), RepairEnd::Repaired);
    assert_eq!(hindrance(&mut ledger, &[&own], 0), "");
    ledger.ended(&keys(&[&own]), RepairEnd::RolledBack);
    assert!(hindrance(&mut ledger, &[&own], 0).contains("shop/own has stopped"));
    let status = ledger.status(&own);
    assert_eq!((status.repaired, status.rolled_back), (1, 2));
    let edited = policy("own", 2, 0, 5);
    assert!(ledger.knows(&edited));
    assert_eq!(hindrance(&mut ledger, &[&edited], 0), "");
    assert_eq!(ledger.status(&edited).rolled_back, 0);
    // The next version stops too.
    ledger.ended(&keys(&[&edited]), RepairEnd::RolledBack);
    ledger.ended(&keys(&[&edited]), RepairEnd::RolledBack);
    assert!(hindrance(&mut ledger, &[&edited], 0).contains("shop/own has stopped"));
}

#[test]
fn ten_begin_in_a_namespace_in_an_hour_whatever_the_policies() {
    let (first, second) = (policy("first", 1, 0, 20), policy("second", 1, 0, 20));
    let mut ledger = ledger(&[&first, &second]);
    for _ in 0..BUDGET {
        assert_eq!(hindrance(&mut ledger, &[&second], 0), "");
        ledger.began("shop", &keys(&[&first]));
    }
    assert!(hindrance(&mut ledger, &[&second], 0).contains("10 workloads of namespace shop"));
    assert_eq!(ledger.hindrance("other", [&second].into_iter(), |_| 0), None);
}

#[test]
fn a_status_lists_repairs_in_flight_first_and_no_more_than_fits() {
    let own = Arc::new(policy("own", 1, 0, 5));
    let mut ledger = ledger(&[&own]);
    let of = || keys(&[&own]);
    for number in 0..30 {
        let name = format!("web-{number:02}");
        ledger.report(&workload(&name), RemediationState::Repaired, "m".to_owned(), None, of());
    }
    let (wide, narrow) = (Some("x".repeat(MAX_PATCH + 1)), Some("[]".to_owned()));
    ledger.report(&workload("a"), RemediationState::Proposed, "m".repeat(1000), wide, of());
    ledger.report(&workload("b"), RemediationState::Proposed, "m".to_owned(), narrow, of());
    ledger.report(&workload("z"), RemediationState::RollingOut, "m".to_owned(), None, of());
    let status = ledger.status(&own);
    assert_eq!((status.in_flight, status.proposed), (1, 2));
    assert_eq!(status.workloads.len(), MAX_WORKLOADS);
    let names: Vec<_> = status.workloads.iter().take(3).map(|it| it.workload.as_str()).collect();
    assert_eq!(names, ["Deployment/shop/z", "Deployment/shop/a", "Deployment/shop/b"]);
    assert_eq!(status.workloads[1].patch, None, "it is too long");
    assert_eq!(status.workloads[2].patch.as_deref(), Some("[]"));
    assert!(status.workloads[1].message.len() <= MAX_MESSAGE);
    // Another policy has no part in it.
    assert!(ledger.status(&policy("other", 1, 0, 5)).workloads.is_empty());
}

#[test]
fn only_what_is_new_is_news_and_what_was_done_is_kept() {
    let own = policy("own", 1, 0, 5);
    let mut ledger = ledger(&[&own]);
    let mut report = |name: &str, state, message: &str| {
        ledger.report(&workload(name), state, message.to_owned(), None, keys(&[&own]))
    };
    assert!(report("a", RemediationState::Proposed, "why"));
    assert!(!report("a", RemediationState::Proposed, "why"));
    assert!(report("a", RemediationState::Proposed, "another"));
    assert!(report("b", RemediationState::Repaired, "done"));
    ledger.keep(|_| false);
    let status = ledger.status(&own);
    assert_eq!(status.workloads.len(), 1);
    assert_eq!(status.workloads[0].state, RemediationState::Repaired);
}
