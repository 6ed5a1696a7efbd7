use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::*;
use crate::api::{DevOpsPolicySpec, EnforcementMode, Severity};
use crate::policy::called::Called;
use crate::policy::compile::{Policy, PolicyOrigin};
use crate::policy::enforced::Enforced;
use crate::policy::floor_state::{FloorState, Kept};
use crate::policy::in_force::Fallback;
use crate::policy::observed::testing::refused;
use crate::policy::observed::{Affected, Fault, Refused, WorkloadKey};
use crate::policy::scope::Scope;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn origin(generation: i64) -> PolicyOrigin {
    PolicyOrigin { uid: "u".to_owned(), generation, deleting: None, held: false }
}

#[test]
fn the_grace_of_a_policy_that_enforces_is_shown_until_it_ends_and_afterwards() {
    let grace = |mode: EnforcementMode, now: i64| {
        let mut observed = observed();
        let end = Some(Time(Timestamp::from_second(60).unwrap()));
        let spec = DevOpsPolicySpec {
            enforcement_mode: Some(mode),
            grace_until: end,
            ..DevOpsPolicySpec::default()
        };
        let scope = Scope::Namespace("shop".to_owned());
        let policy = Policy::compile(scope, "baseline".to_owned(), &spec).unwrap();
        observed.enforced = Enforced::default().next(&policy, NOW);
        observed.policy = Arc::new(policy);
        let state = PolicyState { observed: Some(observed), ..PolicyState::default() };
        let now = Timestamp::from_second(now).unwrap();
        state.status(&DevOpsPolicyStatus::default(), now).grace.map(|it| (it.until.0, it.state))
    };
    let end = Timestamp::from_second(60).unwrap();
    assert_eq!(grace(EnforcementMode::Enforce, 59), Some((end, GracePhase::Active)));
    assert_eq!(grace(EnforcementMode::Enforce, 60), Some((end, GracePhase::Ended)));
    assert_eq!(grace(EnforcementMode::Audit, 59), None);
}

fn observed() -> ObservedPolicy {
    let scope = Scope::Namespace("shop".to_owned());
    let spec = DevOpsPolicySpec { forbid_latest_tag: Some(true), ..DevOpsPolicySpec::default() };
    let mut policy = Policy::compile(scope, "baseline".to_owned(), &spec).unwrap();
    policy.origin = Some(origin(4));
    policy.text = Some("{}".into());
    let fault = Fault {
        rule: "forbidLatestTag",
        id: "forbidLatestTag".to_owned(),
        container: Some("web".to_owned()),
        path: "spec.containers[0].image".to_owned(),
        message: "spec.containers[0].image is \"nginx\"".to_owned(),
        undecided: false,
    };
    let [namespace, kind, name] = ["shop", "Deployment", "cart"].map(str::to_owned);
    let violation = Violation {
        workload: Arc::new(WorkloadKey { namespace, kind, name }),
        severity: Severity::High,
        fault: Arc::new(fault),
        began: NOW,
        pods: 2,
    };
    ObservedPolicy {
        policy: Arc::new(policy),
        score: Some(Score { points: 70, lost_points: [("forbidLatestTag", 30)].into() }),
        workloads: 1,
        open: [0, 1, 0, 0],
        worst: vec![violation],
        exemptions: Vec::new(),
        refused: Refused::default(),
        at_risk: Affected::default(),
        slipped: Affected::default(),
        enforced: Enforced::default(),
        covers_nothing: None,
    }
}

fn condition<'s>(status: &'s DevOpsPolicyStatus, type_: &str) -> &'s Condition {
    status.conditions.iter().find(|it| it.type_ == type_).unwrap()
}

#[test]
fn violations_do_not_make_a_policy_unready() {
    let desired = PolicyState { observed: Some(observed()), ..PolicyState::default() };
    let status = desired.status(&DevOpsPolicyStatus::default(), NOW);
    let state = |type_| condition(&status, type_).status.as_str();
    assert_eq!(["Ready", "Reconciling", "Stalled"].map(state), ["True", "False", "False"]);
    assert_eq!((status.health_score, status.violations), (Some(70), Some(1)));
    assert_eq!(status.observed_generation, Some(4));
    assert_eq!(
        status.message.as_deref(),
        Some("Stable: score 70, 1 open violation (1 high) in 1 workload")
    );
    assert_eq!(status.top_violations[0].workload, "Deployment/cart");
}

#[test]
fn a_policy_that_covers_nothing_is_not_ready_and_not_stalled() {
    let why = "no namespace has the labels team=shop";
    let nothing = ObservedPolicy { covers_nothing: Some(why.to_owned()), ..observed() };
    let desired = PolicyState { observed: Some(nothing), ..PolicyState::default() };
    let status = desired.status(&DevOpsPolicyStatus::default(), NOW);
    let ready = condition(&status, "Ready");
    let found = [&ready.status, &ready.reason, &ready.message].map(String::as_str);
    assert_eq!(found, ["False", "CoversNothing", why]);
    let state = |type_| condition(&status, type_).status.as_str();
    assert_eq!(["Reconciling", "Stalled"].map(state), ["False", "False"]);
    assert_eq!(status.message, Some(format!("covers nothing: {why}")));
    let desired = PolicyState { observed: Some(observed()), ..PolicyState::default() };
    let status = desired.status(&status, NOW);
    assert_eq!(condition(&status, "Ready").status, "True");
}

#[test]
fn without_a_workload_the_status_has_no_score_and_says_why() {
    let nothing =
        ObservedPolicy { score: None, workloads: 0, open: [0; 4], worst: Vec::new(), ..observed() };
    let desired = PolicyState { observed: Some(nothing), ..PolicyState::default() };
    let status = desired.status(&DevOpsPolicyStatus::default(), NOW);
    assert_eq!((status.health_score, status.healthy, status.classification), (None, None, None));
    assert_eq!((status.violations, status.lost_points.len()), (Some(0), 0));
    let message = status.message.as_deref();
    assert_eq!(message, Some("No score: there is no workload to judge"));
    assert_eq!(condition(&status, "Ready").status, "True");
}

#[test]
fn a_policy_that_enforces_says_whether_the_api_servers_call_podgate() {
    let state = |mode, called| {
        let mut observed = observed();
        Arc::get_mut(&mut observed.policy).unwrap().mode = mode;
        PolicyState { observed: Some(observed), called, ..PolicyState::default() }
    };
    let enforcing = |called| state(EnforcementMode::Enforce, called);
    let found = |status: &DevOpsPolicyStatus| {
        let found = status.conditions.iter().find(|it| it.type_ == "Enforcing")?;
        Some(format!("{} {}: {}", found.status, found.reason, found.message))
    };
    let none = DevOpsPolicyStatus::default();
    let called = enforcing(Called::Yes).status(&none, NOW);
    assert_eq!(found(&called).as_deref(), Some("True Called: the API servers call podgate"));
    let why = "there is no ValidatingWebhookConfiguration".to_owned();
    let not_called = enforcing(Called::No(why)).status(&called, NOW);
    assert_eq!(
        found(&not_called).as_deref(),
        Some(
            "False NotCalled: the API servers are not seen to call podgate: there is no ValidatingWebhookConfiguration"
        )
    );
    // The next leader keeps the condition until its own beat has decided.
    let next = enforcing(Called::Undecided);
    assert_eq!(found(&next.status(&not_called, NOW)), found(&not_called));
    assert_eq!(found(&next.status(&none, NOW)), None);
    assert_eq!(found(&enforcing(Called::NoBeat).status(&called, NOW)), None);
    for mode in [EnforcementMode::Audit, EnforcementMode::Warn] {
        assert_eq!(found(&state(mode, Called::Yes).status(&called, NOW)), None);
    }
}

#[test]
fn a_policy_that_enforces_says_whether_a_floor_holds_it_where_one_is_kept() {
    let state = |mode, floor| {
        let mut observed = observed();
        Arc::get_mut(&mut observed.policy).unwrap().mode = mode;
        PolicyState { observed: Some(observed), floor, ..PolicyState::default() }
    };
    let enforcing = |floor| state(EnforcementMode::Enforce, floor);
    let found = |status: &DevOpsPolicyStatus| {
        let of = status.conditions.iter().filter(|it| it.type_.starts_with("Floor"));
        of.map(|it| format!("{} {} {}: {}", it.type_, it.status, it.reason, it.message))
            .collect::<Vec<_>>()
    };
    let label = observed().policy.label.clone();
    let kept = |ready: Option<Result<(), &str>>, missing: &[&str]| FloorState {
        kept: Some(Kept {
            ready: ready.map(|it| it.map_err(str::to_owned)),
            missing: Some(
                [(label.clone(), missing.iter().map(|it| (*it).to_owned()).collect())].into(),
            ),
        }),
    };
    let none = DevOpsPolicyStatus::default();
    let whole = enforcing(kept(Some(Ok(())), &[])).status(&none, NOW);
    assert_eq!(
        found(&whole),
        [
            "FloorReady True Kept: while podgate is away, the API servers judge by themselves",
            "FloorComplete True AllCompiled: the floor holds all that it denies",
        ]
    );
    let lacking = enforcing(kept(Some(Err("no room")), &["a", "b"])).status(&whole, NOW);
    assert_eq!(
        found(&lacking),
        [
            "FloorReady False NotKept: the API servers may not judge while podgate is away: no room",
            "FloorComplete False PartsMissing: the floor does not hold a; b",
        ]
    );
    // The next leader keeps both until it knows more.
    let unknown = FloorState { kept: Some(Kept::default()) };
    assert_eq!(found(&enforcing(unknown).status(&lacking, NOW)), found(&lacking));
    assert_eq!(found(&enforcing(FloorState::default()).status(&lacking, NOW)), [""; 0]);
    let warns = state(EnforcementMode::Warn, kept(Some(Ok(())), &[]));
    assert_eq!(found(&warns.status(&lacking, NOW)), [""; 0]);
}

#[test]
fn a_status_without_changes_keeps_its_times() {
    let desired = PolicyState { observed: Some(observed()), ..PolicyState::default() };
    let status = desired.status(&DevOpsPolicyStatus::default(), NOW);
    let later = NOW + std::time::Duration::from_hours(1);
    assert_eq!(desired.status(&status, later), status);
    let mut worse = observed();
    worse.open = [0, 2, 0, 0];
    let next =
        PolicyState { observed: Some(worse), ..PolicyState::default() }.status(&status, later);
    assert_eq!(next.last_evaluated, Some(Time(later)));
    assert_eq!(condition(&next, "Ready").last_transition_time, Time(NOW), "it did not change");
}

#[test]
fn refused_workloads_are_a_condition_and_come_first_in_the_message_while_there_are_any() {
    let names = ["cart", "web"];
    let worst = names.map(|name| refused(name, (0, 4), &["forbidLatestTag"])).to_vec();
    let mut refusing = observed();
    refusing.refused = Refused { workloads: 2, worst };
    let refusing = PolicyState { observed: Some(refusing), ..PolicyState::default() };
    let status = refusing.status(&DevOpsPolicyStatus::default(), NOW);
    let found = condition(&status, "Refusing");
    assert_eq!((found.status.as_str(), found.reason.as_str()), ("True", "PodsRefused"));
    assert!(found.message.contains("Deployment/cart has 0 of 4 pods"), "{}", found.message);
    assert_eq!(condition(&status, "Ready").status, "True");
    assert_eq!(
        status.message.as_deref(),
        Some(
            "refuses new pods of 2 workloads; Stable: score 70, 1 open violation (1 high) in 1 workload"
        )
    );
    let listed = status.refused.as_ref().unwrap();
    assert_eq!((listed.workloads, listed.worst[0].workload.as_str()), (2, "Deployment/cart"));
    let later = NOW + std::time::Duration::from_hours(1);
    assert_eq!(refusing.status(&status, later), status, "nothing changed");

    let recovered = PolicyState { observed: Some(observed()), ..PolicyState::default() };
    let status = recovered.status(&status, later);
    assert!(status.conditions.iter().all(|it| it.type_ != "Refusing"));
    assert_eq!(status.refused, None);
    assert!(serde_json::to_value(&status).unwrap().get("refused").is_none());
}

#[test]
fn a_version_that_cannot_be_in_force_stalls_while_the_last_good_one_is_evaluated() {
    let fault = PolicyFault {
        origin: origin(5),
        message: "spec.x: bad".to_owned(),
        fallback: Fallback::LastGood("{}".into()),
    };
    let desired =
        PolicyState { observed: Some(observed()), fault: Some(fault), ..PolicyState::default() };
    let status = desired.status(&DevOpsPolicyStatus::default(), NOW);
    for (type_, is) in [("Ready", "False"), ("Stalled", "True")] {
        let found = condition(&status, type_);
        let message = "spec.x: bad; the last good version (status.lastGood) is in force";
        assert_eq!((found.status.as_str(), found.message.as_str()), (is, message));
        assert_eq!((found.reason.as_str(), found.observed_generation), ("InvalidSpec", Some(5)));
    }
    assert_eq!(status.violations, Some(1));
    let healed =
        PolicyState { observed: Some(observed()), ..PolicyState::default() }.status(&status, NOW);
    assert_eq!(condition(&healed, "Ready").status, "True");
}

#[test]
fn fields_that_no_pod_has_are_a_condition_as_long_as_an_expression_names_them() {
    let validation = serde_json::json!({"validations": [
        {"name": "own", "expression": "!has(object.spec.hostnetwork)", "message": "m"},
    ]});
    let spec = serde_json::from_value(validation).unwrap();
    let scope = Scope::Namespace("shop".to_owned());
    let policy = Arc::new(Policy::compile(scope, "own".to_owned(), &spec).unwrap());
    let odd = PolicyState {
        observed: Some(ObservedPolicy { policy, ..observed() }),
        ..PolicyState::default()
    };
    let status = odd.status(&DevOpsPolicyStatus::default(), NOW);
    let found = condition(&status, "UnknownFields");
    assert_eq!(
        found.message,
        "spec.validations[0].expression: 1:18: no Pod has object.spec.hostnetwork; did you mean hostNetwork?"
    );
    assert_eq!(condition(&status, "Ready").status, "True");
    let mended = PolicyState { observed: Some(observed()), ..PolicyState::default() };
    let status = mended.status(&status, NOW);
    assert!(status.conditions.iter().all(|it| it.type_ != "UnknownFields"));
}

#[test]
fn the_last_spec_that_was_in_force_is_kept_until_another_is() {
    let good = PolicyState { observed: Some(observed()), ..PolicyState::default() };
    let kept = good.status(&DevOpsPolicyStatus::default(), NOW);
    assert_eq!(kept.last_good.as_deref(), Some("{}"));
    let fault = PolicyFault {
        origin: origin(5),
        message: "spec.x: bad".to_owned(),
        fallback: Fallback::Parts,
    };
    let bad = PolicyState { fault: Some(fault), ..good.clone() };
    assert_eq!(bad.status(&kept, NOW).last_good.as_deref(), Some("{}"));
    let alone = PolicyState { observed: None, ..bad };
    assert_eq!(alone.status(&kept, NOW).last_good.as_deref(), Some("{}"));
    let mut long = observed();
    Arc::get_mut(&mut long.policy).unwrap().text = None;
    let long = PolicyState { observed: Some(long), ..PolicyState::default() };
    assert_eq!(long.status(&kept, NOW).last_good, None, "an older one must not come back");
}
