//! The variants of admission that the benchmark compares, each in its own namespace.

use podgate::admission::registration::{Endpoint, FailurePolicy, Registration};
use podgate::policy::workload::Kind;
use serde_json::{Value, json};

use crate::expressions::{self, DEFAULT_CHECKS, ORDINARY};
use crate::floors::{self, Floored};

pub struct Variant {
    pub name: &'static str,
    pub namespace: &'static str,
    pub by: By,
    /// A mutating and a validating webhook.
    mutating: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub enum By {
    Nobody,
    NullWebhook,
    Podgate,
    /// podgate with `validations`.
    Validations,
    /// A `ValidatingAdmissionPolicy` with the default checks.
    Expressions,
    /// A `ValidatingAdmissionPolicy` with the expressions of `Validations`.
    SameExpressions,
    /// The floor of this number of policies with the default checks, each an object of its own.
    Floor(Floored, usize),
}

const fn variant(name: &'static str, namespace: &'static str, by: By, mutating: bool) -> Variant {
    Variant { name, namespace, by, mutating }
}

/// The first is the baseline.
pub const VARIANTS: [Variant; 12] = [
    variant("nothing", "nothing", By::Nobody, false),
    variant("null webhook", "null", By::NullWebhook, false),
    variant("podgate", "podgate", By::Podgate, false),
    variant("in-tree, CEL", "cel", By::Expressions, false),
    variant("podgate, validations", "validations", By::Validations, false),
    variant("in-tree, the same", "same", By::SameExpressions, false),
    variant("floor, asleep", "floor-asleep", By::Floor(Floored::Asleep, 1), false),
    variant("floor, awake", "floor-awake", By::Floor(Floored::Awake, 1), false),
    variant("10, asleep", "floors-asleep", By::Floor(Floored::Asleep, 10), false),
    variant("10, awake", "floors-awake", By::Floor(Floored::Awake, 10), false),
    variant("null webhook, both", "null-both", By::NullWebhook, true),
    variant("podgate, both", "podgate-both", By::Podgate, true),
];

/// The addresses of the webhooks.
pub struct Endpoints {
    pub null: String,
    pub podgate: String,
    pub ca_pem: String,
}

impl Variant {
    /// Only pods are mutated, so only pods use both webhooks.
    pub fn kinds(&self) -> &'static [Kind] {
        if self.mutating { &[Kind::Pod] } else { &[Kind::Deployment, Kind::Pod] }
    }

    /// Whether it denies violations of the default checks.
    pub fn decides(&self) -> bool {
        !matches!(self.by, By::Nobody | By::NullWebhook | By::Floor(Floored::Asleep, _))
    }

    /// Whether it is the null webhook, the reference of other variants.
    pub fn is_null_of(&self, other: &Self) -> bool {
        self.by == By::NullWebhook && self.mutating == other.mutating
    }

    /// The names of its webhooks.
    pub fn webhooks(&self) -> Vec<String> {
        let doors = match (self.by, self.mutating) {
            (By::Nobody | By::Expressions | By::SameExpressions | By::Floor(..), _) => &[][..],
            (_, false) => &["validate"],
            (_, true) => &["validate", "mutate"],
        };
        doors.iter().map(|door| format!("{door}.{}.bench", self.namespace)).collect()
    }

    /// The objects that it needs in the cluster.
    pub fn objects(&self, endpoints: &Endpoints) -> Vec<Value> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        let mut objects = vec![namespace];
        match self.by {
            By::Nobody => {}
            By::NullWebhook => objects.extend(self.registration(&endpoints.null, endpoints)),
            By::Podgate | By::Validations => {
                objects.extend(self.registration(&endpoints.podgate, endpoints));
                objects.push(self.policy());
            }
            By::Expressions => {
                objects.extend(expressions::objects(self.namespace, &DEFAULT_CHECKS));
            }
            By::SameExpressions => objects.extend(expressions::objects(self.namespace, &ORDINARY)),
            By::Floor(state, policies) => {
                let spec = self.policy()["spec"].take();
                objects.extend(floors::objects(state, self.namespace, policies, &spec));
            }
        }
        objects
    }

    /// All default checks, or validations. The two status checks do not apply at creation.
    fn policy(&self) -> Value {
        let spec = if self.by == By::Validations {
            json!({
                "enforcementMode": "enforce",
                "variables": expressions::variables(),
                "validations": ORDINARY.map(|(rule, expression)| {
                    json!({"name": rule, "message": rule, "expression": expression})
                }),
            })
        } else {
            json!({
                "enforcementMode": "enforce",
                "mutate": self.mutating,
                "forbidLatestTag": true,
                "requireLivenessProbe": true,
                "requireReadinessProbe": true,
                "maxRestartCount": 3,
                "forbidPendingDuration": 300,
            })
        };
        json!({
            "apiVersion": "devops.stochastic.io/v1",
            "kind": "DevOpsPolicy",
            "metadata": {"name": "default-checks", "namespace": self.namespace},
            "spec": spec,
        })
    }

    /// podgate's own configurations, for this namespace and for workloads only.
    fn registration(&self, listen: &str, endpoints: &Endpoints) -> impl Iterator<Item = Value> {
        let registration = Registration {
            endpoint: Endpoint::Url(format!("https://{listen}")),
            ca_pem: Some(endpoints.ca_pem.clone()),
            // With Ignore, a failed call would count as admitted.
            failure_policy: FailurePolicy::Fail,
            protected_namespaces: Vec::new(),
            match_conditions: Vec::new(),
            lease_namespace: None,
            labels: json!({}),
        };
        let configurations = [registration.validating(), registration.mutating()];
        let namespace = self.namespace;
        self.webhooks().into_iter().zip(configurations).map(move |(name, mut configuration)| {
            let mut webhook = configuration["webhooks"][0].take();
            webhook["name"] = name.into();
            webhook["namespaceSelector"] = selector(namespace);
            configuration["metadata"]["name"] = namespace.into();
            configuration["webhooks"] = json!([webhook]);
            configuration
        })
    }
}

/// Selects one namespace.
pub fn selector(namespace: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}})
}
