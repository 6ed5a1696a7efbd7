//! One API server is asked whether it calls podgate: a dry-run write with a nonce, whose echo comes back as a warning.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Limited};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::{GetParams, PostParams};
use kube::client::Body;
use kube::core::{Request, Status};
use serde::de::DeserializeOwned;

use super::lease::{FIELD_MANAGER, Lease};
use crate::nonce::{Key, LEASE};

/// How long a call may take: the API server itself waits three seconds for a webhook.
const LIMIT: Duration = Duration::from_secs(5);
/// The most bytes of an answer that are read; a Lease is a few hundred.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// How often another replica may be faster.
const TRIES: usize = 3;

/// What came back of a beat.
pub(super) enum Answer {
    /// The API server called podgate.
    Heard(Box<Heard>),
    /// It did not.
    NotCalled,
    /// It called and failed, or somebody refused.
    Refused(String),
    /// It does not answer at all.
    Silent(String),
}

/// A beat that came all the way.
pub(super) struct Heard {
    /// As it was before; `None` where there is none.
    pub lease: Option<Lease>,
    /// When, by the API server's clock, it took the beat.
    stamp: Timestamp,
    /// When the answer came.
    at: Instant,
}

impl Heard {
    /// The API server's time now, as far as it is known: never ahead of its clock, and behind by a second at the most, and the
    /// answer's way.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.at.elapsed()).unwrap_or_default();
        self.stamp.checked_add(passed).unwrap_or(self.stamp)
    }
}

pub(super) struct Ask<'a> {
    pub namespace: &'a str,
    pub key: &'a Key,
}

impl Ask<'_> {
    /// Sends a nonce of a sender of its own for each try.
    pub async fn whether_it_calls(&self, client: &Client, sender: impl Fn() -> String) -> Answer {
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.once(client, &sender()).await {
                Ok(answer) => return answer,
                // Between the look and the write another replica wrote.
                Err(Failed::Status(status)) if matches!(status.code, 404 | 409) => {
                    last = status.message;
                }
                Err(Failed::Status(status)) => return Answer::Refused(status.message),
                Err(Failed::Silent(why)) => return Answer::Silent(why),
            }
        }
        Answer::Refused(last)
    }

    async fn once(&self, client: &Client, sender: &str) -> Result<Answer, Failed> {
        let lease = read(client, self.namespace).await?;
        let now = Timestamp::now();
        let nonce = self.key.nonce(sender, now);
        let beat = Lease::renewed(lease.clone(), now, None).with_nonce(nonce.clone());
        let (answer, warnings) = put(client, self.namespace, &beat, true).await?;
        if !warnings.iter().any(|warning| self.key.is_echo(&nonce, warning)) {
            return Ok(Answer::NotCalled);
        }
        let no_stamp = || "its answer has no managedFields, by which its clock is known";
        let stamp = Lease(answer.0).stamp().ok_or_else(|| Failed::silent(no_stamp()))?;
        Ok(Answer::Heard(Box::new(Heard { lease, stamp, at: Instant::now() })))
    }
}

/// Writes the Lease for real. That another replica was faster is as good.
///
/// # Errors
/// The API server's words.
pub(super) async fn write(client: &Client, namespace: &str, lease: &Lease) -> Result<(), String> {
    match put(client, namespace, lease, false).await {
        Ok(_) => Ok(()),
        Err(Failed::Status(status)) if status.code == 409 => Ok(()),
        Err(Failed::Status(status)) => Err(status.message),
        Err(Failed::Silent(why)) => Err(why),
    }
}

/// Why a call failed.
enum Failed {
    Status(Box<Status>),
    Silent(String),
}

impl Failed {
    fn silent(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Silent(why.into().to_string())
    }
}

fn requests(namespace: &str) -> Request {
    Request::new(format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"))
}

async fn read(client: &Client, namespace: &str) -> Result<Option<Lease>, Failed> {
    let request = requests(namespace).get(LEASE, &GetParams::default());
    match send(client, request.map_err(Failed::silent)?).await {
        Ok((lease, _)) => Ok(Some(Lease(lease))),
        Err(Failed::Status(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// One that does not exist is made by a PUT too, which the API server allows for Leases: so the right to it can be given by
/// name.
async fn put(
    client: &Client,
    namespace: &str,
    lease: &Lease,
    dry_run: bool,
) -> Result<(Lease, Vec<String>), Failed> {
    let params = PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) };
    let body = serde_json::to_vec(&lease.0).map_err(Failed::silent)?;
    let request = requests(namespace).replace(LEASE, &params, body).map_err(Failed::silent)?;
    let (lease, warnings) = send(client, request).await?;
    Ok((Lease(lease), warnings))
}

/// Sends a request; the object that comes back, and the warnings beside it.
async fn send<T: DeserializeOwned>(
    client: &Client,
    request: axum::http::Request<Vec<u8>>,
) -> Result<(T, Vec<String>), Failed> {
    let call = async {
        let response = client.send(request.map(Body::from)).await.map_err(Failed::silent)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(Failed::silent)?;
        let body = body.to_bytes();
        if !head.status.is_success() {
            return Err(Failed::Status(Box::new(status(head.status.as_u16(), &body))));
        }
        let warnings = head.headers.get_all("warning").iter();
        let warnings = warnings.filter_map(|it| it.to_str().ok()).map(str::to_owned).collect();
        Ok((serde_json::from_slice(&body).map_err(Failed::silent)?, warnings))
    };
    let answered = tokio::time::timeout(LIMIT, call).await;
    answered.unwrap_or_else(|_| Err(Failed::silent(format!("no answer within {LIMIT:?}"))))
}

/// What the API server says; some of its answers are plain text.
fn status(code: u16, body: &[u8]) -> Status {
    match serde_json::from_slice::<Status>(body) {
        Ok(status) if !status.message.is_empty() => Status { code, ..status },
        _ => Status { code, message: format!("HTTP {code}"), ..Status::default() },
    }
}

#[cfg(test)]
impl Heard {
    pub(super) fn example() -> Self {
        Self { lease: None, stamp: Timestamp::UNIX_EPOCH, at: Instant::now() }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use axum::http::{Method, Response};
    use serde_json::{Value, json};

    use super::*;
    use crate::nonce::ANNOTATION;

    /// An API server without the Lease, that hands a dry run to a webhook of this key, if there is one.
    #[derive(Clone)]
    struct ApiServer(Option<Arc<Key>>);

    type Answered =
        Pin<Box<dyn Future<Output = Result<Response<axum::body::Body>, Infallible>> + Send>>;

    impl tower_service::Service<axum::http::Request<Body>> for ApiServer {
        type Response = Response<axum::body::Body>;
        type Error = Infallible;
        type Future = Answered;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: axum::http::Request<Body>) -> Answered {
            let webhook = self.0.clone();
            Box::pin(async move {
                let (head, body) = request.into_parts();
                if head.method == Method::GET {
                    let status = json!({"kind": "Status", "code": 404, "message": "not found"});
                    return Ok(Response::builder()
                        .status(404)
                        .body(status.to_string().into())
                        .unwrap());
                }
                assert!(head.uri.query().unwrap().contains("dryRun=All"), "{}", head.uri);
                let body = body.collect().await.unwrap().to_bytes();
                let mut lease: Value = serde_json::from_slice(&body).unwrap();
                let nonce =
                    lease["metadata"]["annotations"][ANNOTATION].as_str().unwrap().to_owned();
                lease["metadata"]["managedFields"] = json!([{"manager": FIELD_MANAGER, "operation": "Update", "time": "2027-01-15T08:00:00Z"}]);
                let mut answer =
                    Response::builder().header("warning", "299 - \"another webhook's\"");
                if let Some(key) = webhook {
                    answer = answer.header("warning", format!("299 - \"{}\"", key.echo(&nonce)));
                }
                Ok(answer.body(lease.to_string().into()).unwrap())
            })
        }
    }

    async fn asked(webhook: Option<&str>) -> Answer {
        let client = Client::new(ApiServer(webhook.map(|key| Arc::new(Key::of(key)))), "default");
        let ask = Ask { namespace: "podgate-system", key: &Key::of("own") };
        ask.whether_it_calls(&client, || "a-1".to_owned()).await
    }

    #[tokio::test]
    async fn who_calls_podgate_is_told_from_who_does_not_and_the_time_is_the_api_servers() {
        let Answer::Heard(heard) = asked(Some("own")).await else { panic!("it called") };
        assert!(heard.lease.is_none());
        let behind = heard.now().duration_since("2027-01-15T08:00:00Z".parse().unwrap());
        assert!(!behind.is_negative() && behind.as_secs() < 60, "{behind:?}");
        assert!(matches!(asked(None).await, Answer::NotCalled));
        assert!(matches!(asked(Some("another's")).await, Answer::NotCalled));
    }
}
