//! Probes whether one API server calls podgate: a dry-run write with a nonce, whose echo comes back as a warning.

use std::time::{Duration, Instant};

use axum::http::header::DATE;
use http_body_util::{BodyExt, Limited};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::{GetParams, PostParams};
use kube::client::Body;
use kube::core::{Request, Status};

use super::lease::{AliveLease, FIELD_MANAGER};
use crate::client::api_time::ApiTime;
use crate::client::dry_run::DryRun;
use crate::nonce::{Key, LEASE};
use crate::policy::vap::floor;

/// The timeout of a call; the API server itself waits three seconds for a webhook.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of an answer that are read; a Lease has a few hundred.
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// How often a probe is attempted when another replica writes the Lease at the same time.
const ATTEMPTS: usize = 3;

/// The outcome of a probe.
pub(super) enum ProbeOutcome {
    /// The API server called podgate, and the echo came back.
    Echoed(Box<Echoed>),
    /// The API server admitted the write without calling podgate.
    NotCalled,
    /// The call of the webhook failed, or a webhook refused the write.
    Refused(String),
    /// The API server does not answer.
    NoAnswer(String),
}

/// A beat whose echo came back.
pub(super) struct Echoed {
    /// The Lease before the beat; `None` where none existed.
    pub lease: Option<AliveLease>,
    /// When the API server accepted the beat, by its own clock.
    stamp: Timestamp,
    /// When the answer came.
    at: Instant,
    /// The `renewTime` that the floor's canary told; `None` where the API server has none.
    canary: Option<Timestamp>,
}

impl Echoed {
    /// The API server's time now: never ahead of its clock, and behind by at most a second and the answer's travel
    /// time.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.at.elapsed()).unwrap_or_default();
        self.stamp.checked_add(passed).unwrap_or(self.stamp)
    }

    /// Whether the floor of this API server sleeps for what is written now: its clock is then not far from that of the one
    /// that stamped the newest beat, and it knows that beat.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn canary(&self) -> Result<(), String> {
        let told = self.canary.ok_or("it does not evaluate the floor's canary")?;
        let age = self.stamp.duration_since(told).as_secs();
        if age > floor::LATEST_SECONDS {
            return Err(format!("the newest beat that it knows is that of {told}"));
        }
        if age < -floor::EARLIEST_SECONDS {
            return Err(format!(
                "its clock is {} s behind that of the API server that stamped the newest beat; compare their clocks",
                -age
            ));
        }
        Ok(())
    }
}

pub(super) struct Probe<'a> {
    pub namespace: &'a str,
    pub key: &'a Key,
    /// Learns the API servers' time, by which the replica that is called judges the nonce.
    pub time: &'a ApiTime,
}

impl Probe<'_> {
    /// Probes the API server behind a client. Each attempt takes another sender, and so another nonce.
    pub async fn run(&self, client: &Client, sender: impl Fn() -> String) -> ProbeOutcome {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.attempt(client, &sender()).await {
                Ok(outcome) => return outcome,
                // Another replica wrote the Lease between the read and the write.
                Err(CallError::Status(status)) if matches!(status.code, 404 | 409) => {
                    last = status.message;
                }
                Err(CallError::Status(status)) => return ProbeOutcome::Refused(status.message),
                Err(CallError::NoAnswer(why)) => return ProbeOutcome::NoAnswer(why),
            }
        }
        ProbeOutcome::Refused(last)
    }

    async fn attempt(&self, client: &Client, sender: &str) -> Result<ProbeOutcome, CallError> {
        let lease = read(client, self.namespace, self.time).await?;
        let now = self.time.at(Instant::now()).unwrap_or_else(Timestamp::now);
        let nonce = self.key.nonce(sender, now);
        let beat = AliveLease::renewed(lease.clone(), now, None).with_nonce(nonce.clone());
        let Answered { lease: written, warnings } =
            put(client, self.namespace, &beat, DryRun::Yes, self.time).await?;
        if !warnings.iter().any(|warning| self.key.is_echo(&nonce, warning)) {
            return Ok(ProbeOutcome::NotCalled);
        }
        let no_stamp = || "its answer has no managedFields, which give the time of its clock";
        let stamp = written.stamp().ok_or_else(|| CallError::no_answer(no_stamp()))?;
        let canary = warnings.iter().find_map(|it| floor::told(it)?.parse().ok());
        Ok(ProbeOutcome::Echoed(Box::new(Echoed { lease, stamp, at: Instant::now(), canary })))
    }
}

/// Writes the Lease for real. A conflict is fine: another replica has just written it.
///
/// # Errors
/// The API server's message.
pub(super) async fn write(
    client: &Client,
    namespace: &str,
    lease: &AliveLease,
    time: &ApiTime,
) -> Result<(), String> {
    match put(client, namespace, lease, DryRun::No, time).await {
        Ok(_) => Ok(()),
        Err(CallError::Status(status)) if status.code == 409 => Ok(()),
        Err(CallError::Status(status)) => Err(status.message),
        Err(CallError::NoAnswer(why)) => Err(why),
    }
}

/// Asks an API server for the Lease, only to learn its time: each answer has it, also a refusal.
pub(super) async fn learn_time(client: &Client, namespace: &str, time: &ApiTime) {
    if let Err(CallError::NoAnswer(why)) = read(client, namespace, time).await {
        tracing::debug!(why, "the API server's time is not known");
    }
}

/// Why a call failed.
enum CallError {
    Status(Box<Status>),
    NoAnswer(String),
}

impl CallError {
    fn no_answer(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::NoAnswer(why.into().to_string())
    }
}

/// The API server's answer to a call.
struct Answered {
    lease: AliveLease,
    warnings: Vec<String>,
}

fn requests(namespace: &str) -> Request {
    Request::new(format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"))
}

async fn read(
    client: &Client,
    namespace: &str,
    time: &ApiTime,
) -> Result<Option<AliveLease>, CallError> {
    let request = requests(namespace).get(LEASE, &GetParams::default());
    match send(client, request.map_err(CallError::no_answer)?, time).await {
        Ok(answered) => Ok(Some(answered.lease)),
        Err(CallError::Status(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// A PUT creates a missing Lease too, which the API server allows for Leases, so RBAC can grant it by resourceName.
async fn put(
    client: &Client,
    namespace: &str,
    lease: &AliveLease,
    dry_run: DryRun,
    time: &ApiTime,
) -> Result<Answered, CallError> {
    let dry_run = dry_run == DryRun::Yes;
    let params = PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) };
    let body = serde_json::to_vec(&lease.0).map_err(CallError::no_answer)?;
    let request = requests(namespace).replace(LEASE, &params, body);
    send(client, request.map_err(CallError::no_answer)?, time).await
}

async fn send(
    client: &Client,
    request: axum::http::Request<Vec<u8>>,
    time: &ApiTime,
) -> Result<Answered, CallError> {
    let call = async {
        let response = client.send(request.map(Body::from)).await.map_err(CallError::no_answer)?;
        let (head, body) = response.into_parts();
        if let Some(date) = head.headers.get(DATE).and_then(|it| it.to_str().ok()) {
            time.learn(date, Instant::now());
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(CallError::no_answer)?;
        let body = body.to_bytes();
        if !head.status.is_success() {
            return Err(CallError::Status(Box::new(status(head.status.as_u16(), &body))));
        }
        let warnings = head.headers.get_all("warning").iter();
        let warnings = warnings.filter_map(|it| it.to_str().ok()).map(str::to_owned).collect();
        let lease = serde_json::from_slice(&body).map_err(CallError::no_answer)?;
        Ok(Answered { lease: AliveLease(lease), warnings })
    };
    let answered = tokio::time::timeout(TIMEOUT, call).await;
    answered.unwrap_or_else(|_| Err(CallError::no_answer(format!("no answer within {TIMEOUT:?}"))))
}

/// The Status of an error response, some of which are plain text.
fn status(code: u16, body: &[u8]) -> Status {
    match serde_json::from_slice::<Status>(body) {
        Ok(status) if !status.message.is_empty() => Status { code, ..status },
        _ => Status { code, message: format!("HTTP {code}"), ..Status::default() },
    }
}

#[cfg(test)]
impl Echoed {
    pub(super) fn example() -> Self {
        Self { lease: None, stamp: Timestamp::UNIX_EPOCH, at: Instant::now(), canary: None }
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
                        .header(DATE, "Fri, 15 Jan 2027 08:00:00 GMT")
                        .body(status.to_string().into())
                        .unwrap());
                }
                assert!(head.uri.query().unwrap().contains("dryRun=All"), "{}", head.uri);
                let body = body.collect().await.unwrap().to_bytes();
                let mut lease: Value = serde_json::from_slice(&body).unwrap();
                let nonce =
                    lease["metadata"]["annotations"][ANNOTATION].as_str().unwrap().to_owned();
                assert!(nonce.starts_with("18000000"), "in the API server's time: {nonce}");
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

    async fn probed(webhook: Option<&str>) -> ProbeOutcome {
        let client = Client::new(ApiServer(webhook.map(|key| Arc::new(Key::of(key)))), "default");
        let time = ApiTime::default();
        let probe = Probe { namespace: "podgate-system", key: &Key::of("own"), time: &time };
        probe.run(&client, || "a-1".to_owned()).await
    }

    #[test]
    fn a_canary_is_fresh_while_the_floor_sleeps() {
        let canary = |age: Option<i64>| {
            let told = age.map(|age| Timestamp::UNIX_EPOCH - SignedDuration::from_secs(age));
            Echoed { canary: told, ..Echoed::example() }.canary()
        };
        for (age, why) in [
            (Some(0), ""),
            (Some(30), ""),
            (Some(31), "the newest beat that it knows is that of 1969-12-31T23:59:29Z"),
            (Some(-15), ""),
            (Some(-16), "its clock is 16 s behind"),
            (None, "does not evaluate"),
        ] {
            match canary(age) {
                Ok(()) => assert_eq!(why, "", "{age:?}"),
                Err(found) => assert!(!why.is_empty() && found.contains(why), "{age:?}: {found}"),
            }
        }
    }

    #[tokio::test]
    async fn every_answer_tells_the_time_also_one_without_the_lease() {
        let client = Client::new(ApiServer(None), "default");
        let time = ApiTime::default();
        learn_time(&client, "podgate-system", &time).await;
        let told = time
            .at(Instant::now())
            .unwrap()
            .duration_since("2027-01-15T08:00:00Z".parse().unwrap());
        assert!(!told.is_negative() && told.as_secs() < 60, "{told:?}");
    }

    #[tokio::test]
    async fn an_api_server_that_calls_podgate_is_told_from_one_that_does_not_and_the_time_is_its_own()
     {
        let ProbeOutcome::Echoed(heard) = probed(Some("own")).await else { panic!("it called") };
        assert!(heard.lease.is_none());
        let behind = heard.now().duration_since("2027-01-15T08:00:00Z".parse().unwrap());
        assert!(!behind.is_negative() && behind.as_secs() < 60, "{behind:?}");
        assert!(matches!(probed(None).await, ProbeOutcome::NotCalled));
        assert!(matches!(probed(Some("another's")).await, ProbeOutcome::NotCalled));
    }
}
