//! The HTTP side of a review: what is checked before a body is read, how long
//! it may take, and which status says what went wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::review::{self, BadReview, Judged};
use crate::metrics::{AdmissionMetrics, ReviewSummary};
use crate::policy::policy_set::Policies;

/// The largest review that is read: an UPDATE carries two objects, and etcd
/// takes at most 1.5 MiB for each.
pub const MAX_BODY: usize = 8 * 1024 * 1024;
/// How long a review may take if the API server does not say (its own default).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// What is left of that time for the answer's way back.
const MARGIN: Duration = Duration::from_millis(200);

/// How long a review waits until a new namespace is known, and how often it looks.
const NAMESPACE_PATIENCE: Duration = Duration::from_secs(1);
const NAMESPACE_RETRY: Duration = Duration::from_millis(20);
/// How many reviews by policies with CEL are judged at a time.
const MAX_DOCUMENT_REVIEWS: usize = 4;

/// Says whether podgate may take traffic; if not, why.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

struct Webhook {
    policies: Policies,
    metrics: AdmissionMetrics,
    document_reviews: Arc<Semaphore>,
}

/// The TLS side: reviews and health.
pub fn router(policies: Policies, metrics: AdmissionMetrics, readiness: Readiness) -> Router {
    let document_reviews = Arc::new(Semaphore::new(MAX_DOCUMENT_REVIEWS));
    let webhook = Arc::new(Webhook { policies, metrics, document_reviews });
    Router::new()
        .route("/validate", post(validate))
        .with_state(webhook)
        .merge(health_router(readiness))
}

/// `/healthz` answers while the process serves, `/readyz` while it should get traffic.
pub fn health_router(readiness: Readiness) -> Router {
    let ready = move || async move {
        match readiness() {
            Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        }
    };
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready))
}

/// Why a request got no verdict. Each is an HTTP error, never an answer, so
/// that the API server follows the configuration's `failurePolicy`.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the content type is {0:?}; send application/json")]
    ContentType(String),
    #[error("timeout={0:?} is no duration; write it as 3s or 500ms")]
    Timeout(String),
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("the body did not arrive within the review's timeout")]
    TooSlow,
    #[error("the body broke off")]
    Broken,
    #[error("the policies are not loaded yet")]
    NotReady,
    #[error("the review was not finished; see the log")]
    Unfinished,
    #[error(transparent)]
    Review(#[from] BadReview),
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unfinished | Self::Review(BadReview::UnknownNamespace) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Timeout(_) | Self::Broken | Self::Review(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// For logs, which must not repeat what was in a body.
    const fn reason(&self) -> &'static str {
        match self {
            Self::ContentType(_) => "ContentType",
            Self::Timeout(_) => "Timeout",
            Self::TooLarge => "TooLarge",
            Self::TooSlow => "TooSlow",
            Self::Broken => "Broken",
            Self::NotReady => "NotReady",
            Self::Unfinished => "Unfinished",
            Self::Review(review) => review.reason(),
        }
    }
}

async fn validate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    let started = Instant::now();
    let _in_flight = webhook.metrics.in_flight();
    let judged = match read(request).await {
        Ok(body) => judge(&webhook, body).await,
        Err(refusal) => Err(refusal),
    };
    let response = match judged {
        Ok(judged) => {
            webhook.metrics.judged(&summary(&judged));
            if let Some(denial) = &judged.denial {
                log_denial(denial);
            }
            ([(CONTENT_TYPE, "application/json")], judged.answer).into_response()
        }
        Err(refusal) => {
            webhook.metrics.refused();
            tracing::warn!(reason = refusal.reason(), "a review could not be judged");
            (refusal.status(), format!("podgate: {refusal}\n")).into_response()
        }
    };
    webhook.metrics.took(started.elapsed());
    response
}

/// Judges by one load of the policies. A namespace may be younger than what is known of it: then
/// its review is tried again, for a while.
async fn judge(webhook: &Webhook, body: Bytes) -> Result<Judged, Refusal> {
    let deadline = Instant::now() + NAMESPACE_PATIENCE;
    loop {
        let judged = match judge_now(&webhook.policies, &body)? {
            Some(judged) => judged,
            None => judge_documents(webhook, &body).await?,
        };
        match judged {
            Err(BadReview::UnknownNamespace) if Instant::now() < deadline => {
                tokio::time::sleep(NAMESPACE_RETRY).await;
            }
            judged => return Ok(judged?),
        }
    }
}

/// One pass over the bytes, in which nothing waits; `None` where the policies want whole documents.
fn judge_now(
    policies: &Policies,
    body: &[u8],
) -> Result<Option<Result<Judged, BadReview>>, Refusal> {
    let policies = policies.load();
    let policies = policies.as_ref().ok_or(Refusal::NotReady)?;
    if policies.reads_documents() {
        return Ok(None);
    }
    Ok(Some(review::judge_review(body, policies, Timestamp::now())))
}

/// CEL runs apart, so that an expensive policy cannot keep reviews of others from being read.
async fn judge_documents(
    webhook: &Webhook,
    body: &Bytes,
) -> Result<Result<Judged, BadReview>, Refusal> {
    let permit = Arc::clone(&webhook.document_reviews).acquire_owned().await;
    let policies = webhook.policies.load_full().ok_or(Refusal::NotReady)?;
    let body = body.clone();
    let judged = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        review::judge_review(&body, &policies, Timestamp::now())
    });
    judged.await.map_err(|_| Refusal::Unfinished)
}

async fn read(request: Request) -> Result<Bytes, Refusal> {
    let (head, body) = request.into_parts();
    check_content_type(&head.headers)?;
    let deadline = timeout(head.uri.query())?.saturating_sub(MARGIN);
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let body = async {
        if announced.is_some_and(|length: usize| length > MAX_BODY) {
            discard(body).await;
            return Err(Refusal::TooLarge);
        }
        collect(body).await
    };
    tokio::time::timeout(deadline, body).await.unwrap_or(Err(Refusal::TooSlow))
}

/// Reads the body, and stops at the limit rather than after it.
async fn collect(body: Body) -> Result<Bytes, Refusal> {
    to_bytes(body, MAX_BODY).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        let too_large =
            source.is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if too_large { Refusal::TooLarge } else { Refusal::Broken }
    })
}

/// Reads past a body that is too large, within reason: a client that is still
/// sending when the connection closes does not see the answer.
async fn discard(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > 2 * MAX_BODY {
            return;
        }
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let media_type = value.split(';').next().unwrap_or("").trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refusal::ContentType(value.to_owned()))
    }
}

/// The `?timeout=` that the API server sends: `webhooks[].timeoutSeconds`, as
/// Go writes a duration.
fn timeout(query: Option<&str>) -> Result<Duration, Refusal> {
    let mut parameters = query.unwrap_or("").split('&');
    let Some(text) = parameters.find_map(|it| it.strip_prefix("timeout=")) else {
        return Ok(DEFAULT_TIMEOUT);
    };
    let parsed = match text.strip_suffix("ms") {
        Some(millis) => millis.parse().map(Duration::from_millis),
        None => text.strip_suffix('s').unwrap_or(text).parse().map(Duration::from_secs),
    };
    parsed.map_err(|_| Refusal::Timeout(text.to_owned()))
}

fn summary(judged: &Judged) -> ReviewSummary<'_> {
    ReviewSummary {
        operation: judged.operation.as_str(),
        kind: judged.kind.map_or("other", |kind| kind.names().kind),
        decision: judged.outcome.as_str(),
        denials: judged.denial.as_ref().map(|it| &*it.violations).unwrap_or_default(),
    }
}

/// One line a denial, with names only.
fn log_denial(denial: &review::Denial) {
    tracing::info!(
        object = denial.object,
        policies = denial.policies,
        rules = denial.rules.join(","),
        "denied"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_as_go_writes_it() {
        assert_eq!(timeout(None).unwrap(), DEFAULT_TIMEOUT);
        assert_eq!(timeout(Some("timeout=3s")).unwrap(), Duration::from_secs(3));
        assert_eq!(timeout(Some("a=b&timeout=500ms")).unwrap(), Duration::from_millis(500));
        for bad in ["timeout=", "timeout=-1s", "timeout=1h", "timeout=99999999999999999999s"] {
            assert!(timeout(Some(bad)).is_err(), "{bad}");
        }
    }
}
