//! What `devopspolicy_would_deny_total` counts is what `enforce` denies, to the unit: a thousand reviews are sent to the
//! real binary with its policies in one mode, and again with another.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread;

use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::support::binary::{Podgate, Standalone};
use crate::support::{mixed, review};

const REVIEWS: usize = 1000;

/// The specs of the policies, by name.
fn specs() -> BTreeMap<&'static str, Value> {
    let exemption = json!({
        "rules": ["forbidLatestTag", "requireReadinessProbe"], "kinds": ["StatefulSet", "Deployment"],
        "names": ["w-1*", "w-2*"], "reason": "r", "owner": "o",
    });
    BTreeMap::from([
        ("restricted", json!({"bundle": "restricted"})),
        (
            "images",
            json!({"forbidLatestTag": true, "requireReadinessProbe": true, "exemptions": [exemption]}),
        ),
        (
            "severe",
            json!({"podSecurity": "baseline", "requireLivenessProbe": true, "requireResourceLimits": ["memory"], "denySeverity": "high"}),
        ),
        (
            "expressions",
            json!({"validations": [
                {"name": "limits", "expression": "object.spec.containers.all(c, has(c.resources.limits))", "message": "m"},
                {"name": "undecided", "expression": "object.spec.containers.all(c, c.securityContext.capabilities.drop.size() > 0)", "message": "m"},
            ]}),
        ),
    ])
}

/// The same reviews at every call: creations by tenants and by controllers, and updates by both.
fn reviews() -> Vec<Value> {
    let objects = mixed::objects(REVIEWS + Kind::ALL.len());
    let one = |number: usize| {
        let (kind, object) = &objects[number];
        let mut object = object.clone();
        let maker = maker(*kind).filter(|_| number / Kind::ALL.len() % 2 == 1);
        if let Some((owner, _)) = maker {
            // Another owner for each, or they would be taken for one controller's retries.
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": owner.names().api_version(), "kind": owner.names().kind, "name": format!("o-{number}"),
                "uid": "u", "controller": true,
            }]);
        }
        let mut review = if number.is_multiple_of(3) {
            let mut old = objects[number + Kind::ALL.len()].1.clone();
            old["metadata"] = object["metadata"].clone();
            review::update("shop", &old, &object)
        } else {
            review::create("shop", &object)
        };
        if let Some((_, user)) = maker {
            review["request"]["userInfo"]["username"] =
                json!(format!("system:serviceaccount:kube-system:{user}"));
        }
        review
    };
    (0..REVIEWS).map(one).collect()
}

/// A kind of owner for which a controller creates objects of this kind, and the controller.
const fn maker(kind: Kind) -> Option<(Kind, &'static str)> {
    match kind {
        Kind::Pod => Some((Kind::ReplicaSet, "replicaset-controller")),
        Kind::ReplicaSet => Some((Kind::Deployment, "deployment-controller")),
        Kind::Job => Some((Kind::CronJob, "cronjob-controller")),
        _ => None,
    }
}

/// A podgate whose policies have these modes, and this grace.
fn serve(mode: impl Fn(&str) -> &'static str, grace: bool) -> Standalone {
    let policy = |(name, mut spec): (&str, Value)| {
        spec["enforcementMode"] = json!(mode(name));
        if grace {
            spec["graceUntil"] = json!("9999-01-01T00:00:00Z");
        }
        json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
        })
        .to_string()
    };
    let policies: Vec<_> = specs().into_iter().map(policy).collect();
    Standalone::with(&policies.join("\n---\n"))
}

/// Sends the reviews, and returns how many were denied.
fn replay(podgate: &Podgate, reviews: &[Value]) -> usize {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let parts = reviews.chunks(reviews.len().div_ceil(threads));
    let denied = |part: &[Value]| {
        part.iter().filter(|review| podgate.review(review)["allowed"] == false).count()
    };
    thread::scope(|scope| {
        let parts: Vec<_> = parts.map(|part| scope.spawn(move || denied(part))).collect();
        parts.into_iter().map(|it| it.join().unwrap()).sum()
    })
}

/// The value of a policy's counter.
fn counted(podgate: &Podgate, counter: &str, policy: &str) -> usize {
    let series = format!("{counter}{{namespace=\"shop\",policy=\"{policy}\"}}");
    let value = podgate.metric(&series).unwrap_or_else(|| panic!("there is no {series}"));
    format!("{value}").parse().unwrap()
}

fn would_deny(podgate: &Podgate, policy: &str) -> usize {
    counted(podgate, "devopspolicy_would_deny_total", policy)
}

fn denied(podgate: &Podgate, policy: &str) -> usize {
    counted(podgate, "devopspolicy_denied_total", policy)
}

#[test]
fn what_would_be_denied_equals_what_is_denied_when_the_same_reviews_are_replayed() {
    let reviews = reviews();
    // What one policy denies in the mode `enforce` while the others audit is what the API server is told.
    let denies = |policy: &'static str| {
        let mode = |name: &str| if name == policy { "enforce" } else { "audit" };
        let served = serve(mode, false);
        let count = replay(&served.podgate, &reviews);
        assert_eq!(denied(&served.podgate, policy), count, "{policy}");
        assert_eq!(would_deny(&served.podgate, policy), 0, "{policy}: it denies");
        count
    };
    let expected: BTreeMap<_, _> = specs().into_keys().map(|name| (name, denies(name))).collect();
    println!("of {REVIEWS} reviews each policy denies: {expected:?}");
    assert!(expected.values().all(|it| (100..REVIEWS - 100).contains(it)), "{expected:?}");

    for mode in ["audit", "warn"] {
        let served = serve(|_| mode, false);
        assert_eq!(replay(&served.podgate, &reviews), 0);
        for (policy, count) in &expected {
            assert_eq!(would_deny(&served.podgate, policy), *count, "{policy} in {mode}");
            assert_eq!(denied(&served.podgate, policy), 0, "{policy} in {mode}");
        }
    }
    let served = serve(|_| "enforce", true);
    let all = replay(&served.podgate, &reviews);
    for (policy, count) in &expected {
        let (now, later) = (denied(&served.podgate, policy), would_deny(&served.podgate, policy));
        assert_eq!(now + later, *count, "{policy} in its grace: each review counts once");
        assert!(now > 0 && later > 0 && now <= all, "{policy}: {now} now, {later} later");
    }
}
