//! What an earlier leader wrote into the statuses of policies, for the audit of the next.

use std::collections::BTreeMap;

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::api::{ClusterDevOpsPolicy, DevOpsPolicy, DevOpsPolicyStatus};
use crate::policy::bundles;
use crate::policy::enforced::{Enforced, RecordedPolicy};
use crate::policy::in_force::Stored;
use crate::policy::key::PolicyKey;
use crate::policy::terms::Terms;

/// Reads the statuses of all policies, by label.
///
/// # Errors
/// The API server does not answer, or refuses.
pub async fn recorded(client: &Client) -> Result<BTreeMap<String, RecordedPolicy>, kube::Error> {
    let kinds =
        [ApiResource::erase::<DevOpsPolicy>(&()), ApiResource::erase::<ClusterDevOpsPolicy>(&())];
    let mut recorded = BTreeMap::new();
    for kind in kinds {
        let api = Api::<DynamicObject>::all_with(client.clone(), &kind);
        for policy in api.list(&ListParams::default()).await? {
            if let Some(found) = of(&policy) {
                recorded.insert(PolicyKey::of(&policy).label(), found);
            }
        }
    }
    Ok(recorded)
}

/// What the status of a policy records; `None` without times.
fn of(policy: &DynamicObject) -> Option<RecordedPolicy> {
    let status = policy.data.get("status").cloned().unwrap_or(Value::Null);
    let status: DevOpsPolicyStatus = serde_json::from_value(status).ok()?;
    if status.enforced_since.is_empty() {
        return None;
    }
    let times = status.enforced_since.iter().map(|(id, time)| (id.clone(), time.0)).collect();
    let terms = terms(policy, &status).unwrap_or_default();
    let graced_until = status.grace.as_ref().map(|grace| grace.until.0);
    let listed = status.slipped.into_iter().flat_map(|it| it.worst);
    Some(RecordedPolicy {
        enforced: Enforced::recorded(&terms, &times, graced_until),
        slipped: listed.map(|it| it.workload).collect(),
    })
}

/// The terms of the version that the times were recorded of. Another version of podgate may have other bundles.
fn terms(policy: &DynamicObject, status: &DevOpsPolicyStatus) -> Option<Terms> {
    if status.bundle.as_ref().is_some_and(|it| it.version != bundles::VERSION) {
        return None;
    }
    let last_good = status.last_good.as_ref().and_then(|it| serde_json::from_str(it).ok());
    let same = status.observed_generation == policy.metadata.generation;
    let spec: Value = last_good.or_else(|| policy.data.get("spec").filter(|_| same).cloned())?;
    let (namespace, name) = (policy.namespace(), policy.name_any());
    let stored =
        Stored { namespace: namespace.as_deref(), name: &name, spec: &spec, last_good: None };
    stored.compile(&spec).ok().map(|it| it.terms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(status: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
            "metadata": {"name": "own", "namespace": "shop", "generation": 2},
            "spec": {"forbidLatestTag": true, "enforcementMode": "enforce"},
            "status": status,
        }))
        .unwrap()
    }

    /// Since when `forbidLatestTag` denies by the status, in the version that is stored now.
    fn since(status: &Value) -> Option<String> {
        let policy = policy(status);
        let recorded = of(&policy)?;
        let spec = policy.data["spec"].clone();
        let stored = Stored { namespace: Some("shop"), name: "own", spec: &spec, last_good: None };
        let now = "2030-01-01T00:00:00Z".parse().unwrap();
        let enforced = recorded.enforced.next(&stored.compile(&spec).unwrap(), now);
        enforced.since("forbidLatestTag", "forbidLatestTag").map(|it| it.to_string())
    }

    #[test]
    fn a_time_counts_for_the_version_that_it_was_recorded_of() {
        let (then, now) = ("2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z");
        let times = json!({"forbidLatestTag": then});
        let same = json!({"enforcedSince": times, "observedGeneration": 2});
        assert_eq!(since(&same).as_deref(), Some(then));
        let other = json!({"enforcedSince": times, "observedGeneration": 1});
        assert_eq!(since(&other).as_deref(), Some(now), "its spec is not known any more");
        let good = r#"{"forbidLatestTag": true, "contact": "x", "enforcementMode": "enforce"}"#;
        let older = json!({"enforcedSince": times, "observedGeneration": 1, "lastGood": good});
        assert_eq!(since(&older).as_deref(), Some(then), "it demanded the same");
        let bundle = json!({"name": "baseline", "version": "0"});
        let upgraded = json!({"enforcedSince": times, "observedGeneration": 2, "bundle": bundle});
        assert_eq!(since(&upgraded).as_deref(), Some(now));
    }

    #[test]
    fn a_status_without_times_or_with_nonsense_records_nothing() {
        for odd in [
            json!(null),
            json!({}),
            json!({"enforcedSince": {}}),
            json!("x"),
            json!({"enforcedSince": {"a": "b"}}),
        ] {
            assert_eq!(of(&policy(&odd)), None, "{odd}");
        }
        let odd = json!({"enforcedSince": {"nothing": "2026-01-01T00:00:00Z"}, "lastGood": "{"});
        assert_eq!(of(&policy(&odd)).unwrap().enforced, Enforced::default());
    }

    #[test]
    fn the_end_of_a_grace_and_the_slipped_workloads_are_recorded() {
        let status = json!({
            "enforcedSince": {"forbidLatestTag": "2026-01-01T00:00:00Z"},
            "grace": {"until": "2027-01-01T00:00:00Z", "state": "Active"},
            "slipped": {"pods": 1, "workloads": 1, "worst": [
                {"workload": "Pod/a", "pods": 1, "rules": [], "message": ""},
            ]},
        });
        let recorded = of(&policy(&status)).unwrap();
        assert_eq!(recorded.enforced.graced_until(), "2027-01-01T00:00:00Z".parse().ok());
        assert_eq!(recorded.slipped, ["Pod/a".to_owned()].into());
    }
}
