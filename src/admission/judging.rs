//! How many reviews are judged at a time, and in what order: known callers beside all others, and these in turn by
//! network; reviews whose expressions cost more than [`AT_ONCE`] beside both, in turn by namespace.

use std::net::IpAddr;
use std::num::NonZero;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::callers::Caller;
use super::fair_queue::{FairQueue, FairTurn};

/// The most reviews that are judged at a time, of known callers and of others each: decoding takes memory.
const MAX_JUDGED: usize = 4;
/// The cost, in CEL's units, up to which a review is evaluated without waiting for a turn: about a millisecond.
pub(super) const AT_ONCE: u64 = 40_000;
/// The units that a slow or busy core evaluates in a millisecond.
const PER_MILLISECOND: u64 = 10_000;

/// The cost that can be evaluated within a time.
pub(super) fn cost_within(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(PER_MILLISECOND)
}

/// The turns to judge a review.
pub(super) struct Judging {
    known: Semaphore,
    /// One fewer than there are cores, but at least one: a core is left to known callers. By network, so that an API
    /// server that is not known yet does not wait for all reviews of a flood.
    unknown: FairQueue<IpAddr>,
    /// As many. One at a time for each namespace: costly policies of a namespace delay only reviews with costly
    /// policies, and those of another namespace by one review at a time.
    costly: FairQueue<String>,
}

/// A turn, until it is dropped.
pub(super) enum Turn<'j> {
    Known { _permit: SemaphorePermit<'j> },
    Unknown { _turn: FairTurn },
}

impl Default for Judging {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let others = cores.saturating_sub(1).max(1);
        let unknown = others.min(MAX_JUDGED);
        Self {
            known: Semaphore::new(MAX_JUDGED),
            unknown: FairQueue::new(unknown, unknown),
            costly: FairQueue::new(others, 1),
        }
    }
}

impl Judging {
    /// Waits until a caller's review may be judged. `None` only if a semaphore was closed, which nothing does.
    pub async fn turn(&self, caller: Caller) -> Option<Turn<'_>> {
        if caller.known {
            let permit = self.known.acquire().await.ok()?;
            return Some(Turn::Known { _permit: permit });
        }
        let turn = match self.unknown.free_turn() {
            Some(turn) => turn,
            None => self.unknown.turn(caller.network()).await?,
        };
        Some(Turn::Unknown { _turn: turn })
    }

    /// Waits until a review of a namespace with costly expressions may be judged. `None` as for [`Self::turn`].
    pub async fn costly_turn(&self, namespace: &str) -> Option<FairTurn> {
        self.costly.turn(namespace.to_owned()).await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_caller_waits_for_a_few_of_another_network_that_floods_and_a_known_one_for_none() {
        let judging = Judging::default();
        let caller = |address: &str, known| Caller { address: address.parse().unwrap(), known };
        let flooder = caller("10.0.0.1", false);
        let mut flood: Vec<_> = (0..1000).map(|_| Box::pin(judging.turn(flooder))).collect();
        let mut other = Box::pin(judging.turn(caller("10.0.0.2", false)));
        let mut before = 0;
        loop {
            let mut turns = Vec::new();
            flood.retain_mut(|it| match it.now_or_never() {
                Some(turn) => {
                    turns.push(turn);
                    false
                }
                None => true,
            });
            before += turns.len();
            assert!(judging.turn(caller("10.0.0.1", true)).now_or_never().is_some());
            if (&mut other).now_or_never().is_some() {
                break;
            }
            assert!(!turns.is_empty(), "turns of who is done come back");
        }
        assert!((1..=3 * MAX_JUDGED).contains(&before), "{before}");
    }
}
