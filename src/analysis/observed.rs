//! What the running replicas have counted at admission: the reviews that each policy denied, or would have denied.
//!
//! [`observe`] reads the metrics of every replica through the API server's proxy. Unlike a judgement of what is in the
//! cluster now, the counters have seen what is gone: the pods of pipelines, and what was denied.

mod exposition;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::Request;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use serde::{Deserialize, Serialize};

use crate::client::list::list;
use crate::clusters::cause;
use crate::policy::text::brief;
use exposition::samples;

/// The label of podgate's pods in the chart that does not change with the release's name.
const SELECTOR: &str = "app.kubernetes.io/component=controller";
/// The name of their container, and that of its port for metrics.
const CONTAINER: &str = "podgate";
const METRICS_PORT: &str = "metrics";

const DENIED: &str = "devopspolicy_denied_total";
const WOULD_DENY: &str = "devopspolicy_would_deny_total";
const STARTED: &str = "process_start_time_seconds";
/// The metric by which an answer is known to be podgate's.
const BUILD: &str = "podgate_build_info";

/// How long a replica may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of an error of the API server.
const MAX_CAUSE: usize = 300;

/// What the running replicas have counted. The field names are those of the JSON of `podgate policy preview`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedReviews {
    /// By the names of their pods.
    pub replicas: Vec<ObservedReplica>,
    /// The sums over the replicas that answered, by the policies' labels; without policies that none of them has in
    /// force.
    pub policies: Vec<ObservedPolicy>,
    /// Why the replicas could not be found; null if they were.
    pub unseen: Option<String>,
}

/// A replica, and since when it has counted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedReplica {
    pub pod: String,
    /// When its process started; null if it did not answer.
    pub since: Option<Time>,
    /// Why its counters could not be read; null if they were.
    pub unread: Option<String>,
}

/// The reviews of one policy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedPolicy {
    /// `NAMESPACE/NAME`, or only the name of a policy that judges all namespaces.
    pub policy: String,
    #[serde(flatten)]
    pub reviews: ReviewCounts,
}

/// Numbers of reviews. Retries of a controller count once a minute.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewCounts {
    /// Reviews that the policy denied.
    pub denied: u64,
    /// Reviews that it would have denied in the mode `enforce`.
    pub would_deny: u64,
}

impl ObservedReviews {
    /// Leaves out the policies whose label is not wanted.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.policies.retain(|it| wanted(&it.policy));
    }

    /// The reviews of a policy; `None` if no replica that answered has it in force.
    pub fn of(&self, label: &str) -> Option<ReviewCounts> {
        self.policies.iter().find(|it| it.policy == label).map(|it| it.reviews)
    }
}

/// Reads the counters of every replica in the release's namespace. What the user may not read is part of the result.
///
/// # Errors
/// The API server does not answer, or fails.
pub async fn observe(client: &Client, namespace: &str) -> Result<ObservedReviews, kube::Error> {
    let mut found = Vec::new();
    let listed =
        list::<Pod>(client, Some(namespace), Some(SELECTOR), |json| found.extend(replica(json)));
    match listed.await {
        Ok(()) => {}
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(ObservedReviews::not_seen(format!(
                "this needs the permission to list pods in {namespace}"
            )));
        }
        Err(error) => return Err(error),
    }
    if found.is_empty() {
        return Ok(ObservedReviews::not_seen(format!(
            "no pod of podgate's chart runs in {namespace}; name the release's namespace with --release-namespace"
        )));
    }
    found.sort_unstable_by(|a: &RunningReplica, b| a.pod.cmp(&b.pod));
    let answers = join_all(found.iter().map(|it| it.counters(client, namespace))).await;
    let pods = found.into_iter().map(|it| it.pod);
    Ok(ObservedReviews::sum(pods.zip(answers)))
}

impl ObservedReviews {
    fn not_seen(reason: String) -> Self {
        Self { unseen: Some(reason), ..Self::default() }
    }

    /// Adds the counters of all replicas.
    fn sum(answers: impl Iterator<Item = (String, Result<Counters, String>)>) -> Self {
        let mut replicas = Vec::new();
        let mut sums: BTreeMap<String, ReviewCounts> = BTreeMap::new();
        for (pod, answer) in answers {
            let (since, unread) = match answer {
                Ok(Counters { started, by_policy }) => {
                    for (policy, ReviewCounts { denied, would_deny }) in by_policy {
                        let sum = sums.entry(policy).or_default();
                        sum.denied = sum.denied.saturating_add(denied);
                        sum.would_deny = sum.would_deny.saturating_add(would_deny);
                    }
                    (Some(Time(started)), None)
                }
                Err(reason) => (None, Some(reason)),
            };
            replicas.push(ObservedReplica { pod, since, unread });
        }
        let policies = sums.into_iter().map(|(policy, reviews)| ObservedPolicy { policy, reviews });
        Self { replicas, policies: policies.collect(), unseen: None }
    }
}

/// A pod of podgate's chart.
struct RunningReplica {
    pod: String,
    metrics_port: u16,
}

impl RunningReplica {
    async fn counters(&self, client: &Client, namespace: &str) -> Result<Counters, String> {
        let Self { pod, metrics_port } = self;
        let path =
            format!("/api/v1/namespaces/{namespace}/pods/{pod}:{metrics_port}/proxy/metrics");
        let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
        match tokio::time::timeout(TIMEOUT, client.request_text(request)).await {
            Ok(Ok(metrics)) => Counters::read(&metrics),
            Ok(Err(kube::Error::Api(status))) if status.reason == "Forbidden" => {
                Err(format!("this needs the permission to get pods/proxy in {namespace}"))
            }
            Ok(Err(error)) => Err(brief(cause(&error), MAX_CAUSE)),
            Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
        }
    }
}

#[derive(Deserialize)]
struct PodView {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    name: Option<String>,
    container_port: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
}

/// The replica, if the pod is one that has not ended.
fn replica(json: &str) -> Option<RunningReplica> {
    let PodView { metadata, spec, status } = serde_json::from_str(json).ok()?;
    if ["Succeeded", "Failed"].contains(&status.phase.as_str()) {
        return None;
    }
    let own = spec.containers.into_iter().find(|it| it.name == CONTAINER)?;
    let port = own.ports.into_iter().find(|it| it.name.as_deref() == Some(METRICS_PORT))?;
    Some(RunningReplica { pod: metadata.name, metrics_port: port.container_port })
}

/// What one replica has counted.
#[derive(Debug, PartialEq)]
struct Counters {
    started: Timestamp,
    /// By the policies' labels.
    by_policy: BTreeMap<String, ReviewCounts>,
}

impl Counters {
    /// Reads them in a replica's metrics.
    fn read(metrics: &str) -> Result<Self, String> {
        let (mut is_podgate, mut started) = (false, None);
        let mut by_policy: BTreeMap<String, ReviewCounts> = BTreeMap::new();
        for sample in samples(metrics, &[BUILD, STARTED, DENIED, WOULD_DENY]) {
            let sample = sample.map_err(|error| format!("its metrics cannot be read: {error}"))?;
            if sample.name == BUILD {
                is_podgate = true;
                continue;
            }
            if sample.name == STARTED {
                let seconds = whole(sample.value.trunc()).and_then(|it| i64::try_from(it).ok());
                started = seconds.and_then(|it| Timestamp::from_second(it).ok());
                continue;
            }
            let value = whole(sample.value).ok_or_else(|| {
                format!("its metrics cannot be read: {} is {}", sample.name, sample.value)
            })?;
            let labels = sample.label("namespace").zip(sample.label("policy"));
            let (namespace, policy) = labels.ok_or_else(|| {
                format!("its metrics cannot be read: {} has no policy", sample.name)
            })?;
            let label = match namespace {
                "" => policy.to_owned(),
                namespace => format!("{namespace}/{policy}"),
            };
            let counts = by_policy.entry(label).or_default();
            let count =
                if sample.name == DENIED { &mut counts.denied } else { &mut counts.would_deny };
            *count = count.saturating_add(value);
        }
        match started {
            Some(started) if is_podgate => Ok(Self { started, by_policy }),
            _ => Err("what it answers is not podgate's metrics".to_owned()),
        }
    }
}

/// A sample's value as a number; `None` if it is no whole one.
fn whole(value: f64) -> Option<u64> {
    /// 2⁵³: up to it, a float holds every whole number.
    const MAX: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is checked")]
    let whole = || value as u64;
    ((0.0..=MAX).contains(&value) && value.fract() == 0.0).then(whole)
}

#[cfg(test)]
mod tests;
