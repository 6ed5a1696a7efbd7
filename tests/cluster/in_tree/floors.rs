//! The objects of a floor against podgate's webhook: the same verdicts while podgate is away, and while it is heard only
//! what a removal of fields has caused, which podgate denies too.

pub mod away;
pub mod costs;
pub mod heard;
pub mod lease;

use podgate::nonce::LEASE;
use podgate::policy::policy_set::PolicySet;
use podgate::policy::protected::Protected;
use podgate::policy::vap::Loss;
use podgate::policy::vap::floor::Floor;
use serde_json::{Value, json};

use super::door::{Door, controllers};
use crate::cel::judge::{Change, Judge};

/// The time of a last beat long before that of every write.
const AWAY: &str = "2026-05-31T23:00:00.000000Z";
/// The time of a last beat five seconds before it.
const HEARD: &str = "2026-05-31T23:59:55.000000Z";
/// podgate's own user.
const OWN: &str = "system:serviceaccount:podgate-system:podgate";
const NAMESPACE: &str = "podgate-system";

/// The floor of policies, with these `webhook.matchConditions`; type checked unless it must be quick.
fn open(judge: Judge, set: PolicySet, conditions: &[&str], quick: bool) -> Door {
    let floor = Floor {
        release: "podgate".to_owned(),
        namespace: NAMESPACE.to_owned(),
        lease: LEASE,
        conditions: conditions.iter().map(|it| (*it).to_owned()).collect(),
        own_user: Some(OWN.to_owned()),
        protected: Protected::default(),
        controllers: controllers(),
    };
    let floor = floor.objects(set.policies());
    let objects: Vec<_> =
        floor.judging.into_iter().flat_map(|it| [it.policy, it.binding]).collect();
    let losses = floor.missing.into_iter().flat_map(|(policy, missing)| {
        let loss = move |reason| Loss { policy: policy.clone(), what: String::new(), reason };
        missing.into_iter().map(loss)
    });
    Door::of_objects(judge, set, quick, &objects, losses.collect())
}

/// The floor while podgate is away.
fn away(judge: Judge, set: PolicySet) -> Door {
    renewed(open(judge, set, &[], false), AWAY)
}

/// The same without type checks.
fn away_quickly(judge: Judge, set: PolicySet) -> Door {
    renewed(open(judge, set, &[], true), AWAY)
}

/// The floor while podgate is heard, without type checks.
fn heard(judge: Judge, set: PolicySet) -> Door {
    renewed(open(judge, set, &[], true), HEARD)
}

fn renewed(mut door: Door, time: &str) -> Door {
    door.set_params(&[lease(&json!({"renewTime": time}))]);
    door
}

fn lease(spec: &Value) -> Value {
    json!({"metadata": {"name": LEASE, "namespace": NAMESPACE}, "spec": spec})
}

/// The entries of `managedFields` with these times.
fn stamps(times: &[&str]) -> Value {
    let entry = |time: &&str| {
        json!({
            "manager": "kubectl", "operation": "Update", "apiVersion": "v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": {},
        })
    };
    times.iter().map(entry).collect()
}

/// The same write with other `managedFields`.
fn stamped(mut write: Change, managed: Value) -> Change {
    write.object["metadata"]["managedFields"] = managed;
    write
}
