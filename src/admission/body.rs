//! Reads the body of a request: within [`MAX_BODY`], at a minimum rate, large bodies one at a time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::time::{Instant, timeout_at};

use super::body_queue::{BodyQueue, BodyTurn};
use super::callers::Caller;
use super::pool::Share;
use super::refusal::Refusal;

/// The largest review that is read, which is the largest that the API server can send: an UPDATE carries two objects,
/// of each of which etcd takes at most 1.5 MiB, as protobuf; in JSON each byte of a string may become six (`\u003c`),
/// which makes 18 MiB; the rest is for the envelope and the names of the fields.
pub(super) const MAX_BODY: usize = 20 * 1024 * 1024;
/// Larger bodies are read one at a time; few objects are larger.
pub(super) const LARGE: usize = 1024 * 1024;
/// The first buffer of a body that comes in several frames; most bodies fit into it.
const FIRST_BUFFER: usize = 32 * 1024;
/// The longest time for a body. The API server has the body at hand, and a slow sender holds up others.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// The time before the minimum rate applies: the sender may be busy.
const GRACE: Duration = Duration::from_secs(2);
/// The minimum rate, in bytes a second.
const MIN_RATE: u32 = 1024 * 1024;
/// The rounds of the connection's task within which a body comes that has already arrived: hyper reads it when somebody
/// waits for it, and it comes in a frame or two.
const BODY_ROUNDS: usize = 3;

/// What a review holds of the limits.
pub(super) struct Room {
    pub place: Share,
    pub bytes: Share,
    /// The turn of a large body.
    pub turn: Option<BodyTurn>,
}

/// The minimum rate of a body.
pub(super) struct Pace {
    pub began: Instant,
    pub deadline: Instant,
}

impl Pace {
    /// When the next byte must have come, after this many.
    fn until(&self, received: usize) -> Instant {
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1) * received / MIN_RATE;
        self.deadline.min(self.began + BODY_TIMEOUT.min(GRACE + earned))
    }
}

/// A body that is being read.
pub(super) struct IncomingBody {
    pub body: Body,
    /// The most bytes that are read.
    pub max: usize,
    pub pace: Pace,
    pub caller: Caller,
    pub room: Room,
}

impl IncomingBody {
    /// Reads the body whole, and takes room as it comes. A body of one frame is not copied; others are copied once.
    pub async fn collect(&mut self, queue: &BodyQueue) -> Result<Bytes, Refusal> {
        let (mut first, mut all) = (Bytes::new(), Vec::new());
        loop {
            let received = first.len().max(all.len());
            let Some(frame) = self.next(received).await? else { break };
            let Ok(data) = frame.into_data() else { continue };
            if received + data.len() > self.max {
                return Err(Refusal::TooLarge(MAX_BODY));
            }
            if received + data.len() <= LARGE {
                if !self.room.bytes.take(data.len()) {
                    return Err(Refusal::Overloaded);
                }
            } else if self.room.turn.is_none() {
                let until = self.pace.deadline;
                let turn = queue.turn(self.caller, until).await.ok_or(Refusal::Overloaded)?;
                self.room.turn = Some(turn);
                self.pace.began = Instant::now();
                all.reserve_exact(self.max - all.len());
            }
            if first.is_empty() {
                first = data;
                continue;
            }
            if all.is_empty() {
                // Not the announced length: with huge pages, reserved memory may be used memory.
                all.reserve(self.max.min(FIRST_BUFFER));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
        if let Some(turn) = &self.room.turn {
            turn.body_is_read();
        }
        Ok(if all.is_empty() { first } else { all.into() })
    }

    async fn next(&mut self, received: usize) -> Result<Option<Frame<Bytes>>, Refusal> {
        let mut frame = pin!(self.body.frame());
        let frame = match (poll_rounds(frame.as_mut()).await, &self.room.turn) {
            (Some(frame), _) => frame,
            (None, turn) => {
                let over = async {
                    match turn {
                        Some(turn) => turn.ended().await,
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

/// Polls a future for the few rounds within which a body comes that has already arrived: a timer for each such body
/// would cost more than reading it.
async fn poll_rounds<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
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

/// Discards the body of a request that is refused, and returns the refusal.
pub(super) async fn refuse(mut body: Body, refusal: Refusal) -> Refusal {
    discard(&mut body, LARGE, Instant::now() + GRACE).await;
    refusal
}

/// Reads and drops a body, within limits: a client that is still sending when the connection closes does not see the
/// response.
pub(super) async fn discard(body: &mut Body, max: usize, until: Instant) {
    let mut read = 0;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > max {
                return;
            }
        }
    };
    let _ = timeout_at(until, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
