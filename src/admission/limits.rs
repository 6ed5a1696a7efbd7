//! The limits before a review is judged: how many are let in at once, how large a body is, and how long it may take. A
//! request beyond them is a [`Refusal`].

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::time::Instant;

use super::body::{BODY_TIMEOUT, IncomingBody, LARGE, MAX_BODY, Pace, Room, discard, refuse};
use super::body_queue::BodyQueue;
use super::callers::Caller;
use super::pool::Pool;
use super::refusal::Refusal;

/// The most reviews that are answered at a time, and the most bytes of their bodies up to [`LARGE`]; a third of both is
/// reserved for known callers. Further reviews are shed: an answer after the API server's timeout is useless, and
/// memory is bounded by these bytes, one large body, and what decoding them takes.
const MAX_REVIEWS: usize = 384;
const MAX_BYTES: usize = 24 * LARGE;
/// A review's timeout if the API server sends none (the API's default), and the longest that the API allows.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
/// The part of the timeout that is left for the answer's way back.
const MARGIN: Duration = Duration::from_millis(200);

/// The limits that all reviews share.
pub(super) struct Limits {
    reviews: Arc<Pool>,
    bytes: Arc<Pool>,
    large: BodyQueue,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reviews: Pool::new(MAX_REVIEWS, MAX_REVIEWS / 3),
            bytes: Pool::new(MAX_BYTES, MAX_BYTES / 3),
            large: BodyQueue::default(),
        }
    }
}

/// A review that was let in. It holds its room until it is dropped.
pub(super) struct Admitted {
    pub body: Bytes,
    pub caller: Caller,
    /// When it must have been judged.
    pub deadline: Instant,
    room: Room,
}

impl Admitted {
    /// Whether its body is larger than [`LARGE`], so that it holds the turn of large bodies.
    pub const fn is_large(&self) -> bool {
        self.room.turn.is_some()
    }
}

impl Limits {
    /// Reads a request whole.
    ///
    /// # Errors
    /// There is no room for it, or it is malformed, too large or too slow.
    pub async fn read(&self, caller: Caller, request: Request) -> Result<Admitted, Refusal> {
        let (head, body) = request.into_parts();
        let now = Instant::now();
        let checked = check_content_type(&head.headers).and_then(|()| timeout(head.uri.query()));
        let mut place = self.reviews.share(caller);
        let deadline = match checked {
            Ok(_) if !place.take(1) => return Err(refuse(body, Refusal::Overloaded).await),
            Ok(timeout) => now + timeout.saturating_sub(MARGIN),
            Err(refusal) => return Err(refuse(body, refusal).await),
        };
        let room = Room { place, bytes: self.bytes.share(caller), turn: None };
        let length = head.headers.get(CONTENT_LENGTH);
        let announced = length.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
        let max = announced.unwrap_or(MAX_BODY);
        let mut incoming =
            IncomingBody { body, max, pace: Pace { began: now, deadline }, caller, room };
        let read = if max > MAX_BODY {
            Err(Refusal::TooLarge(MAX_BODY))
        } else {
            incoming.collect(&self.large).await
        };
        let IncomingBody { mut body, room, .. } = incoming;
        let refusal = match read {
            Ok(body) => return Ok(Admitted { body, caller, deadline, room }),
            Err(refusal) => refusal,
        };
        // The bytes are given back at once; the place is held while the rest of the body is discarded.
        let Room { place, bytes, turn } = room;
        drop((bytes, turn));
        if matches!(refusal, Refusal::TooLarge(_) | Refusal::Overloaded) {
            let until = deadline.min(Instant::now() + BODY_TIMEOUT);
            discard(&mut body, 2 * MAX_BODY, until).await;
        }
        drop(place);
        Err(refusal)
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

/// The `?timeout=` that the API server sends: `webhooks[].timeoutSeconds`, in Go's format of durations.
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
    use std::task::Poll;

    use axum::body::Body;
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

    fn caller(address: &str) -> Caller {
        Caller { address: address.parse().unwrap(), known: false }
    }

    /// A request whose body comes in pieces of these sizes.
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
        assert!(matches!(limits.read(one, more).await, Err(Refusal::TooLarge(_))));
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
