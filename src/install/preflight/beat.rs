//! Checks when the API servers last called podgate: the beat's Lease, whose `renewTime` is in the API server's time.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::GetParams;
use kube::client::Body;
use kube::core::{Request, Status};

use super::check::{Check, CheckState, CheckSubject};
use crate::clusters::Cluster;
use crate::nonce::LEASE;

/// The age above which a beat is missing: replicas beat about every ten seconds.
const STALE: SignedDuration = SignedDuration::from_secs(15);
/// How far `renewTime` may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_secs(10);
/// How long to wait for a late beat, and how often to read the Lease meanwhile.
const WAIT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Whether the API servers are seen to call podgate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Beats {
    Seen,
    Missing,
    /// The Lease cannot be read.
    Unseen,
}

/// Checks whether the API servers call podgate; waits for one late beat.
pub(super) async fn beat(cluster: &Cluster, namespace: &str) -> (Check, Beats) {
    let started = tokio::time::Instant::now();
    loop {
        let check = match read(&cluster.client, namespace).await {
            Ok(Some((lease, now))) => judge(namespace, &lease, now),
            Ok(None) => return (never(namespace), Beats::Missing),
            Err(error) => {
                let lease = format!("Lease {namespace}/{LEASE}");
                return (CheckSubject::Webhook.unseen(&lease, &error), Beats::Unseen);
            }
        };
        if check.state == CheckState::Ok {
            return (check, Beats::Seen);
        }
        if started.elapsed() >= WAIT {
            return (check, Beats::Missing);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn never(namespace: &str) -> Check {
    CheckSubject::Webhook.warning(
        format!("there is no Lease {namespace}/{LEASE}: podgate was never seen to be called"),
        "if podgate runs in another namespace, name it with -n; if it has run here for a minute, see its log and the metric podgate_called",
    )
}

fn judge(namespace: &str, lease: &Lease, now: Timestamp) -> Check {
    let title = format!("Lease {namespace}/{LEASE}");
    let renewed = lease.spec.as_ref().and_then(|it| it.renew_time.as_ref());
    let Some(renewed) = renewed.map(|it| it.0) else {
        return CheckSubject::Webhook.error(
            format!("{title} has no renewTime: podgate was not seen to be called"),
            "somebody else made it: delete it, and podgate makes it anew",
        );
    };
    let age = now.duration_since(renewed);
    if age < -AHEAD {
        return CheckSubject::Webhook.error(
            format!("{title} says that podgate was called at {renewed}, which has not come yet"),
            "somebody else wrote it: delete it, and podgate makes it anew",
        );
    }
    let seconds = age.as_secs().max(0);
    if age > STALE {
        return CheckSubject::Webhook.error(
            format!("the API servers were last seen to call podgate {seconds} s ago ({title}), so it may not be asked"),
            "see the webhooks above, and the log of podgate for why its beat fails",
        );
    }
    CheckSubject::Webhook
        .ok(format!("the API servers were seen to call podgate {seconds} s ago ({title})"))
}

/// The Lease, and the time of the answer by the API server's clock (`Date`), which may differ from this machine's.
async fn read(client: &Client, namespace: &str) -> Result<Option<(Lease, Timestamp)>, kube::Error> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
    let request = Request::new(path).get(LEASE, &GetParams::default());
    let request = request.map_err(|error| kube::Error::Service(error.into()))?;
    let (head, body) = client.send(request.map(Body::from)).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(kube::Error::Service)?;
    let body = body.to_bytes();
    if head.status.as_u16() == 404 {
        return Ok(None);
    }
    if !head.status.is_success() {
        let message = format!("HTTP {}", head.status);
        let status = serde_json::from_slice(&body).unwrap_or_else(|_| Status {
            message,
            code: head.status.as_u16(),
            ..Status::default()
        });
        return Err(kube::Error::Api(Box::new(status)));
    }
    let date = head.headers.get("date").and_then(|it| it.to_str().ok());
    let date = date.and_then(|it| rfc2822::DateTimeParser::new().parse_timestamp(it).ok());
    let lease = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
    Ok(Some((lease, date.unwrap_or_else(Timestamp::now))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_beat_is_fresh_for_fifteen_seconds_and_none_comes_from_the_future() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let state = |spec: serde_json::Value| {
            let lease = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
            judge("podgate-system", &lease, now).state
        };
        let renewed = |age: i64| {
            let time = Timestamp::from_second(1_800_000_000 - age).unwrap();
            state(json!({"renewTime": format!("{time:.6}")}))
        };
        for (age, expected) in [
            (-11, CheckState::Error),
            (-10, CheckState::Ok),
            (0, CheckState::Ok),
            (15, CheckState::Ok),
            (16, CheckState::Error),
            (86_400, CheckState::Error),
        ] {
            assert_eq!(renewed(age), expected, "{age}");
        }
        assert_eq!(state(json!({})), CheckState::Error);
        assert_eq!(state(json!({"renewTime": "9999-01-01T00:00:00.000000Z"})), CheckState::Error);
    }

    #[test]
    fn the_time_of_an_api_server_is_read_from_its_answer() {
        let parsed =
            rfc2822::DateTimeParser::new().parse_timestamp("Fri, 15 Jan 2027 08:00:00 GMT");
        assert_eq!(parsed.unwrap().as_second(), 1_800_000_000);
    }
}
