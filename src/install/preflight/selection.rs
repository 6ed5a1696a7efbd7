//! Checks which objects a webhook leaves out: by a selector that was set by hand, or one that a tenant could use to
//! bypass podgate.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::super::configurations::InstalledWebhook;
use super::check::{Check, CheckSubject};
use crate::admission::registration::{ALIVE_WEBHOOK, MUTATE_WEBHOOK, VALIDATE_WEBHOOK};
use crate::policy::scope::NAME_LABEL;

/// The settings that keep objects from podgate: warnings, since an admin may have intended them.
pub(super) fn faults(title: &str, webhook: &InstalledWebhook) -> Vec<Check> {
    let mut faults = Vec::new();
    let path = match webhook.name.as_str() {
        VALIDATE_WEBHOOK => "/validate",
        MUTATE_WEBHOOK => "/mutate",
        ALIVE_WEBHOOK => "/alive",
        _ => return Vec::new(),
    };
    if !calls(webhook, path) {
        faults.push(format!("it does not call podgate at {path}"));
    }
    if webhook.name == ALIVE_WEBHOOK {
        if webhook.failure_policy.as_deref() == Some("Ignore") {
            faults.push(
                "with failurePolicy Ignore, anybody can write the Lease while podgate is down"
                    .to_owned(),
            );
        }
    } else {
        if selects_by_labels(webhook.object_selector.as_ref()) {
            faults.push(
                "its objectSelector leaves out objects by labels, which their owners set"
                    .to_owned(),
            );
        }
        if !by_name(webhook.namespace_selector.as_ref()) {
            faults.push(format!("its namespaceSelector uses other labels than {NAME_LABEL}, which anybody who may label a namespace can change"));
        }
        if !webhook.match_conditions.is_empty() {
            let names: Vec<_> =
                webhook.match_conditions.iter().map(|it| it.name.as_str()).collect();
            faults.push(format!(
                "its matchConditions ({}) leave out objects, which podgate does not review at all",
                names.join(", ")
            ));
        }
    }
    let check = |fault| {
        CheckSubject::Webhook.warning(
            format!("{title}: {fault}"),
            "if that is not intended, restore it with helm upgrade; podgate webhook config prints what it should be",
        )
    };
    faults.into_iter().map(check).collect()
}

fn calls(webhook: &InstalledWebhook, path: &str) -> bool {
    let config = &webhook.client_config;
    match (&config.service, &config.url) {
        (Some(service), _) => service.path.as_deref() == Some(path),
        (None, Some(url)) => url.ends_with(path),
        (None, None) => false,
    }
}

fn selects_by_labels(selector: Option<&LabelSelector>) -> bool {
    selector.is_some_and(|it| {
        it.match_labels.as_ref().is_some_and(|labels| !labels.is_empty())
            || it.match_expressions.as_ref().is_some_and(|all| !all.is_empty())
    })
}

/// Whether a selector uses the names of namespaces alone.
fn by_name(selector: Option<&LabelSelector>) -> bool {
    let labels = selector.and_then(|it| it.match_labels.as_ref()).into_iter().flatten();
    let expressions = selector.and_then(|it| it.match_expressions.as_ref()).into_iter().flatten();
    labels.map(|(key, _)| key).chain(expressions.map(|it| &it.key)).all(|key| key == NAME_LABEL)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    type Change = fn(&mut Value);

    fn faults_of(change: impl Fn(&mut Value)) -> Vec<String> {
        let mut webhook = json!({
            "name": VALIDATE_WEBHOOK,
            "clientConfig": {"service": {"namespace": "a", "name": "podgate", "path": "/validate"}},
            "objectSelector": {},
            "namespaceSelector": {"matchExpressions": [{"key": NAME_LABEL, "operator": "NotIn", "values": ["a"]}]},
        });
        change(&mut webhook);
        let webhook = serde_json::from_value(webhook).unwrap();
        faults("w", &webhook).into_iter().map(|check| check.what).collect()
    }

    #[test]
    fn what_leaves_objects_out_is_told_and_what_the_chart_writes_is_not() {
        assert_eq!(faults_of(|_| {}), Vec::<String>::new());
        let cases: [(&str, Change); 5] = [
            ("does not call podgate at /validate", |it| {
                it["clientConfig"] = json!({"url": "https://a/other"});
            }),
            ("objectSelector", |it| it["objectSelector"] = json!({"matchLabels": {"a": "b"}})),
            ("namespaceSelector", |it| it["namespaceSelector"]["matchLabels"] = json!({"a": "b"})),
            ("matchConditions (people)", |it| {
                it["matchConditions"] = json!([{"name": "people", "expression": "true"}]);
            }),
            ("failurePolicy Ignore", |it| {
                *it = json!({"name": ALIVE_WEBHOOK, "clientConfig": {"url": "https://a/alive"}, "failurePolicy": "Ignore"});
            }),
        ];
        for (what, change) in cases {
            let found = faults_of(change);
            assert!(found.len() == 1 && found[0].contains(what), "{what}: {found:?}");
        }
    }
}
