//! Renders the webhook configurations, by which the API server calls podgate.
//!
//! `podgate webhook config` prints them, and `serve --register`, which is for development, writes them to a cluster. A
//! test holds the chart's templates to them.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, ServiceReference, WebhookClientConfig,
};
use serde_json::{Map, Value, json};

use crate::api;
use crate::nonce;
use crate::policy::protected::Protected;
use crate::policy::workload::Kind;

/// The names of the configurations.
pub const VALIDATING: &str = "podgate-validating";
pub const MUTATING: &str = "podgate-mutating";
/// The webhook that reviews workloads; its name prefixes the audit annotations.
pub const VALIDATE_WEBHOOK: &str = "validate.podgate.devops.stochastic.io";
/// The webhook that patches pods.
pub const MUTATE_WEBHOOK: &str = "mutate.podgate.devops.stochastic.io";
/// The webhook that reviews policies themselves.
pub const POLICIES_WEBHOOK: &str = "policies.podgate.devops.stochastic.io";
/// The webhook that reviews writes of the beat's Lease.
pub const ALIVE_WEBHOOK: &str = "alive.podgate.devops.stochastic.io";
/// The suffix of all names of podgate's webhooks, whatever the name of the configuration.
pub const WEBHOOK_SUFFIX: &str = ".podgate.devops.stochastic.io";
/// `timeoutSeconds`. Users' writes wait for these webhooks, so a low timeout bounds the harm when podgate hangs. (The
/// API's default is 10.)
const TIMEOUT_SECONDS: i32 = 3;

/// How the API server reaches podgate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// `https://HOST:PORT`, without a path.
    Url(String),
    Service {
        namespace: String,
        name: String,
        port: u16,
    },
}

/// The parameters of the webhook configurations.
#[derive(Clone, Debug)]
pub struct Registration {
    pub endpoint: Endpoint,
    /// The CA in PEM (`caBundle`); `None` leaves the field to others.
    pub ca_pem: Option<String>,
    /// The `failurePolicy` of the webhooks for workloads.
    pub failure_policy: FailurePolicy,
    /// The names of protected namespaces, beside those of the cluster itself and that of the Service.
    pub protected_namespaces: Vec<String>,
    /// The `matchConditions` of the webhooks for workloads.
    pub match_conditions: Vec<MatchCondition>,
    /// The namespace of the Lease `podgate-alive`; `None` renders no webhook for it.
    pub lease_namespace: Option<String>,
    /// The labels of the configurations.
    pub labels: Value,
}

/// `webhooks[].failurePolicy`
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FailurePolicy {
    /// The API server admits an object whose review failed.
    #[default]
    Ignore,
    /// The API server refuses an object whose review failed.
    Fail,
}

impl FailurePolicy {
    /// The value in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "Ignore",
            Self::Fail => "Fail",
        }
    }
}

/// A rule of a webhook: which requests the API server sends to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhookRule {
    pub group: &'static str,
    pub resources: Vec<&'static str>,
    pub operations: &'static [&'static str],
    pub scope: &'static str,
}

/// The rules of `/validate` for workloads: creation and update of each kind that runs pods, the creation of revisions,
/// and nothing else (no Lease, no Node, no status).
pub fn validate_rules() -> Vec<WebhookRule> {
    let mut rules: Vec<WebhookRule> = Vec::new();
    for kind in Kind::ALL {
        let names = kind.names();
        match rules.iter_mut().find(|rule| rule.group == names.group) {
            Some(rule) => rule.resources.push(names.resource),
            None => rules.push(WebhookRule {
                group: names.group,
                resources: vec![names.resource],
                operations: &["CREATE", "UPDATE"],
                scope: "Namespaced",
            }),
        }
    }
    for rule in rules.iter_mut().filter(|rule| rule.group.is_empty()) {
        rule.resources.extend(["pods/ephemeralcontainers", "pods/resize"]);
    }
    // Their template cannot be changed.
    let names = Kind::ControllerRevision.names();
    let (group, resources) = (names.group, vec![names.resource]);
    rules.push(WebhookRule { group, resources, operations: &["CREATE"], scope: "Namespaced" });
    rules
}

/// The rules of `/mutate`: the creation of pods.
pub fn mutate_rules() -> Vec<WebhookRule> {
    let resources = vec![Kind::Pod.names().resource];
    vec![WebhookRule { group: "", resources, operations: &["CREATE"], scope: "Namespaced" }]
}

/// The rules of `/validate` for policies.
fn policy_rules() -> Vec<WebhookRule> {
    vec![WebhookRule {
        group: api::GROUP,
        resources: vec!["devopspolicies", "clusterdevopspolicies"],
        operations: &["CREATE", "UPDATE"],
        scope: "*",
    }]
}

/// The rules of `/alive`: all Leases, which a namespaceSelector and [`alive_conditions`] narrow to one.
fn alive_rules() -> Vec<WebhookRule> {
    vec![WebhookRule {
        group: "coordination.k8s.io",
        resources: vec!["leases"],
        operations: &["CREATE", "UPDATE"],
        scope: "Namespaced",
    }]
}

/// The `matchConditions` of `/alive`: the one Lease, and only updates that change its spec. Those of its metadata, such
/// as finalizers and owners, are the garbage collector's. Neither expression can fail: each field that it reads is
/// checked for presence, or always present.
fn alive_conditions() -> Vec<MatchCondition> {
    let condition = |name: &str, expression: String| {
        let name = name.to_owned();
        MatchCondition { name, expression }
    };
    vec![
        condition(
            "the-lease",
            format!("has(object.metadata.name) && object.metadata.name == '{}'", nonce::LEASE),
        ),
        condition(
            "its-spec",
            "request.operation == 'CREATE' || !has(object.spec) || !has(oldObject.spec) || object.spec != oldObject.spec"
                .to_owned(),
        ),
    ]
}

impl WebhookRule {
    fn to_json(&self) -> Value {
        json!({
            "apiGroups": [self.group],
            "apiVersions": ["v1"],
            "operations": self.operations,
            "resources": self.resources,
            "scope": self.scope,
        })
    }
}

impl Registration {
    /// The `ValidatingWebhookConfiguration`.
    pub fn validating(&self) -> Value {
        let mut workloads = self.webhook(VALIDATE_WEBHOOK, "/validate", &validate_rules());
        workloads.insert("failurePolicy".to_owned(), self.failure_policy.as_str().into());
        self.select(&mut workloads);
        // Always Ignore: it must be possible to correct a policy while podgate is down. No namespaceSelector: policies
        // in protected namespaces are reviewed too, although they judge nothing.
        let mut policies = self.webhook(POLICIES_WEBHOOK, "/validate", &policy_rules());
        policies.insert("failurePolicy".to_owned(), FailurePolicy::Ignore.as_str().into());
        let alive = self.lease_namespace.as_deref().map(|namespace| self.alive(namespace));
        let webhooks: Vec<_> = [workloads, policies].into_iter().chain(alive).collect();
        self.configuration("ValidatingWebhookConfiguration", VALIDATING, &webhooks)
    }

    /// The `MutatingWebhookConfiguration`.
    pub fn mutating(&self) -> Value {
        let mut pods = self.webhook(MUTATE_WEBHOOK, "/mutate", &mutate_rules());
        pods.insert("failurePolicy".to_owned(), self.failure_policy.as_str().into());
        self.select(&mut pods);
        // A webhook that is called later may add a container, which policies must complete too.
        pods.insert("reinvocationPolicy".to_owned(), "IfNeeded".into());
        self.configuration("MutatingWebhookConfiguration", MUTATING, &[pods])
    }

    /// The webhook of the beat's Lease. It fails closed: while podgate is down, nobody can write a fresh `renewTime`.
    fn alive(&self, namespace: &str) -> Map<String, Value> {
        let mut alive = self.webhook(ALIVE_WEBHOOK, "/alive", &alive_rules());
        let selector = json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace]},
        ]});
        alive.insert("failurePolicy".to_owned(), FailurePolicy::Fail.as_str().into());
        alive.insert("namespaceSelector".to_owned(), selector);
        alive.insert("matchConditions".to_owned(), json!(alive_conditions()));
        alive
    }

    /// Sets the selectors of a webhook for workloads.
    fn select(&self, webhook: &mut Map<String, Value>) {
        webhook.insert("namespaceSelector".to_owned(), self.namespace_selector());
        if !self.match_conditions.is_empty() {
            webhook.insert("matchConditions".to_owned(), json!(self.match_conditions));
        }
    }

    fn configuration(&self, kind: &str, name: &str, webhooks: &[Map<String, Value>]) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name, "labels": self.labels},
            "webhooks": webhooks,
        })
    }

    /// The fields that all webhooks have.
    fn webhook(&self, name: &str, path: &str, rules: &[WebhookRule]) -> Map<String, Value> {
        let fields = [
            ("name", json!(name)),
            ("clientConfig", self.client_config(path)),
            ("rules", rules.iter().map(WebhookRule::to_json).collect()),
            ("matchPolicy", json!("Equivalent")),
            ("sideEffects", json!("None")),
            ("timeoutSeconds", json!(TIMEOUT_SECONDS)),
            ("admissionReviewVersions", json!(["v1"])),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The namespaceSelector of workloads, by the label with the namespace's name, which Kubernetes maintains and no
    /// tenant can change.
    fn namespace_selector(&self) -> Value {
        let own = match &self.endpoint {
            Endpoint::Service { namespace, .. } => Some(namespace),
            Endpoint::Url(_) => None,
        };
        let protected = Protected::with(own.into_iter().chain(&self.protected_namespaces).cloned());
        json!({"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": protected.names()},
        ]})
    }

    fn client_config(&self, path: &str) -> Value {
        let (url, service) = match &self.endpoint {
            Endpoint::Url(url) => (Some(format!("{url}{path}")), None),
            Endpoint::Service { namespace, name, port } => {
                let (namespace, name) = (namespace.clone(), name.clone());
                let (path, port) = (Some(path.to_owned()), Some(i32::from(*port)));
                (None, Some(ServiceReference { name, namespace, path, port }))
            }
        };
        let ca_bundle = self.ca_pem.as_ref().map(|pem| ByteString(pem.as_bytes().to_vec()));
        json!(WebhookClientConfig { ca_bundle, service, url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(endpoint: Endpoint) -> Registration {
        Registration {
            endpoint,
            ca_pem: None,
            failure_policy: FailurePolicy::Fail,
            protected_namespaces: vec!["cni".to_owned(), "kube-system".to_owned()],
            match_conditions: Vec::new(),
            lease_namespace: Some("podgate-system".to_owned()),
            labels: json!({}),
        }
    }

    fn service() -> Endpoint {
        Endpoint::Service {
            namespace: "podgate-system".to_owned(),
            name: "podgate".to_owned(),
            port: 443,
        }
    }

    #[test]
    fn the_api_server_asks_about_what_runs_pods_and_policies_and_nothing_else() {
        let rules = |configuration: &Value| -> Vec<String> {
            let webhooks = configuration["webhooks"].as_array().unwrap();
            webhooks.iter().map(|it| format!("{} {}", it["name"], it["rules"])).collect()
        };
        let registration = registration(service());
        insta::assert_snapshot!(rules(&registration.validating()).join("\n"), @r#"
        "validate.podgate.devops.stochastic.io" [{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["pods","replicationcontrollers","podtemplates","pods/ephemeralcontainers","pods/resize"],"scope":"Namespaced"},{"apiGroups":["apps"],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["deployments","statefulsets","daemonsets","replicasets"],"scope":"Namespaced"},{"apiGroups":["batch"],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["jobs","cronjobs"],"scope":"Namespaced"},{"apiGroups":["apps"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["controllerrevisions"],"scope":"Namespaced"}]
        "policies.podgate.devops.stochastic.io" [{"apiGroups":["devops.stochastic.io"],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["devopspolicies","clusterdevopspolicies"],"scope":"*"}]
        "alive.podgate.devops.stochastic.io" [{"apiGroups":["coordination.k8s.io"],"apiVersions":["v1"],"operations":["CREATE","UPDATE"],"resources":["leases"],"scope":"Namespaced"}]
        "#);
        insta::assert_snapshot!(rules(&registration.mutating()).join("\n"), @r#""mutate.podgate.devops.stochastic.io" [{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"],"scope":"Namespaced"}]"#);
    }

    #[test]
    fn protected_namespaces_are_left_out_by_their_exact_names_each_once() {
        let selected = |endpoint| {
            let selector = registration(endpoint).namespace_selector();
            selector["matchExpressions"][0]["values"].to_string()
        };
        let url = Endpoint::Url("https://127.0.0.1:8443".to_owned());
        assert_eq!(selected(url), r#"["kube-system","kube-node-lease","kube-public","cni"]"#);
        assert_eq!(
            selected(service()),
            r#"["kube-system","kube-node-lease","kube-public","podgate-system","cni"]"#
        );
    }

    #[test]
    fn the_webhook_for_policies_never_fails_closed() {
        let validating = registration(service()).validating();
        let policy = |index: usize| validating["webhooks"][index]["failurePolicy"].clone();
        assert_eq!((policy(0), policy(1)), ("Fail".into(), "Ignore".into()));
    }

    #[test]
    fn of_all_leases_podgate_is_asked_about_one_in_one_namespace() {
        let mut registration = registration(service());
        let alive = registration.validating()["webhooks"][2].take();
        assert_eq!(
            (&alive["name"], &alive["failurePolicy"]),
            (&json!(ALIVE_WEBHOOK), &json!("Fail"))
        );
        insta::assert_snapshot!(alive["namespaceSelector"], @r#"{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"In","values":["podgate-system"]}]}"#);
        insta::assert_snapshot!(alive["matchConditions"], @r#"[{"expression":"has(object.metadata.name) && object.metadata.name == 'podgate-alive'","name":"the-lease"},{"expression":"request.operation == 'CREATE' || !has(object.spec) || !has(oldObject.spec) || object.spec != oldObject.spec","name":"its-spec"}]"#);
        registration.lease_namespace = None;
        assert_eq!(registration.validating()["webhooks"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn conditions_are_those_of_the_webhooks_for_workloads_alone() {
        let mut registration = registration(service());
        let (name, expression) = ("people".to_owned(), "true".to_owned());
        registration.match_conditions = vec![MatchCondition { name, expression }];
        let of = |configuration: Value, index: usize| {
            configuration["webhooks"][index]["matchConditions"].clone()
        };
        let expected = json!([{"name": "people", "expression": "true"}]);
        assert_eq!(of(registration.validating(), 0), expected);
        assert_eq!(of(registration.mutating(), 0), expected);
        assert_eq!(of(registration.validating(), 1), Value::Null);
    }

    #[test]
    fn a_ca_is_left_to_others_where_none_is_given() {
        let mut registration = registration(service());
        let config = |it: &Registration| it.mutating()["webhooks"][0]["clientConfig"].to_string();
        insta::assert_snapshot!(config(&registration), @r#"{"service":{"name":"podgate","namespace":"podgate-system","path":"/mutate","port":443}}"#);
        registration.ca_pem = Some("PEM".to_owned());
        assert!(config(&registration).contains(r#""caBundle":"UEVN""#));
    }
}
