//! What is checked and bounded before a review is judged: how much is let in at once, how large a body is, how long it
//! may take. What does not pass is a [`Refusal`].

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::review::BadReview;

/// The largest review that is read: an UPDATE carries two objects, and etcd
/// takes at most 1.5 MiB for each.
pub const MAX_BODY: usize = 8 * 1024 * 1024;
/// How many reviews, and how many bytes of them, are answered at a time. More are shed: an answer that comes after the
/// API server has given up is work for nothing, and memory has an end.
pub const MAX_REVIEWS: usize = 256;
pub const MAX_BYTES: usize = 3 * MAX_BODY;
/// How long a review may take if the API server does not say (its own default), and the most it can say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
/// What is left of that time for the answer's way back.
const MARGIN: Duration = Duration::from_millis(200);
/// How long a body may take: the API server has it at hand, and who has not holds up others.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// In how many rounds of its connection's task a body comes that is there already: it is read once somebody waits for
/// it, and comes in a piece or two.
const BODY_ROUNDS: usize = 3;
/// After how many seconds a shed review may come again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Why a request got no verdict. Each is an HTTP error, never an answer, so
/// that the API server follows the configuration's `failurePolicy`.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
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
    #[error("too many reviews at once; try again in a second, or run more replicas")]
    Overloaded,
    #[error("the review was not judged within its timeout")]
    TooLate,
    #[error("the policies are not loaded yet")]
    NotReady,
    #[error(transparent)]
    Review(#[from] BadReview),
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLate => StatusCode::GATEWAY_TIMEOUT,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::Review(BadReview::UnknownNamespace) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Timeout(_) | Self::Broken | Self::Review(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// For logs, which must not repeat what was in a body.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ContentType(_) => "ContentType",
            Self::Timeout(_) => "Timeout",
            Self::TooLarge => "TooLarge",
            Self::TooSlow => "TooSlow",
            Self::Broken => "Broken",
            Self::Overloaded => "Overloaded",
            Self::TooLate => "TooLate",
            Self::NotReady => "NotReady",
            Self::Review(review) => review.reason(),
        }
    }

    /// Whether the same request may get a verdict in a moment. The API server heeds `Retry-After` on these statuses
    /// and tries again within the webhook's timeout (client-go `rest.withRetry`).
    const fn passes(&self) -> bool {
        matches!(self, Self::Overloaded | Self::NotReady)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("podgate: {self}\n")).into_response();
        if self.passes() {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

/// What is let in at once.
pub(super) struct Limits {
    reviews: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        Self { reviews: permits(MAX_REVIEWS), bytes: permits(MAX_BYTES) }
    }
}

/// A review that was let in; it counts until it is dropped.
pub(super) struct Admitted {
    pub body: Bytes,
    /// When it must be judged.
    pub deadline: Instant,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Limits {
    /// Reads a request whole, if there is room for it.
    pub async fn read(&self, request: Request) -> Result<Admitted, Refusal> {
        let (head, body) = request.into_parts();
        check_content_type(&head.headers)?;
        let now = Instant::now();
        let deadline = now + timeout(head.uri.query())?.saturating_sub(MARGIN);
        let length = head.headers.get(CONTENT_LENGTH);
        let announced = length.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
        let body_deadline = deadline.min(now + BODY_TIMEOUT);
        let length = announced.unwrap_or(MAX_BODY);
        let room = if length > MAX_BODY { Err(Refusal::TooLarge) } else { self.room(length) };
        let permits = match room {
            Ok(permits) => permits,
            Err(refusal) => {
                let _ = timeout_at(body_deadline, discard(body)).await;
                return Err(refusal);
            }
        };
        let mut body = pin!(collect(body, length));
        let body = match at_hand(body.as_mut()).await {
            Some(body) => body,
            None => timeout_at(body_deadline, body).await.unwrap_or(Err(Refusal::TooSlow)),
        };
        Ok(Admitted { body: body?, deadline, _permits: permits })
    }

    fn room(&self, length: usize) -> Result<[OwnedSemaphorePermit; 2], Refusal> {
        let bytes = u32::try_from(length).unwrap_or(u32::MAX);
        let review = Arc::clone(&self.reviews).try_acquire_owned();
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes);
        match (review, bytes) {
            (Ok(review), Ok(bytes)) => Ok([review, bytes]),
            _ => Err(Refusal::Overloaded),
        }
    }
}

/// Reads the body of so many bytes at the most, and stops at the limit rather than after it. One that came in a piece is
/// not copied, and others once.
async fn collect(mut body: Body, length: usize) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else { continue };
        if first.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.reserve_exact(length);
            all.extend_from_slice(&first);
        }
        if all.len() + data.len() > length {
            return Err(Refusal::TooLarge);
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// What a future comes to in the few rounds of its task in which a body comes that is there already; a timer for each
/// would cost more than to read it.
async fn at_hand<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut rounds = 0..BODY_ROUNDS;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if rounds.next().is_none() => Poll::Ready(None),
        Poll::Pending => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Reads past a body that is not wanted, within reason: a client that is still
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
    let parsed = parsed.map_err(|_| Refusal::Timeout(text.to_owned()))?;
    Ok(parsed.min(MAX_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_as_go_writes_it_and_has_an_end() {
        assert_eq!(timeout(None).unwrap(), DEFAULT_TIMEOUT);
        assert_eq!(timeout(Some("timeout=3s")).unwrap(), Duration::from_secs(3));
        assert_eq!(timeout(Some("a=b&timeout=500ms")).unwrap(), Duration::from_millis(500));
        assert_eq!(timeout(Some("timeout=86400s")).unwrap(), MAX_TIMEOUT);
        for bad in ["timeout=", "timeout=-1s", "timeout=1h", "timeout=99999999999999999999s"] {
            assert!(timeout(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn reviews_and_their_bytes_are_bounded_and_room_comes_back() {
        let limits = Limits::default();
        let many: Vec<_> = (0..MAX_REVIEWS).map(|_| limits.room(0).unwrap()).collect();
        assert!(matches!(limits.room(0), Err(Refusal::Overloaded)));
        drop(many);
        let large: Vec<_> =
            (0..MAX_BYTES / MAX_BODY).map(|_| limits.room(MAX_BODY).unwrap()).collect();
        assert!(matches!(limits.room(1), Err(Refusal::Overloaded)));
        drop(large);
        assert!(limits.room(1).is_ok());
    }
}
