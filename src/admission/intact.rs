//! Compares a webhook configuration with the rendered one: whether it still sends podgate all objects. Pure.
//!
//! It compares the fields that decide which objects reach podgate: rules, selectors, conditions and the client
//! configuration. It ignores what an admin may set by hand: `failurePolicy`, timeouts, labels. The `caBundle` must be
//! the same in all webhooks: the beat proves that its own webhook's is trusted, and so the others'.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, RuleWithOperations, ServiceReference, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

/// The compared fields of a webhook. An absent field has the default of the API server.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ComparedWebhook {
    name: String,
    client_config: WebhookClientConfig,
    #[serde(default)]
    rules: Vec<RuleWithOperations>,
    #[serde(default)]
    match_policy: Option<String>,
    #[serde(default)]
    namespace_selector: Option<LabelSelector>,
    #[serde(default)]
    object_selector: Option<LabelSelector>,
    #[serde(default)]
    match_conditions: Option<Vec<MatchCondition>>,
}

/// Compares the configuration found in a cluster with the rendered one.
///
/// # Errors
/// The first difference, as a sentence.
pub(crate) fn compare(rendered: &Value, found: &Value) -> Result<(), String> {
    let found = webhooks(found)?;
    let mut trusted = BTreeSet::new();
    for expected in webhooks(rendered)? {
        let name = &expected.name;
        let mut named = found.iter().filter(|it| it.name == *name);
        let Some(webhook) = named.next() else {
            return Err(format!("there is no webhook {name}"));
        };
        let changed =
            differs(&expected, webhook).map(|field| format!("{field} of {name} was changed"));
        changed.map_or(Ok(()), Err)?;
        let bundle = webhook.client_config.ca_bundle.as_ref().map(|it| it.0.clone());
        trusted.insert(bundle.unwrap_or_default());
    }
    if trusted.len() > 1 {
        return Err("its webhooks have different caBundles".to_owned());
    }
    Ok(())
}

fn webhooks(configuration: &Value) -> Result<Vec<ComparedWebhook>, String> {
    let webhooks = configuration.get("webhooks").cloned().unwrap_or_default();
    Option::<Vec<ComparedWebhook>>::deserialize(webhooks)
        .map(Option::unwrap_or_default)
        .map_err(|error| format!("its webhooks cannot be read: {error}"))
}

/// The first field in which two webhooks differ.
fn differs(expected: &ComparedWebhook, found: &ComparedWebhook) -> Option<&'static str> {
    let endpoint = |it: &ComparedWebhook| {
        let WebhookClientConfig { url, service, .. } = it.client_config.clone();
        let with_port = |it: ServiceReference| {
            let port = it.port.or(Some(443));
            ServiceReference { port, ..it }
        };
        (url, service.map(with_port))
    };
    let policy =
        |it: &ComparedWebhook| it.match_policy.clone().unwrap_or_else(|| "Equivalent".to_owned());
    let conditions = |it: &ComparedWebhook| it.match_conditions.clone().unwrap_or_default();
    [
        ("clientConfig", endpoint(expected) == endpoint(found)),
        ("rules", rules(&expected.rules) == rules(&found.rules)),
        ("matchPolicy", policy(expected) == policy(found)),
        (
            "namespaceSelector",
            selector(expected.namespace_selector.as_ref())
                == selector(found.namespace_selector.as_ref()),
        ),
        (
            "objectSelector",
            selector(expected.object_selector.as_ref()) == selector(found.object_selector.as_ref()),
        ),
        ("matchConditions", conditions(expected) == conditions(found)),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}

/// Each combination that rules match (group, version, operation, resource, scope), so that the order of lists is
/// irrelevant.
fn rules(rules: &[RuleWithOperations]) -> BTreeSet<[String; 5]> {
    let mut all = BTreeSet::new();
    for rule in rules {
        let scope = rule.scope.clone().unwrap_or_else(|| "*".to_owned());
        for group in rule.api_groups.iter().flatten() {
            for version in rule.api_versions.iter().flatten() {
                for operation in rule.operations.iter().flatten() {
                    for resource in rule.resources.iter().flatten() {
                        let [group, version] = [group.clone(), version.clone()];
                        all.insert([
                            group,
                            version,
                            operation.clone(),
                            resource.clone(),
                            scope.clone(),
                        ]);
                    }
                }
            }
        }
    }
    all
}

/// A requirement of a label selector.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Requirement {
    key: String,
    operator: String,
    values: BTreeSet<String>,
}

/// The requirements of a selector, without order. An absent selector has none.
fn selector(selector: Option<&LabelSelector>) -> BTreeSet<Requirement> {
    let labels = selector.and_then(|it| it.match_labels.as_ref()).into_iter().flatten();
    let labels = labels.map(|(key, value)| Requirement {
        key: key.clone(),
        operator: "In".to_owned(),
        values: BTreeSet::from([value.clone()]),
    });
    let expressions = selector.and_then(|it| it.match_expressions.as_ref()).into_iter().flatten();
    let expressions = expressions.map(|it| Requirement {
        key: it.key.clone(),
        operator: it.operator.clone(),
        values: it.values.iter().flatten().cloned().collect(),
    });
    labels.chain(expressions).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::registration::{Endpoint, FailurePolicy, Registration};
    use super::*;

    type Change = fn(&mut Value);

    fn rendered() -> Value {
        let registration = Registration {
            endpoint: Endpoint::Service {
                namespace: "podgate-system".to_owned(),
                name: "podgate".to_owned(),
                port: 443,
            },
            ca_pem: None,
            failure_policy: FailurePolicy::Ignore,
            protected_namespaces: vec!["cni".to_owned()],
            match_conditions: Vec::new(),
            lease_namespace: Some("podgate-system".to_owned()),
            labels: json!({}),
        };
        registration.validating()
    }

    /// The configuration as the API server stores it, with a change.
    fn found(change: impl Fn(&mut Value)) -> Value {
        let mut found = rendered();
        for webhook in found["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = json!("UEVN");
            webhook["objectSelector"] = json!({});
            if webhook["namespaceSelector"].is_null() {
                webhook["namespaceSelector"] = json!({});
            }
        }
        change(&mut found["webhooks"]);
        found
    }

    #[test]
    fn what_the_api_server_fills_in_and_what_an_admin_may_set_is_no_change() {
        assert_eq!(compare(&rendered(), &found(|_| {})), Ok(()));
        let by_hand = found(|it| {
            it[0]["failurePolicy"] = json!("Fail");
            it[0]["timeoutSeconds"] = json!(10);
            it[0]["rules"][0]["resources"].as_array_mut().unwrap().reverse();
            it[0]["namespaceSelector"]["matchExpressions"][0]["values"]
                .as_array_mut()
                .unwrap()
                .reverse();
            it.as_array_mut().unwrap().reverse();
        });
        assert_eq!(compare(&rendered(), &by_hand), Ok(()));
    }

    #[test]
    fn whatever_keeps_objects_from_podgate_is_seen() {
        let cases: [(&str, Change); 13] = [
            ("there is no webhook validate.podgate", |it| {
                drop(it.as_array_mut().unwrap().remove(0));
            }),
            ("there is no webhook alive.podgate", |it| drop(it.as_array_mut().unwrap().pop())),
            ("there is no webhook validate.podgate", |it| *it = json!(null)),
            ("rules of validate.podgate", |it| it[0]["rules"] = json!([])),
            ("rules of validate.podgate", |it| it[0]["rules"][0]["operations"] = json!(["CREATE"])),
            ("rules of validate.podgate", |it| it[0]["rules"][0]["apiVersions"] = json!(["v2"])),
            ("rules of validate.podgate", |it| it[0]["rules"][0]["scope"] = json!("Cluster")),
            ("matchPolicy of validate.podgate", |it| it[0]["matchPolicy"] = json!("Exact")),
            ("namespaceSelector of validate.podgate", |it| {
                it[0]["namespaceSelector"]["matchLabels"] = json!({"judge": "me"});
            }),
            ("objectSelector of validate.podgate", |it| {
                it[0]["objectSelector"] =
                    json!({"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]});
            }),
            ("matchConditions of validate.podgate", |it| {
                it[0]["matchConditions"] = json!([{"name": "never", "expression": "false"}]);
            }),
            ("clientConfig of validate.podgate", |it| {
                it[0]["clientConfig"]["service"]["name"] = json!("other");
            }),
            ("different caBundles", |it| it[0]["clientConfig"]["caBundle"] = json!("T1RIRVI=")),
        ];
        for (what, change) in cases {
            let why = compare(&rendered(), &found(change)).unwrap_err();
            assert!(why.contains(what), "{what}: {why}");
        }
    }
}
