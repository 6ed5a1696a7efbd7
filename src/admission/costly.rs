//! Turns of reviews whose expressions cost more than is evaluated at once: beside the others, and one at a time of each
//! namespace, so that who writes costly policies makes nobody wait but those who do so too, each as long as one review of
//! every other such namespace takes.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The cost that a review's expressions may have at once, in CEL's units: a millisecond, about.
pub(super) const AT_ONCE: u64 = 40_000;
/// The units that are evaluated in a millisecond on a slow or busy core.
const PER_MILLISECOND: u64 = 10_000;

/// The cost that can be evaluated in a time.
pub(super) fn cost_within(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(PER_MILLISECOND)
}

/// Who evaluates costly expressions.
pub(super) struct Turns {
    /// Fewer than there are cores, where there are several.
    all: Arc<Semaphore>,
    /// Of each namespace that has one, or waits.
    of_namespace: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A turn, until it is dropped.
pub(super) struct Turn {
    _of_namespace: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::of(cores.saturating_sub(1).max(1))
    }
}

impl Turns {
    fn of(at_a_time: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_a_time)), of_namespace: Mutex::default() }
    }

    /// Waits for a turn. `None` only where there will be none.
    pub async fn turn(&self, namespace: &str) -> Option<Turn> {
        let own = self.own(namespace);
        let of_namespace = own.acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _of_namespace: of_namespace, _of_all: of_all })
    }

    fn own(&self, namespace: &str) -> Arc<Semaphore> {
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
        let turns = Turns::of(1);
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
