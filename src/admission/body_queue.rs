//! The queue of large bodies: they are read one at a time, which bounds memory, and wait for their turn instead of
//! being shed.
//!
//! Known callers come first; of the others, the network that was not served for the longest time. A caller that is not
//! known and holds up others while its body comes loses its turn.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::callers::Caller;

/// The most callers that wait, and the most of one network that is not known.
const MAX_WAITING: usize = 32;
const MAX_WAITING_OF_NETWORK: usize = 4;
/// How long a body may take while a caller of another network waits. 20 MiB at a gigabit a second take a fifth of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a waiting caller checks that.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How many networks are remembered as served.
const MAX_SERVED: usize = 64;

/// The queue. Clones share it.
#[derive(Clone, Default)]
pub(super) struct BodyQueue(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    holder: Option<Holder>,
    waiting: Vec<Waiting>,
    /// The networks that had a turn, the most recent last.
    served: Vec<IpAddr>,
}

struct Holder {
    caller: Caller,
    since: Instant,
    /// Whether its body is still coming.
    is_reading: bool,
    end: Arc<Notify>,
}

struct Waiting {
    caller: Caller,
    turn: oneshot::Sender<BodyTurn>,
}

/// A caller's turn. Dropping it gives the turn to the next.
pub(super) struct BodyTurn {
    queue: BodyQueue,
    end: Arc<Notify>,
}

impl BodyQueue {
    /// Waits for a turn; `None` if too many wait, or no turn comes before `until`.
    pub async fn turn(&self, caller: Caller, until: Instant) -> Option<BodyTurn> {
        let mut turn = self.enter(caller)?;
        loop {
            self.end_holder_for(caller);
            match timeout_at(until.min(Instant::now() + CHECK_INTERVAL), &mut turn).await {
                Ok(turn) => return turn.ok(),
                Err(_) if Instant::now() >= until => return None,
                Err(_) => {}
            }
        }
    }

    fn enter(&self, caller: Caller) -> Option<oneshot::Receiver<BodyTurn>> {
        let mut state = self.lock();
        state.waiting.retain(|it| !it.turn.is_closed());
        let same = |it: &&Waiting| !it.caller.known && it.caller.network() == caller.network();
        let own = state.waiting.iter().filter(same).count();
        let network_is_full = !caller.known && own >= MAX_WAITING_OF_NETWORK;
        if state.waiting.len() >= MAX_WAITING || network_is_full {
            return None;
        }
        let (turn, comes) = oneshot::channel();
        state.waiting.push(Waiting { caller, turn });
        let free = state.holder.is_none();
        drop(state);
        if free {
            self.next();
        }
        Some(comes)
    }

    /// Ends the holder's turn if it must not make this caller wait.
    fn end_holder_for(&self, caller: Caller) {
        let state = self.lock();
        let holder = state.holder.as_ref().filter(|it| it.is_reading && !it.caller.known);
        let Some(holder) = holder else { return };
        let late = holder.since.elapsed() >= PATIENCE;
        if caller.known || (late && holder.caller.network() != caller.network()) {
            holder.end.notify_one();
        }
    }

    /// Gives the turn to the first in the order of the queue.
    fn next(&self) {
        let mut state = self.lock();
        state.holder = None;
        state.waiting.retain(|it| !it.turn.is_closed());
        let State { waiting, served, .. } = &*state;
        let rank = |it: &Waiting| {
            let served = served.iter().position(|served| *served == it.caller.network());
            (!it.caller.known, served)
        };
        let first = (0..waiting.len()).min_by_key(|index| waiting.get(*index).map(rank));
        let Some(Waiting { caller, turn }) = first.map(|index| state.waiting.remove(index)) else {
            return;
        };
        state.served.retain(|it| *it != caller.network());
        state.served.push(caller.network());
        if state.served.len() > MAX_SERVED {
            state.served.remove(0);
        }
        let end = Arc::new(Notify::new());
        let since = Instant::now();
        state.holder = Some(Holder { caller, since, is_reading: true, end: Arc::clone(&end) });
        drop(state);
        // If the caller has just given up, the turn is dropped, and so goes to the next.
        let _ = turn.send(BodyTurn { queue: self.clone(), end });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic leaves no update of the state half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BodyTurn {
    /// Resolves when the turn must end because others wait.
    pub async fn ended(&self) {
        self.end.notified().await;
    }

    /// Marks the body as read: from now on nobody can end the turn.
    pub fn body_is_read(&self) {
        if let Some(holder) = &mut self.queue.lock().holder {
            holder.is_reading = false;
        }
    }
}

impl Drop for BodyTurn {
    fn drop(&mut self) {
        self.queue.next();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn caller(address: &str, known: bool) -> Caller {
        Caller { address: address.parse().unwrap(), known }
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[tokio::test]
    async fn turns_go_round_the_addresses_however_many_one_of_them_wants() {
        let queue = BodyQueue::default();
        let (flood, other) = (caller("10.0.0.1", false), caller("10.0.0.2", false));
        let turn = queue.turn(flood, later()).await.unwrap();
        turn.body_is_read();
        let order = Mutex::new(Vec::new());
        let want = async |caller: Caller| {
            let turn = queue.turn(caller, later()).await;
            turn.map(|_| order.lock().unwrap().push(caller.address.to_string()))
        };
        let waiting =
            [flood, flood, flood, flood, flood, other, other].map(|it| Box::pin(want(it)));
        let mut all = Box::pin(futures::future::join_all(waiting));
        assert!((&mut all).now_or_never().is_none());
        drop(turn);
        let got = all.await;
        assert_eq!(got.iter().filter(|it| it.is_none()).count(), 1, "a fifth is not let in");
        let order = order.into_inner().unwrap();
        assert_eq!(order[..3], ["10.0.0.2", "10.0.0.1", "10.0.0.2"], "{order:?}");
    }

    #[tokio::test]
    async fn a_known_caller_ends_the_turn_of_one_that_is_not_while_its_body_comes() {
        let queue = BodyQueue::default();
        let turn = queue.turn(caller("10.0.0.1", false), later()).await.unwrap();
        let mut known = Box::pin(queue.turn(caller("10.0.0.9", true), later()));
        assert!((&mut known).now_or_never().is_none());
        turn.ended().await;
        drop(turn);
        let known = known.await.unwrap();
        let mut next = Box::pin(queue.turn(caller("10.0.0.8", true), later()));
        assert!((&mut next).now_or_never().is_none());
        assert!(known.ended().now_or_never().is_none(), "never that of a known one");
    }

    #[tokio::test]
    async fn a_slow_body_loses_its_turn_once_somebody_else_waits() {
        let queue = BodyQueue::default();
        let turn = queue.turn(caller("10.0.0.1", false), later()).await.unwrap();
        let slow = async {
            turn.ended().await;
            drop(turn);
        };
        let other = queue.turn(caller("10.0.0.2", false), later());
        let (other, ()) = tokio::join!(other, slow);
        other.unwrap().body_is_read();
    }

    #[tokio::test]
    async fn a_body_that_was_read_keeps_its_turn_and_a_wait_ends_in_time() {
        let queue = BodyQueue::default();
        let turn = queue.turn(caller("10.0.0.1", false), later()).await.unwrap();
        turn.body_is_read();
        let soon = Instant::now() + Duration::from_millis(50);
        assert!(queue.turn(caller("10.0.0.9", true), soon).await.is_none());
        assert!(turn.ended().now_or_never().is_none());
        drop(turn);
        assert!(queue.turn(caller("10.0.0.2", false), later()).await.is_some());
    }
}
