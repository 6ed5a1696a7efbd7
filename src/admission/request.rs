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
use hyper::body::Frame;
use tokio::time::{Instant, timeout_at};

use super::callers::Caller;
use super::line::{Line, Turn};
use super::pool::{Pool, Share};
use super::review::BadReview;

/// The largest review that is read, which is what the API server can send: an UPDATE carries two objects, of each of
/// which etcd takes at most 1.5 MiB, as protobuf; in JSON each byte of a string may be six (`\u003c`), which makes 18 MiB;
/// and there is room for the envelope and the names of the fields.
pub const MAX_BODY: usize = 20 * 1024 * 1024;
/// A body that is larger than this comes when it is its turn, one at a time. Few objects are.
const LARGE: usize = 1024 * 1024;
/// What most bodies fit into.
const FIRST_PIECES: usize = 32 * 1024;
/// How many reviews, and how many bytes of them up to [`LARGE`], are answered at a time; a third of both is for known
/// callers alone. More are shed: an answer that comes after the API server has given up is work for nothing, and memory
/// has an end: this, one large body, and what it takes to decode them.
const MAX_REVIEWS: usize = 384;
const MAX_BYTES: usize = 24 * LARGE;
/// How long a review may take if the API server does not say (its own default), and the most it can say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
/// What is left of that time for the answer's way back.
const MARGIN: Duration = Duration::from_millis(200);
/// How long a body may take: the API server has it at hand, and who has not holds up others. It must keep coming: so many
/// bytes a second, after a while in which the sender may be busy.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(2);
const MIN_RATE: u32 = 1024 * 1024;
/// In how many rounds of its connection's task a body comes that is there already: it is read once somebody waits for
/// it, and comes in a piece or two.
const BODY_ROUNDS: usize = 3;
/// After how many seconds a shed review may come again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Why a request got no verdict. Each is an HTTP error, never an answer, so
/// that the API server follows the configuration's `failurePolicy`.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "no client certificate was shown that --client-ca vouches for; give the API server one in its AdmissionConfiguration"
    )]
    NoCertificate,
    #[error("the content type is {0:?}; send application/json")]
    ContentType(String),
    #[error("timeout={0:?} is no duration; write it as 3s or 500ms")]
    Timeout(String),
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("the body did not arrive in time; it must keep coming, a mebibyte a second at least")]
    TooSlow,
    #[error("the body broke off")]
    Broken,
    #[error("too many reviews at once; try again in a second, or run more replicas")]
    Overloaded,
    #[error("the review was not judged within its timeout")]
    TooLate,
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
            Self::NoCertificate => StatusCode::UNAUTHORIZED,
            Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLate => StatusCode::GATEWAY_TIMEOUT,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unfinished | Self::Review(BadReview::UnknownNamespace(_)) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Timeout(_) | Self::Broken | Self::Review(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// For logs and metrics, which must not repeat what was in a body.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoCertificate => "NoCertificate",
            Self::ContentType(_) => "ContentType",
            Self::Timeout(_) => "Timeout",
            Self::TooLarge => "TooLarge",
            Self::TooSlow => "TooSlow",
            Self::Broken => "Broken",
            Self::Overloaded => "Overloaded",
            Self::TooLate => "TooLate",
            Self::NotReady => "NotReady",
            Self::Unfinished => "Unfinished",
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
    reviews: Arc<Pool>,
    bytes: Arc<Pool>,
    large: Line,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reviews: Pool::new(MAX_REVIEWS, MAX_REVIEWS / 3),
            bytes: Pool::new(MAX_BYTES, MAX_BYTES / 3),
            large: Line::default(),
        }
    }
}

/// A review that was let in; it counts until it is dropped.
pub(super) struct Admitted {
    pub body: Bytes,
    pub caller: Caller,
    /// When it must be judged.
    pub deadline: Instant,
    room: Room,
}

/// What a review holds of the limits.
struct Room {
    place: Share,
    bytes: Share,
    /// Of a large body.
    turn: Option<Turn>,
}

impl Admitted {
    /// Whether it had to wait for its turn, which others wait for now.
    pub const fn is_large(&self) -> bool {
        self.room.turn.is_some()
    }
}

impl Limits {
    /// Reads a request whole, if there is room for it.
    pub async fn read(&self, caller: Caller, request: Request) -> Result<Admitted, Refusal> {
        let (head, body) = request.into_parts();
        let now = Instant::now();
        let checked = check_content_type(&head.headers).and_then(|()| timeout(head.uri.query()));
        let mut place = self.reviews.share(caller);
        let deadline = match checked {
            Ok(_) if !place.take(1) => return Err(pass_over(body, Refusal::Overloaded).await),
            Ok(timeout) => now + timeout.saturating_sub(MARGIN),
            Err(refusal) => return Err(pass_over(body, refusal).await),
        };
        let room = Room { place, bytes: self.bytes.share(caller), turn: None };
        let length = head.headers.get(CONTENT_LENGTH);
        let announced = length.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
        let most = announced.unwrap_or(MAX_BODY);
        let mut incoming =
            Incoming { body, most, pace: Pace { began: now, deadline }, caller, room };
        let read = if most > MAX_BODY {
            Err(Refusal::TooLarge)
        } else {
            incoming.collect(&self.large).await
        };
        let Incoming { mut body, room, .. } = incoming;
        let refusal = match read {
            Ok(body) => return Ok(Admitted { body, caller, deadline, room }),
            Err(refusal) => refusal,
        };
        // What came is given back at once; the place is held while the rest is passed.
        let Room { place, bytes, turn } = room;
        drop((bytes, turn));
        if matches!(refusal, Refusal::TooLarge | Refusal::Overloaded) {
            let until = deadline.min(Instant::now() + BODY_TIMEOUT);
            discard(&mut body, 2 * MAX_BODY, until).await;
        }
        drop(place);
        Err(refusal)
    }
}

/// How fast a body must come.
struct Pace {
    began: Instant,
    deadline: Instant,
}

impl Pace {
    /// Until when the next of its bytes must be there, after so many.
    fn until(&self, received: usize) -> Instant {
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1) * received / MIN_RATE;
        self.deadline.min(self.began + BODY_TIMEOUT.min(GRACE + earned))
    }
}

/// A body on its way.
struct Incoming {
    body: Body,
    /// How long it may become.
    most: usize,
    pace: Pace,
    caller: Caller,
    room: Room,
}

impl Incoming {
    /// Reads it whole, and takes room as it comes. One that came in a piece is not copied, and others once.
    async fn collect(&mut self, line: &Line) -> Result<Bytes, Refusal> {
        let (mut first, mut all) = (Bytes::new(), Vec::new());
        loop {
            let received = first.len().max(all.len());
            let Some(frame) = self.next(received).await? else { break };
            let Ok(data) = frame.into_data() else { continue };
            if received + data.len() > self.most {
                return Err(Refusal::TooLarge);
            }
            if received + data.len() <= LARGE {
                if !self.room.bytes.take(data.len()) {
                    return Err(Refusal::Overloaded);
                }
            } else if self.room.turn.is_none() {
                let until = self.pace.deadline;
                let turn = line.turn(self.caller, until).await.ok_or(Refusal::Overloaded)?;
                self.room.turn = Some(turn);
                self.pace.began = Instant::now();
                all.reserve_exact(self.most - all.len());
            }
            if first.is_empty() {
                first = data;
                continue;
            }
            if all.is_empty() {
                // Not as announced: what is reserved may be memory taken, where the kernel has huge pages.
                all.reserve(self.most.min(FIRST_PIECES));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
        if let Some(turn) = &self.room.turn {
            turn.has_read();
        }
        Ok(if all.is_empty() { first } else { all.into() })
    }

    async fn next(&mut self, received: usize) -> Result<Option<Frame<Bytes>>, Refusal> {
        let mut frame = pin!(self.body.frame());
        let frame = match (at_hand(frame.as_mut()).await, &self.room.turn) {
            (Some(frame), _) => frame,
            (None, turn) => {
                let over = async {
                    match turn {
                        Some(turn) => turn.is_over().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    frame = timeout_at(self.pace.until(received), frame) => {
                        frame.map_err(|_| Refusal::TooSlow)?
                    }
                    () = over => return Err(Refusal::Overloaded),
                }
            }
        };
        frame.transpose().map_err(|_| Refusal::Broken)
    }
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

/// Refuses a request of which nothing is wanted.
pub(super) async fn pass_over(mut body: Body, because: Refusal) -> Refusal {
    discard(&mut body, LARGE, Instant::now() + GRACE).await;
    because
}

/// Reads past a body that is not wanted, within reason: a client that is still
/// sending when the connection closes does not see the answer.
async fn discard(body: &mut Body, most: usize, until: Instant) {
    let mut read = 0;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > most {
                return;
            }
        }
    };
    let _ = timeout_at(until, reading).await;
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
    use futures::StreamExt;

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
    fn a_body_must_keep_coming() {
        let began = Instant::now();
        let pace = Pace { began, deadline: began + Duration::from_secs(30) };
        let after = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(pace.until(0), after(2));
        assert_eq!(pace.until(1024 * 1024), after(3));
        assert_eq!(pace.until(MAX_BODY), after(5), "not for ever, however fast it came");
        let pace = Pace { began, deadline: after(1) };
        assert_eq!(pace.until(0), after(1), "nor longer than the review may take");
    }

    fn caller(address: &str) -> Caller {
        Caller { address: address.parse().unwrap(), known: false }
    }

    /// A body of these pieces, which then never ends or ends.
    fn request(pieces: Vec<usize>, ends: bool, length: usize) -> Request {
        let pieces = pieces.into_iter().map(|it| Ok::<_, std::io::Error>(vec![b' '; it]));
        let pieces = futures::stream::iter(pieces);
        let body = if ends {
            Body::from_stream(pieces)
        } else {
            Body::from_stream(pieces.chain(futures::stream::pending()))
        };
        let request = Request::post("/validate?timeout=30s").header(CONTENT_LENGTH, length);
        request.header(CONTENT_TYPE, "application/json").body(body).unwrap()
    }

    #[tokio::test]
    async fn room_is_taken_by_bytes_that_came_and_not_by_those_that_were_announced() {
        let limits = Limits::default();
        let one = caller("10.0.0.1");
        let announced: Vec<_> = (0..100)
            .map(|_| Box::pin(limits.read(one, request(Vec::new(), false, LARGE))))
            .collect();
        let mut announced = futures::future::join_all(announced);
        assert!(futures::poll!(&mut announced).is_pending());
        let read = limits.read(one, request(vec![LARGE], true, LARGE)).await.unwrap();
        assert_eq!(read.body.len(), LARGE);
    }

    #[tokio::test]
    async fn one_address_holds_half_of_the_places_and_another_still_gets_one() {
        let limits = Limits::default();
        let one = caller("10.0.0.1");
        let mut held: Vec<_> = (0..MAX_REVIEWS)
            .map(|_| Box::pin(limits.read(one, request(Vec::new(), false, 10))))
            .collect();
        for read in &mut held {
            assert!(!matches!(futures::poll!(read), Poll::Ready(Ok(_))));
        }
        let shed = limits.read(one, request(vec![10], true, 10)).await;
        assert!(matches!(shed, Err(Refusal::Overloaded)));
        assert!(limits.read(caller("10.0.0.2"), request(vec![10], true, 10)).await.is_ok());
        drop(held);
        assert!(limits.read(one, request(vec![10], true, 10)).await.is_ok());
    }

    #[tokio::test]
    async fn a_large_body_waits_for_its_turn_and_small_ones_do_not_wait_for_it() {
        let limits = Limits::default();
        let large = || request(vec![LARGE; 20], true, MAX_BODY);
        let one = caller("10.0.0.1");
        let read = limits.read(one, large()).await.unwrap();
        assert!(read.is_large() && read.body.len() == MAX_BODY);
        let mut waits = Box::pin(limits.read(one, large()));
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(limits.read(one, request(vec![10], true, 10)).await.is_ok());
        drop(read);
        assert!(waits.await.is_ok());
        let more = request(vec![LARGE; 21], true, MAX_BODY + 1);
        assert!(matches!(limits.read(one, more).await, Err(Refusal::TooLarge)));
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_given_up_and_its_room_comes_back() {
        let limits = Limits::default();
        let one = caller("10.0.0.1");
        let stalled = limits.read(one, request(vec![10], false, 20)).await;
        assert!(matches!(stalled, Err(Refusal::TooSlow)));
        let large = limits.read(one, request(vec![LARGE; 3], false, MAX_BODY)).await;
        assert!(matches!(large, Err(Refusal::TooSlow)));
        assert!(limits.read(one, request(vec![LARGE; 20], true, MAX_BODY)).await.is_ok());
    }
}
