//! Builds the `Report` of a policy in a namespace. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::name;
use crate::api::{
    API_VERSION, REPORT_API_VERSION, Report, ReportResult, ReportSummary, ResultStatus, ResultTime,
};
use crate::policy::compile::Policy;
use crate::policy::observed::{ObservedNamespace, Summary, Violation, WorkloadKey};
use crate::policy::text::cut;
use crate::policy::workload::Kind;

/// The `source` of a report and of each of its results.
pub(super) const SOURCE: &str = "podgate";
const MAX_RESULTS: usize = 20;
const MAX_MESSAGE: usize = 200;
/// The most bytes of a report as JSON: with it a hundred policies, their statuses and the API server's
/// own fields take less than 1 MiB of etcd. Results beyond it are left out, except the worst one.
const MAX_BYTES: usize = 4096;
/// The most bytes of a kind or a name: both come from owner references, which the API server does not limit.
const MAX_NAME: usize = 253;
/// The property that names a result's container.
pub(super) const CONTAINER: &str = "container";

/// Builds the report of a policy in a namespace.
pub(super) fn report(observed: &ObservedNamespace) -> Report {
    let policy = &observed.policy;
    let key = policy.key();
    let mut report = Report {
        api_version: REPORT_API_VERSION.to_owned(),
        kind: "Report".to_owned(),
        metadata: ObjectMeta {
            name: Some(name::report(&key)),
            namespace: Some(observed.namespace.clone()),
            labels: Some(name::labels(&key)),
            owner_references: owner(policy).map(|it| vec![it]),
            ..ObjectMeta::default()
        },
        source: SOURCE.to_owned(),
        summary: summary(observed.summary),
        ..Report::default()
    };
    let mut left = MAX_BYTES.saturating_sub(length(&report) + r#","results":[]"#.len());
    for violation in observed.worst.iter().take(MAX_RESULTS) {
        let result = result(policy, violation);
        let bytes = length(&result) + ",".len();
        if bytes > left && !report.results.is_empty() {
            break;
        }
        left = left.saturating_sub(bytes);
        report.results.push(result);
    }
    report
}

fn length(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}

/// The policy as the report's owner, so that the report is deleted with it. The scopes fit: a cluster policy may own
/// objects of any namespace, and a namespaced policy is in the report's namespace.
fn owner(policy: &Policy) -> Option<OwnerReference> {
    let origin = policy.origin.as_ref()?;
    Some(OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: policy.key().kind().to_owned(),
        name: policy.name.clone(),
        uid: origin.uid.clone(),
        ..OwnerReference::default()
    })
}

fn summary(summary: Summary) -> ReportSummary {
    let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
    ReportSummary {
        pass: count(summary.pass),
        fail: count(summary.fail),
        warn: 0,
        error: count(summary.error),
        skip: count(summary.skip),
    }
}

fn result(policy: &Policy, violation: &Violation) -> ReportResult {
    let fault = &violation.fault;
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let properties = [
        (CONTAINER, fault.container.clone()),
        ("path", given(&fault.path)),
        ("pods", (violation.pods > 0).then(|| violation.pods.to_string())),
    ];
    let properties =
        properties.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    ReportResult {
        source: SOURCE.to_owned(),
        policy: policy.label.clone(),
        rule: Some(fault.id.clone()),
        severity: Some(violation.severity.into()),
        timestamp: Some(ResultTime { seconds: violation.began.as_second(), nanos: 0 }),
        result: Some(if fault.undecided { ResultStatus::Error } else { ResultStatus::Fail }),
        scored: true,
        resources: vec![subject(&violation.workload)],
        message: Some(cut(fault.message.clone(), MAX_MESSAGE)),
        properties: properties.collect::<BTreeMap<_, _>>(),
        ..ReportResult::default()
    }
}

fn subject(workload: &WorkloadKey) -> ObjectReference {
    let known = Kind::ALL.into_iter().map(Kind::names).find(|it| it.kind == workload.kind);
    ObjectReference {
        api_version: known.map(|it| it.api_version().into_owned()),
        kind: Some(cut(workload.kind.clone(), MAX_NAME)),
        namespace: Some(workload.namespace.clone()),
        name: Some(cut(workload.name.clone(), MAX_NAME)),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{cluster_policy, observed, policy, violation};
    use super::*;

    fn json(observed: &ObservedNamespace) -> Value {
        serde_json::to_value(report(observed)).unwrap()
    }

    #[test]
    fn a_violation_is_a_result_with_what_a_reader_needs() {
        let mut violation = violation("cart", "forbidLatestTag");
        violation.pods = 3;
        assert_eq!(
            json(&observed(policy("baseline"), vec![violation])),
            json!({
                "apiVersion": "openreports.io/v1alpha1", "kind": "Report",
                "metadata": {
                    "name": "podgate-dop-baseline", "namespace": "shop",
                    "labels": {
                        "app.kubernetes.io/managed-by": "podgate",
                        "devops.stochastic.io/policy-kind": "DevOpsPolicy",
                        "devops.stochastic.io/policy-name": "baseline",
                    },
                    "ownerReferences": [{
                        "apiVersion": "devops.stochastic.io/v1", "kind": "DevOpsPolicy",
                        "name": "baseline", "uid": "uid-of-baseline",
                    }],
                },
                "source": "podgate",
                "summary": {"pass": 4, "fail": 1, "warn": 0, "error": 0, "skip": 2},
                "results": [{
                    "source": "podgate", "policy": "shop/baseline", "rule": "forbidLatestTag",
                    "severity": "high", "timestamp": {"seconds": 1_700_000_000, "nanos": 0},
                    "result": "fail", "scored": true,
                    "resources": [{
                        "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "cart",
                    }],
                    "message": "spec.containers[0].image is \"nginx\" (no tag means :latest); pin the version that should run: nginx:VERSION",
                    "properties": {"container": "web", "path": "spec.containers[0].image", "pods": "3"},
                }],
            })
        );
    }

    #[test]
    fn what_could_not_be_decided_is_an_error_and_what_is_not_given_is_left_out() {
        let mut violation = violation("cart", "validations/x");
        let fault = std::sync::Arc::make_mut(&mut violation.fault);
        fault.undecided = true;
        fault.container = None;
        fault.path = String::new();
        fault.message = "é".repeat(300);
        violation.pods = 0;
        std::sync::Arc::make_mut(&mut violation.workload).kind = "Rollout".to_owned();
        let report = json(&observed(cluster_policy("baseline"), vec![violation]));
        let result = &report["results"][0];
        assert_eq!(result["result"], "error");
        assert_eq!(result["policy"], "baseline");
        assert!(result.get("properties").is_none());
        assert!(result["resources"][0].get("apiVersion").is_none());
        assert!(result["message"].as_str().unwrap().len() <= MAX_MESSAGE);
        assert_eq!(report["metadata"]["ownerReferences"][0]["kind"], "ClusterDevOpsPolicy");
    }

    #[test]
    fn a_policy_that_is_no_object_owns_nothing() {
        let mut policy = policy("baseline");
        std::sync::Arc::get_mut(&mut policy).unwrap().origin = None;
        assert!(json(&observed(policy, vec![]))["metadata"].get("ownerReferences").is_none());
    }

    #[test]
    fn a_report_keeps_within_its_bytes_and_its_summary_stays_exact() {
        for (message, results) in [(10, 10..=20), (100, 8..=20), (200, 5..=20), (100_000, 5..=20)] {
            let many = (0..30).map(|n| {
                let mut violation = violation(&format!("cart-{n}"), "forbidLatestTag");
                std::sync::Arc::make_mut(&mut violation.fault).message = "m".repeat(message);
                violation
            });
            let observed = observed(policy("baseline"), many.collect());
            let report = report(&observed);
            println!("{} results, {} bytes", report.results.len(), length(&report));
            assert!(length(&report) <= MAX_BYTES);
            assert!(results.contains(&report.results.len()), "{message}: {}", report.results.len());
            assert_eq!(report.summary.fail, 30);
            assert_eq!(report.results[0].resources[0].name.as_deref(), Some("cart-0"));
        }
        let mut large = violation("cart", "forbidLatestTag");
        std::sync::Arc::make_mut(&mut large.fault).path = "p".repeat(5000);
        let of_one = report(&observed(policy("baseline"), vec![large.clone(), large]));
        assert_eq!(of_one.results.len(), 1);
    }
}
