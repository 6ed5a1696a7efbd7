//! Reads the cluster: whether it serves reports, podgate's existing reports, and when the violations in them began.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;

use super::build::CONTAINER;
use super::ownership::MANAGED_BY;
use crate::api::{REPORT_API_VERSION, Report, ReportResult};
use crate::client::list::list;
use crate::policy::observed::{BeganKey, WorkloadKey};

/// Whether the cluster serves `Report`s.
///
/// # Errors
/// The API server's error, except 404.
pub async fn served(client: &Client) -> Result<bool, kube::Error> {
    match client.list_api_group_resources(REPORT_API_VERSION).await {
        Ok(list) => Ok(list.resources.iter().any(|it| it.name == "reports")),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// When each violation in podgate's reports began, so that its age survives
/// a restart. Violations that a report left out for its size are missing.
///
/// # Errors
/// The API server's error.
pub async fn began(client: &Client) -> Result<BTreeMap<BeganKey, Timestamp>, kube::Error> {
    let mut began = BTreeMap::new();
    each_report(client, |report| {
        for (key, time) in report.results.into_iter().filter_map(violation) {
            let known = began.entry(key).or_insert(time);
            *known = time.min(*known);
        }
    })
    .await?;
    Ok(began)
}

/// Calls `each` with every report of podgate. Of a report that cannot
/// be decoded (someone edited it) only the metadata is passed.
pub(super) async fn each_report(
    client: &Client,
    mut each: impl FnMut(Report) + Send,
) -> Result<(), kube::Error> {
    let ours = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
    list::<Report>(client, None, Some(&ours), |json| {
        let report = serde_json::from_str::<Report>(json).or_else(|_| {
            let only = serde_json::from_str::<OnlyMetadata>(json)?;
            Ok::<_, serde_json::Error>(Report { metadata: only.metadata, ..Report::default() })
        });
        match report {
            Ok(report) => each(report),
            Err(error) => {
                tracing::warn!(%error, "cannot decode a report of podgate");
            }
        }
    })
    .await
}

#[derive(serde::Deserialize)]
struct OnlyMetadata {
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
}

fn violation(result: ReportResult) -> Option<(BeganKey, Timestamp)> {
    let time = result.timestamp?;
    let time = Timestamp::new(time.seconds, time.nanos).ok()?;
    let ObjectReference { namespace, kind, name, .. } = result.resources.into_iter().next()?;
    let workload = WorkloadKey { namespace: namespace?, kind: kind?, name: name? };
    let mut properties = result.properties;
    let container = properties.remove(CONTAINER);
    Some((BeganKey { policy: result.policy, workload, rule: result.rule?, container }, time))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::build;
    use super::super::tests::{Script, observed, policy, violation};
    use super::*;

    #[tokio::test]
    async fn what_a_report_says_of_when_a_violation_began_is_read_back() {
        let first = violation("cart", "forbidLatestTag");
        let mut second = violation("web", "forbidLatestTag");
        second.began = Timestamp::from_second(1_600_000_000).unwrap();
        let written = build::report(&observed(policy("baseline"), vec![first.clone(), second]));
        let mut again = written.clone();
        again.results[0].timestamp = written.results[1].timestamp;
        let by_hand = json!({"metadata": {"name": "x"}, "results": "none"});
        let script = Script::new([(200, json!({"items": [written, by_hand, again]}))]);
        let began = began(&script.client()).await.unwrap();
        let key = |name: &str| BeganKey {
            policy: "shop/baseline".to_owned(),
            workload: WorkloadKey { name: name.to_owned(), ..(*first.workload).clone() },
            rule: "forbidLatestTag".to_owned(),
            container: Some("web".to_owned()),
        };
        let earlier = Timestamp::from_second(1_600_000_000).unwrap();
        assert_eq!(began, BTreeMap::from([(key("cart"), earlier), (key("web"), earlier)]));
        assert_eq!(
            script.asked(),
            [
                "GET /apis/openreports.io/v1alpha1/reports?&labelSelector=app.kubernetes.io%2Fmanaged-by%3Dpodgate&limit=500"
            ]
        );
    }

    #[tokio::test]
    async fn reports_are_served_where_discovery_names_them() {
        let list = |name: &str| {
            json!({"kind": "APIResourceList", "groupVersion": REPORT_API_VERSION, "resources": [
                {"name": name, "singularName": "", "namespaced": true, "kind": "Report", "verbs": []},
            ]})
        };
        let status = |code: u16| json!({"kind": "Status", "status": "Failure", "code": code});
        for (answer, expected) in [
            ((200, list("reports")), Some(true)),
            ((200, list("clusterreports")), Some(false)),
            ((404, status(404)), Some(false)),
            ((503, status(503)), None),
        ] {
            let script = Script::new([answer]);
            assert_eq!(served(&script.client()).await.ok(), expected);
        }
    }
}
