//! Large bodies come one at a time, so that memory has an end, and wait for their turn meanwhile instead of being shed.
//!
//! Known callers come first; of the others, whoever was not served for longest. Who is not known and holds the others
//! up while its body comes has had its turn.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::callers::Caller;

/// How many may wait, and how many of a network that is not known.
const MAX_WAITING: usize = 32;
const MAX_OWN: usize = 4;
/// For how long a body may come while somebody at another address waits. 20 MiB at a gigabit take a fifth of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often who waits looks at that.
const LOOK: Duration = Duration::from_millis(100);
/// How many networks are remembered as served.
const MAX_SERVED: usize = 64;

/// Clones are one and the same.
#[derive(Clone, Default)]
pub(super) struct Line(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    holder: Option<Holder>,
    waiting: Vec<Waiting>,
    /// The networks that had a turn, the latest last.
    served: Vec<IpAddr>,
}

struct Holder {
    caller: Caller,
    since: Instant,
    /// Whether its body still comes.
    reads: bool,
    over: Arc<Notify>,
}

struct Waiting {
    caller: Caller,
    turn: oneshot::Sender<Turn>,
}

/// Somebody's turn, until it is dropped.
pub(super) struct Turn {
    line: Line,
    over: Arc<Notify>,
}

impl Line {
    /// Waits for a turn; `None` if too many wait, or none comes until then.
    pub async fn turn(&self, caller: Caller, until: Instant) -> Option<Turn> {
        let mut turn = self.enter(caller)?;
        loop {
            self.hurry(caller);
            match timeout_at(until.min(Instant::now() + LOOK), &mut turn).await {
                Ok(turn) => return turn.ok(),
                Err(_) if Instant::now() >= until => return None,
                Err(_) => {}
            }
        }
    }

    fn enter(&self, caller: Caller) -> Option<oneshot::Receiver<Turn>> {
        let mut state = self.lock();
        state.waiting.retain(|it| !it.turn.is_closed());
        let same = |it: &&Waiting| !it.caller.known && it.caller.network() == caller.network();
        let own = state.waiting.iter().filter(same).count();
        if state.waiting.len() >= MAX_WAITING || (!caller.known && own >= MAX_OWN) {
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

    /// Ends the turn of a holder that makes this caller wait and may not.
    fn hurry(&self, caller: Caller) {
        let state = self.lock();
        let Some(holder) = state.holder.as_ref().filter(|it| it.reads && !it.caller.known) else {
            return;
        };
        let late = holder.since.elapsed() >= PATIENCE;
        if caller.known || (late && holder.caller.network() != caller.network()) {
            holder.over.notify_one();
        }
    }

    /// Gives the turn to whoever it belongs to.
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
        let over = Arc::new(Notify::new());
        let holder = Holder { caller, since: Instant::now(), reads: true, over: Arc::clone(&over) };
        state.holder = Some(holder);
        drop(state);
        // Who has just given up drops it, and so gives it to the next.
        let _ = turn.send(Turn { line: self.clone(), over });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in there panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Comes when others have waited long enough.
    pub async fn is_over(&self) {
        self.over.notified().await;
    }

    /// The body is there: nobody can end the turn any more.
    pub fn has_read(&self) {
        if let Some(holder) = &mut self.line.lock().holder {
            holder.reads = false;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.line.next();
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
        let line = Line::default();
        let (flood, other) = (caller("10.0.0.1", false), caller("10.0.0.2", false));
        let turn = line.turn(flood, later()).await.unwrap();
        turn.has_read();
        let order = Mutex::new(Vec::new());
        let want = async |caller: Caller| {
            let turn = line.turn(caller, later()).await;
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
        let line = Line::default();
        let turn = line.turn(caller("10.0.0.1", false), later()).await.unwrap();
        let mut known = Box::pin(line.turn(caller("10.0.0.9", true), later()));
        assert!((&mut known).now_or_never().is_none());
        turn.is_over().await;
        drop(turn);
        let known = known.await.unwrap();
        let mut next = Box::pin(line.turn(caller("10.0.0.8", true), later()));
        assert!((&mut next).now_or_never().is_none());
        assert!(known.is_over().now_or_never().is_none(), "never that of a known one");
    }

    #[tokio::test]
    async fn who_is_slow_has_had_its_turn_once_somebody_else_waits() {
        let line = Line::default();
        let turn = line.turn(caller("10.0.0.1", false), later()).await.unwrap();
        let slow = async {
            turn.is_over().await;
            drop(turn);
        };
        let other = line.turn(caller("10.0.0.2", false), later());
        let (other, ()) = tokio::join!(other, slow);
        other.unwrap().has_read();
    }

    #[tokio::test]
    async fn a_body_that_is_there_keeps_its_turn_and_who_waits_in_vain_is_told() {
        let line = Line::default();
        let turn = line.turn(caller("10.0.0.1", false), later()).await.unwrap();
        turn.has_read();
        let soon = Instant::now() + Duration::from_millis(50);
        assert!(line.turn(caller("10.0.0.9", true), soon).await.is_none());
        assert!(turn.is_over().now_or_never().is_none());
        drop(turn);
        assert!(line.turn(caller("10.0.0.2", false), later()).await.is_some());
    }
}
