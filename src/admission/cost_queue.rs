//! The queue of reviews whose expressions cost more than [`AT_ONCE`]. They are evaluated beside all other reviews, one
//! at a time for each namespace: costly policies of a namespace delay only reviews with costly policies, and those of
//! another namespace by one review at a time.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The cost, in CEL's units, up to which a review is evaluated without waiting for a turn: about a millisecond.
pub(super) const AT_ONCE: u64 = 40_000;
/// The units that a slow or busy core evaluates in a millisecond.
const PER_MILLISECOND: u64 = 10_000;

/// The cost that can be evaluated within a time.
pub(super) fn cost_within(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(PER_MILLISECOND)
}

/// The turns to evaluate costly expressions.
pub(super) struct CostQueue {
    /// One fewer than there are cores, but at least one.
    all: Arc<Semaphore>,
    /// One for each namespace that has a turn or waits for one.
    of_namespace: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A turn, until it is dropped.
pub(super) struct CostTurn {
    _of_namespace: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for CostQueue {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::of(cores.saturating_sub(1).max(1))
    }
}

impl CostQueue {
    fn of(at_a_time: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_a_time)), of_namespace: Mutex::default() }
    }

    /// Waits for a turn. `None` only if a semaphore was closed, which nothing does.
    pub async fn turn(&self, namespace: &str) -> Option<CostTurn> {
        let own = self.namespace_semaphore(namespace);
        let of_namespace = own.acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(CostTurn { _of_namespace: of_namespace, _of_all: of_all })
    }

    fn namespace_semaphore(&self, namespace: &str) -> Arc<Semaphore> {
        let mut all = self.of_namespace.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get(namespace).and_then(Weak::upgrade) {
            return own;
        }
        all.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(1));
        all.insert(namespace.to_owned(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    #[tokio::test]
    async fn a_namespace_has_one_turn_and_the_next_namespace_comes_before_its_second() {
        let turns = CostQueue::of(1);
        let first = turns.turn("a").await;
        let mut second = Box::pin(turns.turn("a"));
        let mut third = Box::pin(turns.turn("a"));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        let mut other = Box::pin(turns.turn("b"));
        assert!(poll!(&mut other).is_pending());
        drop(first);
        assert!(poll!(&mut second).is_pending());
        let other = other.await;
        drop(other);
        drop(second.await);
        drop(third.await);
        drop(turns.turn("c").await);
        assert_eq!(turns.of_namespace.lock().unwrap().len(), 1, "who is done is forgotten");
    }
}
