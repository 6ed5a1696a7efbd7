//! The webhook configurations that should be in the cluster, against which the actual ones are compared.

use k8s_openapi::api::admissionregistration::v1::MatchCondition;
use serde_json::Value;

use crate::admission::registration::{Endpoint, FailurePolicy, Registration};

/// The chart values that the webhook configurations depend on, beside the release's name and namespace.
#[derive(Clone, Debug, Default)]
pub struct WebhookValues {
    /// The Service's port.
    pub service_port: u16,
    /// `webhook.matchConditions`
    pub match_conditions: Vec<MatchCondition>,
}

impl WebhookValues {
    /// The configurations as the chart renders them, in the fields that decide which objects podgate reviews.
    pub(super) fn registration(
        self,
        namespace: String,
        release: String,
        protected_namespaces: Vec<String>,
    ) -> Registration {
        let Self { service_port, match_conditions } = self;
        Registration {
            endpoint: Endpoint::Service {
                namespace: namespace.clone(),
                name: release,
                port: service_port,
            },
            ca_pem: None,
            failure_policy: FailurePolicy::default(),
            protected_namespaces,
            match_conditions,
            lease_namespace: Some(namespace),
            labels: Value::Null,
        }
    }
}

/// The configurations that should be in the cluster.
pub(super) struct ExpectedConfigurations {
    pub rendered: Registration,
    /// The release's Deployment; `None` where podgate registers itself.
    pub deployment: Option<String>,
}
