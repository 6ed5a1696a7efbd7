//! The webhook configurations, read from the API server: they keep a podgate that hangs or is gone from blocking the
//! cluster.

use podgate::admission::registration::{ALIVE_WEBHOOK, POLICIES_WEBHOOK, WEBHOOK_SUFFIX};
use serde_json::Value;

use crate::support::cluster::Cluster;
use crate::support::suite::{Trials, trials};

pub const TRIALS: Trials<Cluster> = trials![
    the_registered_webhooks_are_asked_briefly_and_about_little,
    no_tenant_can_take_a_namespace_out_of_the_registered_webhooks,
];

/// podgate's webhooks, as it registered them.
fn webhooks(cluster: &Cluster) -> Vec<Value> {
    let of = |configuration: &Value| configuration["webhooks"].as_array().unwrap().clone();
    let mut found: Vec<_> = cluster.registered.iter().flat_map(of).collect();
    found.retain(|webhook| webhook["name"].as_str().unwrap().ends_with(WEBHOOK_SUFFIX));
    assert!(!found.is_empty(), "no webhook of podgate's is registered");
    found
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
}

fn the_registered_webhooks_are_asked_briefly_and_about_little(cluster: &Cluster) {
    let webhooks = webhooks(cluster);
    assert_eq!(webhooks.len(), 4);
    for webhook in webhooks {
        // Every write of a user waits that long for a podgate that hangs.
        assert!(webhook["timeoutSeconds"].as_i64().unwrap() <= 3, "{webhook}");
        // Other versions of a kind are converted, not skipped.
        assert_eq!(webhook["matchPolicy"], "Equivalent");
        // Without this, the API server would refuse every dry run.
        assert_eq!(webhook["sideEffects"], "None");
        assert_eq!(webhook["admissionReviewVersions"], serde_json::json!(["v1"]));
        let of_policies = webhook["name"] == POLICIES_WEBHOOK;
        // A podgate that registers itself may stop at any time; then only writes to its own Lease are refused.
        let fails = webhook["name"] == ALIVE_WEBHOOK;
        assert_eq!(webhook["failurePolicy"], if fails { "Fail" } else { "Ignore" });
        for rule in webhook["rules"].as_array().unwrap() {
            assert_eq!(rule["scope"], if of_policies { "*" } else { "Namespaced" }, "{rule}");
            for field in ["apiGroups", "apiVersions", "operations", "resources"] {
                assert!(texts(&rule[field]).iter().all(|it| !it.contains('*')), "{rule}");
            }
            // Deletion must always be possible.
            let operations = texts(&rule["operations"]);
            assert!(operations.iter().all(|it| ["CREATE", "UPDATE"].contains(it)), "{rule}");
            // Leases, Events, nodes, and the objects that podgate consists of or is configured by.
            let groups = texts(&rule["apiGroups"]);
            let known: &[_] = match webhook["name"].as_str() {
                Some(POLICIES_WEBHOOK) => &["devops.stochastic.io"],
                // One Lease, podgate's own, by its name.
                Some(ALIVE_WEBHOOK) => {
                    assert_eq!(rule["resources"], serde_json::json!(["leases"]));
                    let condition = &webhook["matchConditions"][0]["expression"];
                    assert!(condition.as_str().unwrap().contains("podgate-alive"), "{condition}");
                    &["coordination.k8s.io"]
                }
                _ => &["", "apps", "batch"],
            };
            assert!(groups.iter().all(|it| known.contains(it)), "{rule}");
            for resource in texts(&rule["resources"]) {
                let (name, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                let never = ["nodes", "events", "namespaces", "secrets", "services", "endpoints"];
                assert!(!never.contains(&name), "{rule}");
                // Resources that the kubelet and the controllers write all the time.
                assert!(!["status", "scale", "binding"].contains(&subresource), "{rule}");
            }
        }
    }
}

fn no_tenant_can_take_a_namespace_out_of_the_registered_webhooks(cluster: &Cluster) {
    let others = [POLICIES_WEBHOOK, ALIVE_WEBHOOK];
    let of_workloads =
        webhooks(cluster).into_iter().filter(|it| others.iter().all(|other| it["name"] != *other));
    for webhook in of_workloads {
        let selector = &webhook["namespaceSelector"];
        assert!(selector["matchLabels"].is_null(), "{selector}");
        for expression in selector["matchExpressions"].as_array().unwrap() {
            // The API server maintains this label.
            assert_eq!(expression["key"], "kubernetes.io/metadata.name");
            assert_eq!(expression["operator"], "NotIn");
            let values = texts(&expression["values"]);
            for name in ["kube-system", "kube-node-lease", "kube-public"] {
                assert!(values.contains(&name), "{name} is judged");
            }
        }
        assert_eq!(webhook["objectSelector"], serde_json::json!({}));
        assert!(webhook["matchConditions"].is_null());
    }
}
