//! Checks the webhook configurations: whether the API server calls podgate, reaches it and trusts it, and which pods
//! depend on it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{ServiceReference, WebhookClientConfig};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::api::{Api, ListParams};
use kube::core::{Selector, SelectorExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use x509_parser::pem::Pem;

use super::super::configurations::{self, InstalledWebhook};
use super::check::{Check, CheckSubject};
use super::selection;
use crate::admission::registration::{
    ALIVE_WEBHOOK, MUTATE_WEBHOOK, VALIDATE_WEBHOOK, WebhookRule, mutate_rules, validate_rules,
};
use crate::admission::self_registration::REGISTERED_BY;
use crate::certs::configuration::WebhookKind;
use crate::clusters::Cluster;
use crate::policy::protected::Protected;

/// The longest acceptable `timeoutSeconds`: above it, controllers lose their leases while podgate hangs.
const MAX_TIMEOUT_SECONDS: i32 = 10;
/// How long a running podgate may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many days before a CA's expiry the check warns.
const EXPIRY_DAYS: i64 = 7;
const DAY: i64 = 24 * 60 * 60;

/// Checks every webhook that calls podgate, and whether one is missing.
pub(super) async fn webhooks(cluster: &Cluster) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut called = BTreeSet::new();
    let mut unseen = false;
    for kind in WebhookKind::ALL {
        let configurations = match configurations::list(cluster, kind).await {
            Ok(configurations) => configurations,
            Err(error) => {
                checks.push(CheckSubject::Webhook.unseen(&format!("{}s", kind.as_str()), &error));
                unseen = true;
                continue;
            }
        };
        for configuration in &configurations {
            for webhook in configuration.ours() {
                called.insert(webhook.name.clone());
                let name = configuration.name();
                let title = format!("{} {name}, {}", kind.as_str(), webhook.name);
                checks.extend(check(cluster, &title, &configuration.metadata, webhook).await);
            }
        }
    }
    // Of configurations that cannot be read, nothing is known to be missing.
    if !unseen {
        checks.extend(missing(&called));
    }
    checks
}

/// The most serious of the missing webhooks.
fn missing(called: &BTreeSet<String>) -> Option<Check> {
    let calls = |name: &str| called.contains(name);
    if !calls(VALIDATE_WEBHOOK) {
        return Some(CheckSubject::Webhook.warning(
            "no ValidatingWebhookConfiguration calls podgate, so nothing is refused",
            "install the chart, or develop with: podgate serve --register",
        ));
    }
    if !calls(ALIVE_WEBHOOK) {
        return Some(CheckSubject::Webhook.warning(
            "the webhook alive. is missing, so podgate cannot see whether API servers call it",
            "restore it with helm upgrade, or see it with: podgate webhook config",
        ));
    }
    (!calls(MUTATE_WEBHOOK)).then(|| {
        CheckSubject::Webhook.warning(
            "no MutatingWebhookConfiguration calls podgate, so policies with mutate complete no pods, and refuse incomplete ones",
            "restore it with helm upgrade, or see it with: podgate webhook config",
        )
    })
}

async fn check(
    cluster: &Cluster,
    title: &str,
    metadata: &ObjectMeta,
    webhook: &InstalledWebhook,
) -> Vec<Check> {
    let fails = webhook.failure_policy.as_deref() != Some("Ignore");
    let state = if fails {
        "failurePolicy Fail: what it cannot judge is refused"
    } else {
        "failurePolicy Ignore: what it cannot judge is admitted"
    };
    let by_serve = metadata.labels.as_ref().is_some_and(|it| it.contains_key(REGISTERED_BY));
    let mut checks = vec![if by_serve {
        CheckSubject::Webhook.warning(
            format!("{title}: {state}; it was registered by podgate serve --register"),
            "that is for development and lasts as long as that podgate runs; to stay, install the chart",
        )
    } else {
        CheckSubject::Webhook.ok(format!("{title}: {state}"))
    }];
    checks.extend(stale(title, webhook));
    checks.extend(selection::faults(title, webhook));
    checks.extend(trust(title, &webhook.client_config, Timestamp::now()));
    if let Some(service) = &webhook.client_config.service {
        checks.extend(reachable(cluster, title, service, fails).await);
    }
    if let Some(url) = &webhook.client_config.url {
        checks.extend(answers(title, url).await);
    }
    if fails && webhook.name != ALIVE_WEBHOOK {
        checks.extend(endangered(cluster, title, webhook.namespace_selector.as_ref()).await);
    }
    checks
}

/// The settings that differ from those of this version of podgate.
fn stale(title: &str, webhook: &InstalledWebhook) -> Vec<Check> {
    let asked = |rule: &WebhookRule, resource: &str, operation: &str| {
        let has = |list: &Option<Vec<String>>, item: &str| {
            list.iter().flatten().any(|it| it == item || it == "*")
        };
        webhook.rules.iter().any(|found| {
            has(&found.api_groups, rule.group)
                && has(&found.resources, resource)
                && has(&found.operations, operation)
        })
    };
    let expected = match webhook.name.as_str() {
        VALIDATE_WEBHOOK => validate_rules(),
        MUTATE_WEBHOOK => mutate_rules(),
        _ => Vec::new(),
    };
    let mut unasked = BTreeSet::new();
    for rule in &expected {
        for resource in &rule.resources {
            if rule.operations.iter().any(|operation| !asked(rule, resource, operation)) {
                unasked.insert(*resource);
            }
        }
    }
    let mut faults = Vec::new();
    if !unasked.is_empty() {
        let resources = unasked.into_iter().collect::<Vec<_>>().join(", ");
        faults.push(format!("the API server does not ask about every change of {resources}"));
    }
    if webhook.match_policy.as_deref() == Some("Exact") {
        faults.push("with matchPolicy Exact, other API versions are not judged".to_owned());
    }
    if let Some(seconds) = webhook.timeout_seconds.filter(|seconds| *seconds > MAX_TIMEOUT_SECONDS)
    {
        faults.push(format!("timeoutSeconds {seconds} lets a podgate that hangs stop controllers"));
    }
    let check = |fault| {
        CheckSubject::Webhook.warning(
            format!("{title}: {fault}"),
            "bring it up to date with helm upgrade; podgate webhook config prints what it should be",
        )
    };
    faults.into_iter().map(check).collect()
}

/// Checks that something answers at a URL: a killed `serve --register` leaves its configurations behind.
async fn answers(title: &str, url: &str) -> Option<Check> {
    let uri = url.parse::<axum::http::Uri>().ok()?;
    let (host, port) = (uri.host()?.to_owned(), uri.port_u16().unwrap_or(443));
    let address = (host.trim_matches(['[', ']']), port);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let why = match connected {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    Some(CheckSubject::Webhook.warning(
        format!("{title}: nothing serves {url} as seen from here ({why})"),
        "if that podgate is gone, remove what it left behind: podgate webhook delete",
    ))
}

/// Checks the CA by which the API server trusts podgate.
fn trust(title: &str, config: &WebhookClientConfig, now: Timestamp) -> Option<Check> {
    let bundle = config.ca_bundle.as_ref().map_or(&[][..], |bundle| &bundle.0);
    if bundle.is_empty() {
        return Some(CheckSubject::Webhook.error(
            format!("{title}: caBundle is empty, so the API server cannot trust podgate and its calls fail"),
            "see the log of podgate, or of cert-manager, which should have filled it",
        ));
    }
    let ends = Pem::iter_from_buffer(bundle).map(|pem| {
        let pem = pem.ok()?;
        pem.parse_x509().ok().map(|ca| ca.validity().not_after.timestamp())
    });
    // During a rotation there are two CAs, and one valid CA is enough.
    let Some(end) = ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max()) else {
        return Some(CheckSubject::Webhook.error(
            format!("{title}: caBundle is not a PEM certificate, so the API server's calls fail"),
            "write the CA's certificate there, in PEM",
        ));
    };
    let date = Timestamp::from_second(end).map(|end| end.to_string()).unwrap_or_default();
    let left = end - now.as_second();
    if left < 0 {
        let what = format!(
            "{title}: the CA in caBundle expired on {date}, so the API server's calls fail"
        );
        return Some(CheckSubject::Webhook.error(what, "renew the certificates"));
    }
    (left < EXPIRY_DAYS * DAY).then(|| {
        let what = format!("{title}: the CA in caBundle expires on {date}");
        CheckSubject::Webhook.warning(what, "renew the certificates")
    })
}

/// Checks that the Service exists and has a ready endpoint.
async fn reachable(
    cluster: &Cluster,
    title: &str,
    service: &ServiceReference,
    fails: bool,
) -> Option<Check> {
    let ServiceReference { namespace, name, .. } = service;
    let remedy = if fails {
        "pods can be neither created nor changed until it is back; to lift that at once: podgate webhook delete"
    } else {
        "bring it back, or remove what is left of it: podgate webhook delete"
    };
    let services = Api::<Service>::namespaced(cluster.client.clone(), namespace);
    match services.get_opt(name).await {
        Err(error) => {
            return Some(
                CheckSubject::Webhook.unseen(&format!("Service {namespace}/{name}"), &error),
            );
        }
        Ok(None) => {
            let what = format!("{title}: its Service {namespace}/{name} does not exist");
            return Some(CheckSubject::Webhook.error(what, remedy));
        }
        Ok(Some(_)) => {}
    }
    let slices = Api::<EndpointSlice>::namespaced(cluster.client.clone(), namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    let slices = match slices.list(&of_service).await {
        Ok(slices) => slices,
        Err(error) => {
            return Some(
                CheckSubject::Webhook
                    .unseen(&format!("the endpoints of {namespace}/{name}"), &error),
            );
        }
    };
    let ready = slices
        .items
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten())
        .any(|endpoint| endpoint.conditions.as_ref().and_then(|it| it.ready).unwrap_or(true));
    (!ready).then(|| {
        let what = format!("{title}: no pod behind its Service {namespace}/{name} is ready");
        CheckSubject::Webhook.error(what, remedy)
    })
}

/// Checks for deadlocks: a `DaemonSet` that nodes need to run pods must not wait for podgate, which is a pod itself.
/// Such a `DaemonSet` belongs into a protected namespace.
async fn endangered(
    cluster: &Cluster,
    title: &str,
    selector: Option<&LabelSelector>,
) -> Vec<Check> {
    // The fields that are read; the whole type would add half a megabyte of code.
    #[derive(Deserialize)]
    struct View {
        metadata: ObjectMeta,
        spec: DaemonSetView,
    }
    #[derive(Deserialize)]
    struct DaemonSetView {
        template: TemplateView,
    }
    #[derive(Deserialize)]
    struct TemplateView {
        #[serde(default)]
        spec: PodView,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct PodView {
        priority_class_name: Option<String>,
        host_network: Option<bool>,
    }
    let judged = judged(selector);
    let mut checks = Vec::new();
    let listed = cluster.list::<DaemonSet>(None, None, |json| {
        let Ok(View { metadata, spec }) = serde_json::from_str(json) else { return };
        let pod = spec.template.spec;
        let critical = pod.priority_class_name.as_deref() == Some("system-node-critical");
        let namespace = metadata.namespace.unwrap_or_default();
        if (critical || pod.host_network == Some(true)) && judged(&namespace) {
            let name = metadata.name.unwrap_or_default();
            checks.push(CheckSubject::Webhook.warning(
                format!("{title}: DaemonSet {namespace}/{name} is part of the nodes, and waits for podgate when podgate is down"),
                format!("add {namespace} to protectedNamespaces, or use failurePolicy Ignore"),
            ));
        }
    });
    if let Err(error) = listed.await {
        checks.push(CheckSubject::Webhook.unseen("DaemonSets", &error));
    }
    checks
}

/// Whether a webhook with this namespaceSelector is called for a namespace, by the namespace's name alone.
fn judged(selector: Option<&LabelSelector>) -> impl Fn(&str) -> bool {
    let selector = selector.cloned().and_then(|selector| Selector::try_from(selector).ok());
    let protected = Protected::default();
    move |namespace| {
        let labels =
            BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]);
        !protected.contains(namespace)
            && selector.as_ref().is_none_or(|selector| selector.matches(&labels))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;
    use time::OffsetDateTime;

    use super::super::check::CheckState;
    use super::*;
    use crate::certs::authority;

    const NOW: i64 = 1_800_000_000;

    /// The CA of a certificate made so many days ago; it lasts a year.
    fn ca(days_ago: i64) -> String {
        let made = OffsetDateTime::from_unix_timestamp(NOW - days_ago * DAY).unwrap();
        authority::self_signed(&["podgate".to_owned()], made).unwrap().ca.unwrap()
    }

    fn state(bundle: &str) -> Option<CheckState> {
        let config = WebhookClientConfig {
            ca_bundle: Some(ByteString(bundle.as_bytes().to_vec())),
            ..WebhookClientConfig::default()
        };
        trust("w", &config, Timestamp::from_second(NOW).unwrap()).map(|check| check.state)
    }

    #[test]
    fn a_ca_that_the_api_server_cannot_use_is_an_error_and_one_that_ends_soon_a_warning() {
        assert_eq!(state(""), Some(CheckState::Error));
        assert_eq!(state("no certificate"), Some(CheckState::Error));
        assert_eq!(state(&ca(366)), Some(CheckState::Error));
        assert_eq!(state(&ca(360)), Some(CheckState::Warning));
        assert_eq!(state(&ca(350)), None);
        // During a rotation, both are there.
        assert_eq!(state(&(ca(366) + &ca(0))), None);
        let never_filled = trust("w", &WebhookClientConfig::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(never_filled.map(|check| check.state), Some(CheckState::Error));
    }

    #[test]
    fn namespaces_are_left_out_by_their_names_and_the_protected_ones_always() {
        let selector = serde_json::from_value(json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["cni"]},
        ]}))
        .unwrap();
        for (selector, namespace, expected) in [
            (None, "shop", true),
            (None, "kube-system", false),
            (Some(&selector), "shop", true),
            (Some(&selector), "cni", false),
        ] {
            assert_eq!(judged(selector)(namespace), expected, "{namespace}");
        }
    }
}
