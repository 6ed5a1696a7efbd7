use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) use crate::client::script::Script;

use crate::api::{ClusterDevOpsPolicySpec, DevOpsPolicySpec, Severity};
use crate::policy::compile::{Policy, PolicyOrigin};
use crate::policy::observed::{Fault, ObservedNamespace, Summary, Violation, WorkloadKey};
use crate::policy::scope::Scope;

/// A refusal as the API server words it.
pub(super) fn refusal(code: u16) -> (u16, Value) {
    (code, json!({"kind": "Status", "status": "Failure", "message": "no", "code": code}))
}

fn with_origin(mut policy: Policy) -> Arc<Policy> {
    policy.origin = Some(PolicyOrigin {
        uid: format!("uid-of-{}", policy.name),
        generation: 1,
        deleting: None,
        held: false,
    });
    Arc::new(policy)
}

/// Of the namespace `shop`.
pub(super) fn policy(name: &str) -> Arc<Policy> {
    let scope = Scope::Namespace("shop".to_owned());
    with_origin(Policy::compile(scope, name.to_owned(), &DevOpsPolicySpec::default()).unwrap())
}

pub(super) fn cluster_policy(name: &str) -> Arc<Policy> {
    let spec = ClusterDevOpsPolicySpec::default();
    with_origin(Policy::compile_cluster(name.to_owned(), &spec).unwrap())
}

/// Of a Deployment in `shop`.
pub(super) fn violation(name: &str, rule: &'static str) -> Violation {
    Violation {
        workload: Arc::new(WorkloadKey {
            namespace: "shop".to_owned(),
            kind: "Deployment".to_owned(),
            name: name.to_owned(),
        }),
        severity: Severity::High,
        fault: Arc::new(Fault {
            rule,
            id: rule.to_owned(),
            container: Some("web".to_owned()),
            path: "spec.containers[0].image".to_owned(),
            message: "spec.containers[0].image is \"nginx\" (no tag means :latest); pin the version that should run: nginx:VERSION".to_owned(),
            undecided: false,
        }),
        began: Timestamp::from_second(1_700_000_000).unwrap(),
        pods: 1,
    }
}

pub(super) fn observed(policy: Arc<Policy>, worst: Vec<Violation>) -> ObservedNamespace {
    let fail = worst.len().try_into().unwrap();
    let summary = Summary { pass: 4, fail, error: 0, skip: 2 };
    ObservedNamespace {
        policy,
        namespace: "shop".to_owned(),
        summary,
        worst,
        violating: Vec::new(),
    }
}
